import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface, type Interface } from 'node:readline';
import type { Program } from './programs.ts';

/**
 * A server that is no Node.js program. It prints its port and ends when its input ends. It answers a line of its input
 * with a line, after a collection of its garbage where it has a collector.
 */
export class ProgramProcess {
  readonly port: number;
  readonly pid: number;
  readonly #child: ChildProcess;
  readonly #lines: Interface;

  private constructor(child: ChildProcess, lines: Interface, port: number) {
    this.#child = child;
    this.#lines = lines;
    this.port = port;
    this.pid = child.pid ?? 0;
  }

  static async start({ id, path }: Program, env: Readonly<Record<string, string>>): Promise<ProgramProcess> {
    const child = spawn(path, { stdio: ['pipe', 'pipe', 'inherit'], env: { ...process.env, ...env } });
    const lines = createInterface({ input: child.stdout });
    const exited = once(child, 'exit').then(([code]) => {
      throw new Error(`the ${id} server ended (${String(code)})`);
    });
    exited.catch(() => {});
    const [port] = (await Promise.race([once(lines, 'line'), exited])) as [string];
    return new ProgramProcess(child, lines, Number(port));
  }

  async collect(): Promise<void> {
    const answered = once(this.#lines, 'line');
    this.#child.stdin?.write('collect\n');
    await answered;
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, 'exit');
    this.#child.stdin?.end();
    await exited;
  }
}
