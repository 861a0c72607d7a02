/**
 * `sojourn stdio -- <command>` and `sojourn stdio servers.json`: which programs, with which options.
 * The file has `mcpServers`, as clients have it. Each of its programs is served at `/<name>/mcp`.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { orUndefined } from '../base/or-undefined.ts';
import { isObject } from '../base/protocol/jsonrpc.ts';
import type { StdioOptions } from '../stdio/stdio-options.ts';
import { valuesOf } from '../base/options/value-kinds.ts';
import { UsageError } from './failure.ts';
import {
  checkedByName,
  type Environment,
  type GivenFlags,
  givenBy,
  variableName,
} from './flags.ts';
import { STDIO_FLAGS } from './stdio-flags.ts';

export interface StdioRequest {
  /** How messages name it. */
  readonly name: string;
  /** By name. The only one of a command has the name ''. */
  readonly programs: ReadonlyMap<string, StdioOptions>;
  readonly warnings: readonly string[];
}

const EXAMPLE = 'sojourn stdio -- npx -y @modelcontextprotocol/server-everything';
const SPECS = new Map(Object.entries(STDIO_FLAGS));
/** Paths that the process serves itself. */
const TAKEN: readonly string[] = ['dashboard', 'healthz', 'readyz', '.well-known'];

export const isStdioFlag = (key: string): boolean => Object.hasOwn(STDIO_FLAGS, key);
export const STDIO_VARIABLES: readonly string[] = Object.keys(STDIO_FLAGS);

/** `passed`: the command and its arguments. */
export function stdioRequest(
  file: string | undefined,
  passed: readonly string[],
  flags: GivenFlags,
  env: Environment,
): StdioRequest {
  const { given, originOf } = givenBy(flags, env, SPECS.keys(), SPECS);
  const values = checkedByName(originOf, () => valuesOf(STDIO_FLAGS, given));
  const { childMemory, childEra, ...rest } = values;
  const options = {
    ...rest,
    ...(childMemory !== undefined && { childMemoryBytes: childMemory }),
    ...(childEra !== undefined && { era: childEra }),
  };
  const [command, ...args] = passed;
  if ((file === undefined) === (command === undefined))
    throw new UsageError(`name a file with mcpServers, or a command: ${EXAMPLE}`);
  if (file !== undefined) return { name: file, ...programsOf(file, options) };
  return {
    name: shortName(passed),
    programs: new Map([['', { command: command ?? '', args, ...options }]]),
    warnings: [],
  };
}

function programsOf(file: string, options: Omit<StdioOptions, 'command'>) {
  const text = orUndefined(() => readFileSync(file, 'utf8'));
  if (text === undefined) throw new UsageError(`${file} cannot be read`);
  const parsed = orUndefined(() => JSON.parse(text) as unknown);
  const servers = isObject(parsed) ? parsed['mcpServers'] : undefined;
  if (!isObject(servers)) throw new UsageError(`${file} has no JSON with mcpServers`);
  const warnings: string[] = [];
  const programs = new Map<string, StdioOptions>();
  for (const [given, entry] of Object.entries(servers)) {
    const name = given.replaceAll(/[^\w.-]+/g, '-');
    if (TAKEN.includes(name) || programs.has(name))
      throw new UsageError(`${file}: rename ${JSON.stringify(given)}: the path /${name} is taken`);
    if (isObject(entry) && typeof entry['command'] === 'string')
      programs.set(name, programOf(file, given, entry, options));
    else warnings.push(`${file}: ${given} has no command, so it is not served`);
  }
  if (programs.size === 0) throw new UsageError(`${file} has no server with a command`);
  return { programs, warnings };
}

function programOf(
  file: string,
  name: string,
  { command, args = [], env = {}, cwd }: Record<string, unknown>,
  options: Omit<StdioOptions, 'command'>,
): StdioOptions {
  const isTexts = (value: unknown): value is readonly string[] =>
    Array.isArray(value) && value.every((one) => typeof one === 'string');
  if (!isTexts(args) || !isObject(env) || !isTexts(Object.values(env)))
    throw new UsageError(
      `${file}: args of ${name} must be a list of texts, and env an object of texts`,
    );
  return {
    command: String(command),
    args,
    ...options,
    env: { ...(env as Record<string, string>), ...options.env },
    ...(typeof cwd === 'string' && { cwd }),
  };
}

/** `npx -y @modelcontextprotocol/server-everything` → `server-everything` */
function shortName(command: readonly string[]): string {
  const named =
    command
      .filter((word) => !word.startsWith('-'))
      .slice(0, 2)
      .at(-1) ?? '';
  return basename(named).replace(/\.[^.]*$/, '') || 'program';
}

/** Where sessions are kept without `--store`: a file of its own for each command in this folder. */
export function stdioStore({ name, programs }: StdioRequest): string {
  const commands = [...programs].map(([of, { command, args }]) => [of, command, args]);
  const digest = createHash('sha256').update(JSON.stringify(commands)).digest('hex').slice(0, 8);
  return `sqlite:${join('.sojourn', `${basename(name).replaceAll(/[^\w.-]+/g, '-')}-${digest}.db`)}`;
}

export const hasStore = (flags: GivenFlags, env: Environment): boolean =>
  flags['store'] !== undefined || (env[variableName('store')] ?? '') !== '';
