/** The command line of `sojourn prove`. */
import type { Command } from 'commander';
import { isObject } from '../../base/protocol/jsonrpc.ts';
import { orUndefined } from '../../base/or-undefined.ts';
import type { Params } from '../../testing/lab/lab-client.ts';
import { UsageError } from '../failure.ts';
import { stdioRequest } from '../stdio.ts';
import type { Environment } from '../flags.ts';

export interface ProveRequest {
  /** How messages name the server. */
  readonly name: string;
  /** A command of `sojourn` that serves it, and its arguments. */
  readonly words: readonly string[];
  /** `undefined`: a SQLite file of its own. */
  readonly storeUrl: string | undefined;
  readonly clients: number;
  readonly seconds: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Tools that may be called by their name, with arguments. `undefined`: those of the schema. */
  readonly calls: ReadonlyMap<string, Params | undefined>;
  readonly json: boolean;
}

export interface ProveContext {
  /** Node and this program. */
  readonly command: readonly string[];
  readonly cwd: string;
  readonly env: Environment;
  readonly isTerminal: boolean;
  out(text: string): void;
}

const LEAST_SECONDS = 20;
const MOST = { seconds: 3_600, clients: 1_000 };

export interface ProveFlags {
  readonly store?: string;
  readonly clients: string;
  readonly seconds: string;
  readonly header: readonly string[];
  readonly call: readonly string[];
  readonly json?: boolean;
}

const more = (value: string, before: readonly string[]): readonly string[] => [...before, value];

export const describeProve = (command: Command): Command =>
  command
    .summary('run two instances of a server, kill them under load, and say what its clients lost')
    .usage(
      '[options] <module> [-- <arguments of the module>]\n       sojourn prove [options] -- <command> <arguments>',
    )
    .description(
      'Runs two instances of a module, or of a program on stdio, on a store of their own, with clients behind a proxy. ' +
        'Then it deploys, kills and freezes instances and takes the store away, and says what the clients lost and why. ' +
        'Tools with readOnlyHint are called, others only by --call.',
    )
    .argument('[module]', 'as for serve; without it, a command follows --')
    .option(
      '--call <tool={…}>',
      'a tool that may run, with these arguments; may be repeated',
      more,
      [],
    )
    .option(
      '--header <name: value>',
      'a header of each request, such as Authorization; may be repeated',
      more,
      [],
    )
    .option(
      '--store <url>',
      'redis:// or postgres://, under a deployment of its own, removed at the end (default: a SQLite file, removed at the end)',
    )
    .option('--clients <n>', 'clients, of three kinds', '12')
    .option('--seconds <n>', `about how long it takes, ${LEAST_SECONDS} or more`, '60')
    .option('--json', 'print JSON, in one line, and nothing before')
    .addHelpText('after', EPILOGUE);

const EPILOGUE = `
Settings of serve and stdio come from the environment: SOJOURN_TASKS=true sojourn prove server.js

Examples:
  $ sojourn prove server.js
  $ sojourn prove server.js --seconds 20 --json
  $ sojourn prove server.js --call 'add_note={"text":"a"}' --header 'Authorization: Bearer …'
  $ sojourn prove -- npx -y @modelcontextprotocol/server-everything

Exit codes: 0 nothing was lost or found, 1 something was, 2 the command line is wrong or nothing may be called.
`;

/** `passed`: what follows `--`. */
export function proveRequest(
  module: string | undefined,
  passed: readonly string[],
  flags: ProveFlags,
  env: Environment,
): ProveRequest {
  const { store, header, call, json = false } = flags;
  if (store !== undefined && !/^(rediss?|postgres(ql)?):/i.test(store))
    throw new UsageError(
      '--store takes redis:// or postgres://; without it the store is a SQLite file of its own',
    );
  if (module === undefined && passed.length === 0)
    throw new UsageError(
      'name a module, or a command after --: sojourn prove -- npx -y @modelcontextprotocol/server-everything',
    );
  return {
    name: module ?? stdioRequest(undefined, passed, {}, env).name,
    words: module === undefined ? ['stdio', '--', ...passed] : ['serve', module, '--', ...passed],
    storeUrl: store,
    clients: numberIn('--clients', flags.clients, 1, MOST.clients),
    seconds: numberIn('--seconds', flags.seconds, LEAST_SECONDS, MOST.seconds),
    headers: Object.fromEntries(header.map(headerOf)),
    calls: new Map(call.map(callOf)),
    json,
  };
}

function numberIn(name: string, text: string, least: number, most: number): number {
  if (/^\d+$/.test(text) && Number(text) >= least && Number(text) <= most) return Number(text);
  throw new UsageError(
    `${name} takes a whole number, ${least} to ${most}; got ${JSON.stringify(text)}`,
  );
}

function headerOf(text: string): [string, string] {
  const at = text.indexOf(':');
  const pair: [string, string] = [text.slice(0, at).trim(), text.slice(at + 1).trim()];
  // The value may be secret.
  if (at < 1 || orUndefined(() => new Headers([pair])) === undefined)
    throw new UsageError("--header takes a name and a value: --header 'Authorization: Bearer …'");
  return pair;
}

function callOf(text: string): [string, Params | undefined] {
  const at = text.indexOf('=');
  if (at < 0) return [text, undefined];
  const args = orUndefined(() => JSON.parse(text.slice(at + 1)) as unknown);
  if (!isObject(args))
    throw new UsageError(
      `--call takes the name of a tool and a JSON object: --call 'add={"a":1}'; got ${JSON.stringify(text)}`,
    );
  return [text.slice(0, at), args];
}
