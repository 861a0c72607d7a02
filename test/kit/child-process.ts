/** A process that a test starts, and what it says. */
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
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
  /** The user to run as. */
  uid?: number;
  gid?: number;
}

/** A busy machine takes its time to start a process. */
const SAID_MS = 60_000;

/**
 * Runs `node ...args`. A process that the test leaves behind is killed. `output`: what it has printed so far. `alive`:
 * whether it has not ended.
 */
export function startNode(args: readonly string[], { program = process.execPath, fd, ...options }: StartOptions = {}) {
  const child = spawn(program, args, {
    ...options,
    stdio: ['ignore', 'pipe', 'pipe', ...(fd === undefined ? [] : [fd])],
  }) as ChildProcessByStdio<null, Readable, Readable>;
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => (output[name] += text));
  }
  let isClosed = false;
  child.once('close', () => (isClosed = true));
  const closed = once(child, 'close') as Promise<[code: number | null, signal: NodeJS.Signals | null]>;
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await closed;
  });
  const alive = (): boolean => child.exitCode === null && child.signalCode === null;
  /** Resolves with what the group of `pattern` finds in its output, once that matches. */
  const says = async (pattern: RegExp): Promise<string> => {
    const found = () => pattern.exec(output.stdout);
    await until(() => found() !== null || isClosed, { timeoutMs: SAID_MS, what: `${pattern} in its output` });
    const [, group] = found() ?? [];
    if (found() === null) throw new Error(`it ended with ${child.exitCode ?? child.signalCode}: ${output.stderr}`);
    return group ?? '';
  };
  /** Sends the signal; resolves with the exit code. */
  const stop = async (signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> => {
    child.kill(signal);
    return (await closed)[0];
  };
  return { child, output, closed, alive, says, stop };
}
