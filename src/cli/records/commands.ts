/** The commands that look into a store: `sojourn sessions | instances | tasks | once`, each with its verbs. */
import type { Command } from 'commander';
import { DEFAULTS } from '../../options/table.ts';
import { UsageError } from '../failure.ts';
import { durationMs, parseFlagValue } from '../flag-value.ts';
import { OPTION_FLAGS, variableName } from '../option-flags.ts';
import type { Environment } from '../settings.ts';
import type { StoreRequest } from './opened-store.ts';

export interface RecordRequest extends StoreRequest {
  readonly kind: Kind;
  readonly verb: string;
  /** What the command names: an id or a hash, or the tool and the key of `once`. */
  readonly names: readonly string[];
  readonly json: boolean;
  /** Ids are printed: who has the id of a session has the session. */
  readonly ids: boolean;
  /** The command does not ask. */
  readonly yes: boolean;
  readonly user: string | undefined;
  readonly client: string | undefined;
  readonly owner: string | undefined;
  readonly session: string | undefined;
  readonly anonymous: boolean;
  /** ms without a request, at least. */
  readonly idleMs: number | undefined;
  /** How long the effect of an order may take. */
  readonly waitMs: number;
  /** From the environment alone: a flag would show the key to every user of the machine. */
  readonly instanceKeys: readonly string[] | undefined;
}

const FLAGS = {
  json: ['--json', 'print JSON, one record per line'],
  ids: ['--ids', 'print ids too: who has the id of a session, or of a task without a user, has it'],
  yes: ['--yes', 'do not ask'],
  user: ['--user <name>', "only those of this user: the name, or the key of show's output"],
  client: ['--client <name>', 'only the sessions of clients whose name contains this'],
  owner: ['--owner <instance>', 'only the sessions that this instance has in memory'],
  idle: ['--idle <time>', 'only the sessions without a request for so long, e.g. 30m'],
  wait: ['--wait <time>', 'how long the instance may take (default: 60s)'],
  session: ['--session <id>', 'the key is of this session: its id, or while it lives its hash'],
  anonymous: ['--anonymous', "the key is of callers without a user (anonymous: 'shared')"],
} as const;

type FlagName = keyof typeof FLAGS;
type Given = { readonly [Name in FlagName | 'store' | 'name']?: string | boolean };

type Verb = readonly [usage: string, help: string, ...flags: FlagName[]];

const COMMANDS = {
  sessions: {
    summary: 'list, show and end the sessions in a store',
    verbs: [
      ['ls', 'list the sessions that have not ended', 'ids', 'user', 'client', 'owner', 'idle'],
      ['show <session>', 'show one session; of its state the keys and sizes, never the values', 'ids'],
      ['end <session>', 'end a session, wherever it is; its id answers 404 from then on', 'ids', 'wait'],
    ],
  },
  instances: {
    summary: 'list and drain the instances that serve with a store',
    verbs: [
      ['ls', 'list the instances of a deployment: where each runs, and its sessions'],
      ['show <instance>', 'show one instance'],
      [
        'drain <instance>',
        'order an instance to drain, and wait for it: running calls finish, its sessions go to the others. Under ' +
          '`serve` its process ends, as at SIGTERM, and a supervisor starts another one',
        'wait',
      ],
    ],
  },
  tasks: {
    summary: 'list, show and cancel the tasks in a store',
    verbs: [
      ['ls', 'list the tasks that have not ended', 'ids', 'user'],
      ['show <task>', 'show one task, or how it ended; never arguments, questions, answers and result', 'ids'],
      ['cancel <task>', 'end a task as cancelled, wherever it runs; asks first', 'ids', 'yes'],
    ],
  },
  once: {
    summary: 'say what became of a call of once(), and let its key run again',
    verbs: [
      ['show <tool> <key>', 'show what is known of a key: it runs, or how it ended', 'user', 'session', 'anonymous'],
      [
        'forget <tool> <key>',
        'let a key run again that has ended, or whose outcome is unknown; asks first',
        ...(['user', 'session', 'anonymous', 'yes'] as const),
      ],
    ],
  },
} as const satisfies Readonly<Record<string, { readonly summary: string; readonly verbs: readonly Verb[] }>>;

