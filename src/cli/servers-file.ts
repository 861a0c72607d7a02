/**
 * A file of servers, as clients have it: the member `mcpServers`. `${NAME}`, `${env:NAME}` and
 * `${NAME:-text}` are variables of this process. An entry that cannot be served is left out with a reason.
 */
import { readFileSync } from 'node:fs';
import { orUndefined } from '../base/or-undefined.ts';
import { isObject } from '../base/protocol/jsonrpc.ts';
import type { StdioOptions } from '../stdio/stdio-options.ts';
import { UsageError } from './failure.ts';
import type { Environment } from './flags.ts';

type ProgramOptions = Omit<StdioOptions, 'command'>;

/** Paths that the process serves itself. */
const TAKEN: readonly string[] = ['dashboard', 'healthz', 'readyz', '.well-known'];
const VARIABLE = /\$\{(?:env:([A-Za-z_]\w*)|([A-Za-z_]\w*)(?::-([^}]*))?)\}/g;
/** VS Code asks its user for these. */
const INPUT = /\$\{input:([^}]*)\}/;
const BYTE_ORDER_MARK = '\uFEFF';

/** What an entry says of its program. */
interface WrittenProgram {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

/** `given`: options for all programs. `commands`: as they are written, with their names. */
export function programsOf(file: string, given: ProgramOptions, env: Environment) {
  const warnings: string[] = [];
  const programs = new Map<string, StdioOptions>();
  const commands: unknown[] = [];
  const names = new Set(TAKEN);
  for (const [title, entry] of Object.entries(serversIn(file))) {
    const name = title.replaceAll(/[^\w.-]+/g, '-');
    if (names.has(name))
      throw new UsageError(`${file}: rename ${JSON.stringify(title)}: the path /${name} is taken`);
    names.add(name);
    const written = writtenIn(file, title, entry);
    if (typeof written !== 'string') commands.push([name, written.command, written.args]);
    const program = typeof written === 'string' ? written : expanded(written, env);
    if (typeof program === 'string') warnings.push(`${file}: ${title} is not served: ${program}`);
    else programs.set(name, { ...given, ...program, env: { ...program.env, ...given.env } });
  }
  if (programs.size === 0)
    throw new UsageError([`${file} has no server with a command`, ...warnings].join('\n'));
  return { programs, warnings, commands };
}

function serversIn(file: string): Readonly<Record<string, unknown>> {
  const text = orUndefined(() => readFileSync(file, 'utf8'));
  if (text === undefined) throw new UsageError(`${file} cannot be read`);
  const json = text.startsWith(BYTE_ORDER_MARK) ? text.slice(1) : text;
  const { mcpServers, servers } = Object(orUndefined(() => JSON.parse(json) as unknown)) as {
    readonly mcpServers?: unknown;
    readonly servers?: unknown;
  };
  if (isObject(mcpServers)) return mcpServers;
  if (isObject(servers))
    throw new UsageError(`${file} has the servers of VS Code: name them mcpServers`);
  throw new UsageError(`${file} has no JSON with mcpServers`);
}

/** A text says why the entry is not served. */
function writtenIn(file: string, title: string, entry: unknown): WrittenProgram | string {
  if (!isObject(entry) || typeof entry['command'] !== 'string') return 'it has no command';
  if (entry['disabled'] === true) return 'it is disabled';
  const { command, args = [], env = {}, cwd } = entry;
  if (!isTexts(args) || !isObject(env) || !isTexts(Object.values(env)))
    throw new UsageError(
      `${file}: args of ${title} must be a list of texts, and env an object of texts`,
    );
  return {
    command: String(command),
    args,
    env: env as Record<string, string>,
    ...(typeof cwd === 'string' && { cwd }),
  };
}

const isTexts = (value: unknown): value is readonly string[] =>
  Array.isArray(value) && value.every((one) => typeof one === 'string');

/** A text says why the entry is not served. */
function expanded(
  { command, args, env, cwd }: WrittenProgram,
  given: Environment,
): WrittenProgram | string {
  const unset: string[] = [];
  const expand = (text: string): string =>
    text.replaceAll(VARIABLE, (_, named?: string, name?: string, otherwise?: string) => {
      const variable = named ?? name ?? '';
      const value = given[variable];
      if (otherwise !== undefined) return value === undefined || value === '' ? otherwise : value;
      if (value === undefined) unset.push(variable);
      return value ?? '';
    });
  const program = {
    command: expand(command),
    args: args.map(expand),
    env: Object.fromEntries(Object.entries(env).map(([name, value]) => [name, expand(value)])),
    ...(cwd !== undefined && { cwd: expand(cwd) }),
  };
  const [, input] = INPUT.exec([command, ...args, ...Object.values(env), cwd].join('\n')) ?? [];
  if (input !== undefined)
    return `VS Code asks for its input ${input}; name a variable, as in \${NAME}`;
  if (unset.length === 0) return program;
  return `its variable ${unset.join(', ')} is not set`;
}
