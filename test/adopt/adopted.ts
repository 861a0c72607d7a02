/** A server that was moved onto sojourn: processes of `sojourn serve` on one SQLite file, and a front for two. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { errorIn } from './clients.ts';

/** The longest time that a process may take to listen; the slowest server of the list loads for some seconds. */
const START_MS = 60_000;

/** Longer than the default: loading a large server blocks a busy machine, and a stage is not about that. */
const LEASE_MS = 8_000;

export interface Started {
  readonly folder: string;
  /** The module, relative to the folder. */
  readonly module: string;
  /** What follows `--`. */
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly database: string;
  /** 0 takes a free one. */
  readonly port: number;
}

export class Instance {
  readonly port: number;
  readonly url: string;
  #child: ChildProcess;
  #stopped = false;
  #output: string[];

  constructor(child: ChildProcess, port: number, output: string[]) {
    this.#child = child;
    this.#output = output;
    this.port = port;
    this.url = `http://127.0.0.1:${port}/mcp`;
  }

  get #alive(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /**
   * Whether it, or a worker of it, has ended and no stage has stopped it: a supervisor replaces a worker, and a client
   * may not notice.
   */
  get hasCrashed(): boolean {
    return !this.#stopped && (!this.#alive || this.#output.join('').includes('worker died'));
  }

  /** Ends the processes: with SIGKILL all at once, else the supervisor, which stops its worker. */
  async stop(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    this.#stopped = true;
    if (!this.#alive) return;
    const ended = once(this.#child, 'exit');
    if (signal === 'SIGKILL') this.#killAll();
    else this.#child.kill(signal);
    const late = setTimeout(() => this.#killAll(), 20_000);
    await ended;
    clearTimeout(late);
  }

  #killAll(): void {
    const { pid } = this.#child;
    if (pid !== undefined) process.kill(-pid, 'SIGKILL');
  }
}

/** Resolves when the endpoint listens; rejects with the last lines of its output where it does not. */
export async function startInstance({ folder, module, args, env, database, port }: Started): Promise<Instance> {
  const cli = join(folder, 'node_modules/sojourn/dist/cli/main.js');
  const flags = ['--port', String(port), '--store', `sqlite:${database}`, '--lease-ms', String(LEASE_MS)];
  const words = args.length > 0 ? ['--', ...args] : [];
  const child = spawn(process.execPath, [cli, 'serve', module, ...flags, ...words], {
    cwd: folder,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    // A group of processes: supervisor and worker are killed together.
    detached: true,
  });
  const output: string[] = [];
  const listening = new Promise<number>((resolve, reject) => {
    const fail = (why: string): void => reject(new Error(`${why}: ${errorIn(output.join(''))}`));
    const late = setTimeout(() => fail('does not listen'), START_MS);
    const read = (chunk: Buffer): void => {
      output.push(String(chunk));
      const bound = /bound to +\S+:(\d+)/.exec(output.join(''));
      if (bound === null) return;
      clearTimeout(late);
      resolve(Number(bound[1]));
    };
    child.stdout.on('data', read);
    child.stderr.on('data', read);
    child.on('exit', (code) => {
      clearTimeout(late);
      fail(`ended with ${code}`);
    });
  });
  try {
    return new Instance(child, await listening, output);
  } catch (error) {
    if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, 'SIGKILL');
    throw error;
  }
}
