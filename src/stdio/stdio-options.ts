/** The options of `stdioServer()`: those of a program, and those of the pool of its children. */
import type { Logger } from '../base/types.ts';
import { checkNames, checkNumber } from '../base/options/checks.ts';
import type { ToolPatterns } from './tool-rules.ts';

export interface StdioOptions extends ToolPatterns {
  readonly command: string;
  readonly args?: readonly string[] | undefined;
  /** Variables of the child. It inherits PATH, HOME and a few more, and those of `inheritEnv`. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Names of variables of this process that the child gets too. */
  readonly inheritEnv?: readonly string[] | undefined;
  /**
   * Variables from the caller: `user`, `claim:<name>`, `header:<name>`, or a text with `{user}`, a
   * digest of the user. They are read when the child starts.
   */
  readonly userEnv?: Readonly<Record<string, string>> | undefined;
  /** The folder in which the command runs. Default: that of this process. */
  readonly cwd?: string | undefined;
  /**
   * One child for all callers, for a program that keeps nothing of them. Its handshake names no
   * client capability, so it asks nothing. Default: a child for each session of 2025 and for each
   * user.
   */
  readonly oneChild?: boolean | undefined;
  /** What the program speaks. Default: it is asked. */
  readonly era?: 'legacy' | 'modern' | undefined;
  /** Children alive at once. Default: what a quarter of the memory holds, at most 64. */
  readonly maxChildren?: number | undefined;
  /** A child that does nothing for so many ms is stopped, and its memory lost. Default 600,000. */
  readonly childIdleTimeoutMs?: number | undefined;
  /** A child has so many ms to answer `initialize`. Default 25,000. */
  readonly childStartMs?: number | undefined;
  /** A child whose process group has more resident bytes is killed. Default: no limit. */
  readonly childMemoryBytes?: number | undefined;
  /** Clients get what a child that does not start wrote to stderr. Default: the log alone has it. */
  readonly stderrToClients?: boolean | undefined;
  readonly logger?: Pick<Logger, 'info' | 'warn' | 'debug'> | undefined;
}

export const STDIO_DEFAULTS = {
  childIdleTimeoutMs: 600_000,
  childStartMs: 25_000,
  maxWaitMs: 15_000,
  startWaitMs: 45_000,
};

const NAMES: readonly (keyof StdioOptions)[] = [
  'command',
  'args',
  'env',
  'inheritEnv',
  'userEnv',
  'cwd',
  'oneChild',
  'era',
  'maxChildren',
  'childIdleTimeoutMs',
  'childStartMs',
  'childMemoryBytes',
  'stderrToClients',
  'logger',
  'tools',
  'toolsOnce',
  'toolsAsTasks',
  'toolsAfterCrashRun',
];

const RANGES = {
  maxChildren: { unit: 'children', min: 1, integer: true },
  childIdleTimeoutMs: { unit: 'ms', min: 1, infinity: 'never' },
  childStartMs: { unit: 'ms', min: 1 },
  childMemoryBytes: { unit: 'bytes', min: 1, integer: true },
};

/** Throws `OPTION_INVALID` for a name that is unknown, and for a number out of its range. */
export function checkStdioOptions(given: StdioOptions): StdioOptions {
  const options = checkNames('stdioServer()', given, NAMES, []) as unknown as StdioOptions;
  for (const [name, range] of Object.entries(RANGES)) {
    const value: unknown = Reflect.get(options, name);
    if (value !== undefined) checkNumber(name, value, range);
  }
  return options;
}