export type Kind = keyof typeof COMMANDS;
export const RECORD_COMMANDS = Object.keys(COMMANDS) as readonly Kind[];

export function describeRecords(
  program: Command,
  env: Environment,
  perform: (request: RecordRequest) => Promise<void>,
): void {
  for (const [kind, { summary, verbs }] of Object.entries(COMMANDS)) {
    const group = program.command(kind).summary(summary).addHelpText('after', EPILOGUE);
    group.description('Reads a durable store, whether or not a server uses it at the moment.');
    for (const [usage, help, ...flags] of verbs as readonly Verb[]) {
      const command = group.command(usage).description(help);
      command.option('--store <url>', `the store, e.g. sqlite:./sessions.db (or ${variableName('store')})`);
      command.option('--name <name>', `the endpoint's name (default: ${DEFAULTS.name})`);
      for (const flag of ['json', ...flags] as const) command.option(FLAGS[flag][0], FLAGS[flag][1]);
      const verb = command.name();
      command.action(() => {
        const given = command.opts<Given>();
        return perform({ kind: kind as Kind, verb, ...requestOf(`${kind} ${verb}`, command.args, given, env) });
      });
    }
  }
}

/** A worker has 25 s to drain, if nothing else was said. */
const WAIT_MS = 60_000;

function requestOf(
  command: string,
  names: readonly string[],
  given: Given,
  env: Environment,
): Omit<RecordRequest, 'kind' | 'verb'> {
  const text = (flag: FlagName): string | undefined => {
    const value = given[flag];
    return typeof value === 'string' ? value : undefined;
  };
  const keys = env[variableName('instanceKeys')] || undefined;
  return {
    names,
    ...storeRequest(command, given, env),
    json: given.json === true,
    ids: given.ids === true,
    yes: given.yes === true,
    user: text('user'),
    client: text('client'),
    owner: text('owner'),
    session: text('session'),
    anonymous: given.anonymous === true,
    idleMs: timeOf(text('idle'), '--idle'),
    waitMs: timeOf(text('wait'), '--wait') ?? WAIT_MS,
    instanceKeys: keys && (parseFlagValue(OPTION_FLAGS.instanceKeys, keys, '') as readonly string[]),
  } as Omit<RecordRequest, 'kind' | 'verb'>;
}

function timeOf(given: string | undefined, flag: string): number | undefined {
  const ms = given === undefined ? undefined : durationMs(given);
  if (given !== undefined && ms === undefined)
    throw new UsageError(`${flag} takes a time such as 90s, 30m, 2h or 1d; got ${JSON.stringify(given)}`);
  return ms;
}

/** `command`: as the user wrote it, for the error. `argument`: the command takes the URL without a flag. */
export function storeRequest(
  command: string,
  { store, name }: { readonly store?: string | boolean; readonly name?: string | boolean },
  env: Environment,
  argument?: string,
): StoreRequest {
  const variable = variableName('store');
  const storeUrl = store ?? (env[variable] || undefined);
  if (typeof storeUrl !== 'string')
    throw new UsageError(`${command} needs ${argument ?? '--store'} (or ${variable}), e.g. sqlite:./sessions.db`);
  const origin = store === undefined ? variable : argument === undefined ? '--store' : command;
  return { storeUrl, origin, name: typeof name === 'string' ? name : env[variableName('name')] || DEFAULTS.name };
}

const EPILOGUE = `
Examples:
  $ sojourn sessions ls --store sqlite:./sessions.db --idle 2h --client cursor
  $ sojourn sessions ls --store sqlite:./sessions.db --json | jq -r .clientInfo.name
  $ sojourn sessions end 4314b689248a --store sqlite:./sessions.db
  $ sojourn tasks ls --store sqlite:./sessions.db --user ada

Sessions and tasks are named by the hash of their id, as in the log; its first digits are enough.
Write -- before an id that begins with -: sojourn sessions show --store … -- -Q3x
Exit codes: 0 success, 1 there is no such record or the command failed, 2 the command line is wrong.
`;
