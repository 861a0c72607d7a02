/** A Node process that a test starts. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { onTestFinished } from 'vitest';

interface StartOptions {
  cwd?: string;
  env?: NodeJS.ProcessEnv;
  /** Default: the Node of this process. */
  program?: string;
}

/**
 * Runs `node ...args`. A process that the test leaves behind is killed. `output`: what it has printed so far. `alive`:
 * whether it has not ended.
 */
export function startNode(args: readonly string[], { program = process.execPath, ...options }: StartOptions = {}) {
  const child = spawn(program, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => (output[name] += text));
  }
  const closed = once(child, 'close') as Promise<[code: number | null]>;
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await closed;
  });
  const alive = (): boolean => child.exitCode === null && child.signalCode === null;
  return { child, output, closed, alive };
}
