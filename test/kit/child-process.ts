/** A process that a test starts, and what it says. */
import { type ChildProcess, spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { onTestFinished } from 'vitest';
import { until } from './until.ts';

interface StartOptions {
  cwd?: string;
  env?: NodeJS.ProcessEnv;
  /** Default: the Node of this process. */
  program?: string;
  /** A file that it gets beside its three streams. */
  fd?: number | undefined;
  /** Its stdin ends with this process. Default: it has none. */
  hasInput?: boolean;
  /** Signals go to its children too. */
  isGroup?: boolean;
  /** The user to run as. */
  uid?: number;
  gid?: number;
}

/** A busy machine takes its time to start a process. */
const SAID_MS = 60_000;

/** Where it names a file that is missing, Node warns on the stderr of each process. */
const namesMissing = (name: string, value = ''): boolean =>
  name === 'NODE_EXTRA_CA_CERTS' && !existsSync(value);

/** The environment without the variables of the test run itself, and without what npm adds. */
export const inherited = Object.fromEntries(
  Object.entries(process.env).filter(
    ([name, value]) =>
      !/^(?:SOJOURN_|npm_|VITEST)|^(?:NODE_ENV|NODE_OPTIONS|PORT|FORCE_COLOR)$/.test(name) &&
      !namesMissing(name, value),
  ),
);

/** Only the process itself knows the id that it will have; `exec` keeps it. */
const ACTIVATED = 'LISTEN_FDS=1 LISTEN_PID=$$ exec "$0" "$@"';

/** The command of a process that gets the socket `fd` as systemd passes one on. */
export const activated = (command: readonly string[], fd: number | undefined): readonly string[] =>
  fd === undefined ? command : ['sh', '-c', ACTIVATED, ...command];

/** Whatever ends this process, none of them stays. */
const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** Runs `node ...args`. `output`: what it has printed so far. `alive`: whether it has not ended. */
export function spawnNode(
  args: readonly string[],
  {
    program = process.execPath,
    fd,
    hasInput = false,
    isGroup = false,
    ...options
  }: StartOptions = {},
) {
  const child = spawn(program, args, {
    ...options,
    detached: isGroup,
    stdio: [hasInput ? 'pipe' : 'ignore', 'pipe', 'pipe', ...(fd === undefined ? [] : [fd])],
  }) as ChildProcessByStdio<null, Readable, Readable>;
  running.add(child);
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => (output[name] += text));
  }
  const alive = (): boolean => child.exitCode === null && child.signalCode === null;
  let isClosed = false;
  const closed = once(child, 'close') as Promise<
    [code: number | null, signal: NodeJS.Signals | null]
  >;
  child.once('close', () => (isClosed = true)).once('exit', () => running.delete(child));
  /** Resolves with what the group of `pattern` finds in its output, once that matches. */
  const says = async (pattern: RegExp): Promise<string> => {
    const found = () => pattern.exec(output.stdout);
    await until(() => found() !== null || isClosed, {
      timeoutMs: SAID_MS,
      what: `${pattern} in its output`,
    });
    const [, group] = found() ?? [];
    if (found() === null)
      throw new Error(
        `it ended with ${child.exitCode ?? child.signalCode}: ${output.stderr || output.stdout}`,
      );
    return group ?? '';
  };
  /** Sends the signal; resolves with the exit code. */
  const stop = async (signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> => {
    if (!isGroup || child.pid === undefined) child.kill(signal);
    else if (!isClosed) process.kill(-child.pid, signal);
    return (await closed)[0];
  };
  return { child, output, closed, alive, says, stop };
}

/** The same for one test: a process that it leaves behind is killed. */
export function startNode(...given: Parameters<typeof spawnNode>): ReturnType<typeof spawnNode> {
  const started = spawnNode(...given);
  onTestFinished(() => started.stop('SIGKILL').then(() => undefined));
  return started;
}
