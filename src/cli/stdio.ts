/**
 * `sojourn stdio -- <command>` and `sojourn stdio servers.json`: which programs, with which options.
 * The file has `mcpServers`, as clients have it. Each of its programs is served at `/<name>/mcp`.
 */
import { createHash } from 'node:crypto';
import { basename, join } from 'node:path';
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
import { programsOf } from './servers-file.ts';
import { STDIO_FLAGS } from './stdio-flags.ts';

export interface StdioRequest {
  /** How messages name it. */
  readonly name: string;
  /** The key is the name of a program. The only program of a command has the name ''. */
  readonly programs: ReadonlyMap<string, StdioOptions>;
  /** Their commands as they are written: the name of the store comes from them. */
  readonly commands: readonly unknown[];
  readonly warnings: readonly string[];
}

const EXAMPLE = 'sojourn stdio -- npx -y @modelcontextprotocol/server-everything';
const SPECS = new Map(Object.entries(STDIO_FLAGS));
/** They start a program, whose name follows. */
const STARTERS: ReadonlySet<string> = new Set(
  'bun bunx deno node npm npx pipx pnpm python python3 tsx uv uvx yarn'.split(' '),
);
const VERBS: ReadonlySet<string> = new Set(['dlx', 'exec', 'run', 'tool', 'x']);
/** Names that many programs have: the folder or the scope before them says which one it is. */
const COMMON = /^(?:index|main|mcp|mcp-server|server)$/;

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
  if (file !== undefined) return { name: file, ...programsOf(file, options, env) };
  return {
    name: shortName(passed),
    programs: new Map([['', { command: command ?? '', args, ...options }]]),
    commands: [['', command, args]],
    warnings: [],
  };
}

/** `npx -y @playwright/mcp@latest` → `playwright-mcp` */
function shortName([command = '', ...args]: readonly string[]): string {
  const program = args.find((word) => !word.startsWith('-') && !VERBS.has(word));
  const named = STARTERS.has(basename(command)) ? (program ?? command) : command;
  const parts = named.split('/');
  const [last = ''] = parts.splice(-1);
  // The version of a package follows an `@`.
  const [own = ''] = last.replace(/\.[^.]*$/, '').split('@', 1);
  const folder = parts.at(-1)?.replace(/^[@.]+/, '') ?? '';
  return (COMMON.test(own) && folder !== '' ? `${folder}-${own}` : own) || 'program';
}

/** Where sessions are kept without `--store`: a file of its own for each command in this folder. */
export function stdioStore({ name, commands }: StdioRequest): string {
  const digest = createHash('sha256').update(JSON.stringify(commands)).digest('hex').slice(0, 8);
  return `sqlite:${join('.sojourn', `${basename(name).replaceAll(/[^\w.-]+/g, '-')}-${digest}.db`)}`;
}

export const hasStore = (flags: GivenFlags, env: Environment): boolean =>
  flags['store'] !== undefined || (env[variableName('store')] ?? '') !== '';
