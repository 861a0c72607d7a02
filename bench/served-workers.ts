import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { cpuUsOf } from './process-usage.ts';
import type { Runtime } from './runtimes.ts';

const program = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
const moduleAt = (name: string): string => fileURLToPath(new URL(`servers/${name}`, import.meta.url));
const startMsMost = 20_000;
const lookMs = 20;

export interface ServedModule {
  /** A file of `servers/`. */
  readonly module?: string;
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** `sojourn serve --workers N` from the build, as a separate deployment on the store. */
export class ServedWorkers {
  readonly workers: number;
  readonly #child: ChildProcessByStdio<null, Readable, Readable>;
  #told = '';

  private constructor(child: ChildProcessByStdio<null, Readable, Readable>, workers: number) {
    this.workers = workers;
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => (this.#told += text));
    }
  }

  static async start(
    runtime: Runtime,
    workers: number,
    store: string,
    { module = 'workers-module.mjs', args: more = [], env = {} }: ServedModule = {},
  ): Promise<ServedWorkers> {
    const name = `bench-${String(workers)}`;
    const args = [
      program,
      'serve',
      moduleAt(module),
      '--port',
      '0',
      '--workers',
      String(workers === 1 ? 0 : workers),
      '--store',
      store,
    ];
    args.push('--name', name, ...more);
    const child = spawn(runtime.path, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, NODE_OPTIONS: '', NODE_ENV: 'production', ...env },
    });
    const served = new ServedWorkers(child, workers);
    const deadline = performance.now() + startMsMost;
    while (served.port === 0) {
      if (child.exitCode !== null || performance.now() > deadline) throw new Error(`no start: ${served.#told}`);
      await delay(lookMs);
    }
    return served;
  }

  /** 0 until it listens. */
  get port(): number {
    return Number(/^ {2}endpoint +http:\/\/127\.0\.0\.1:(\d+)/m.exec(this.#told)?.[1] ?? 0);
  }

  get #processes(): number[] {
    const workers = [...this.#told.matchAll(/"worker_pid":(\d+)/g)].map(([, pid]) => Number(pid));
    return [Number(this.#child.pid), ...workers];
  }

  /** User and system time of the supervisor and its workers so far (Linux). */
  cpuUs(): number {
    return this.#processes.reduce((sum, pid) => sum + cpuUsOf(pid), 0);
  }

  /** A single worker is the process itself. */
  freeze(): void {
    this.#child.kill('SIGSTOP');
  }

  kill(): Promise<void> {
    return this.stop('SIGKILL');
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const exited = once(this.#child, 'exit');
      this.#child.kill(signal);
      await exited;
    }
  }
}
