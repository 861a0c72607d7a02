/**
 * A real server of a store, as a separate process: on loopback, with a free port and a new data directory. It can be
 * frozen, killed and started again on the same port and data.
 *
 *     running ──pause()──▶ frozen ──resume()──▶ running ──kill() | stop()──▶ ended ──start()──▶ running ──close()──▶
 * gone
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '../until.ts';

/** The servers of stores. */
export type ServerKind = 'redis' | 'postgres';

/** How to run one kind of server. */
export interface ServerRecipe {
  readonly kind: ServerKind | 'pgbouncer';
  /** Debian's package. */
  readonly package: string;
  /** The executable, or undefined when it is not installed. */
  find(): string | undefined;
  /** Runs once, in the empty data directory. */
  prepare?(folder: string, executable: string): Promise<void>;
  command(server: {
    readonly folder: string;
    readonly port: number;
    readonly args: readonly string[];
  }): readonly string[];
  /** The user and group to run as, where the server refuses to run as root. */
  readonly user?: { readonly uid: number; readonly gid: number } | undefined;
  /** The signal that stops it without losing data. */
  readonly stopSignal: NodeJS.Signals;
  answers(port: number): Promise<boolean>;
  url(port: number): string;
}

export interface ServerOptions {
  /** Further command-line arguments. */
  readonly args?: readonly string[] | undefined;
  readonly port?: number | undefined;
}

const START_MS = 20_000;
const STOP_MS = 15_000;

const running = new Set<TestServer>();
process.once('exit', () => {
  for (const server of running) server.kill();
});

export class TestServer {
  readonly kind: ServerRecipe['kind'];
  readonly port: number;
  readonly folder: string;
  readonly #recipe: ServerRecipe;
  readonly #executable: string;
  readonly #args: readonly string[];
  #process: ChildProcess | undefined;
  #output = '';

  constructor(recipe: ServerRecipe, executable: string, port: number, args: readonly string[]) {
    this.kind = recipe.kind;
    this.port = port;
    this.folder = mkdtempSync(join(tmpdir(), `sojourn-${recipe.kind}-`));
    this.#recipe = recipe;
    this.#executable = executable;
    this.#args = args;
  }

  get url(): string {
    return this.#recipe.url(this.port);
  }

  get pid(): number {
    const pid = this.#process?.pid;
    if (pid === undefined) throw new Error(`${this.kind} is not running`);
    return pid;
  }

  /** The server's processes, including its children. */
  get processes(): readonly number[] {
    return [this.pid, ...childrenOf(this.pid)];
  }

  /** Its latest output. */
  get output(): string {
    return this.#output;
  }

  async prepare(): Promise<void> {
    await this.#recipe.prepare?.(this.folder, this.#executable);
  }

  /** Resolves when it answers. */
  async start(): Promise<void> {
    if (this.#process !== undefined) throw new Error(`${this.kind} is running`);
    const { folder, port } = this;
    const child = spawn(
      this.#executable,
      this.#recipe.command({ folder, port, args: this.#args }),
      {
        cwd: folder,
        stdio: ['ignore', 'pipe', 'pipe'],
        ...this.#recipe.user,
      },
    );
    this.#process = child;
    running.add(this);
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on(
        'data',
        (chunk: Buffer) => (this.#output = (this.#output + chunk.toString()).slice(-4_000)),
      );
    }
    child.once('exit', () => {
      if (this.#process === child) this.#process = undefined;
      running.delete(this);
    });
    await until(
      async () => {
        if (this.#process === undefined) throw new Error(`it ended: ${this.#output}`);
        return this.#recipe.answers(port);
      },
      { timeoutMs: START_MS, what: `${this.kind} answers` },
    );
  }

  pause(): void {
    this.#signal('SIGSTOP');
  }

  resume(): void {
    this.#signal('SIGCONT');
  }

  /** Sends `SIGKILL` to all its processes; the data stay. */
  kill(): void {
    if (this.#process?.pid === undefined) return;
    // Stopped, it starts no child between the list of its children and their signals. PostgreSQL does not start while
    // such a child lives.
    this.#process.kill('SIGSTOP');
    this.#signal('SIGKILL');
  }

  /** Stops it by `stopSignal`; resolves when it has exited. */
  async stop(): Promise<void> {
    const child = this.#process;
    if (child === undefined) return;
    this.#signal('SIGCONT');
    child.kill(this.#recipe.stopSignal);
    await until(() => this.#process !== child, {
      timeoutMs: STOP_MS,
      what: `${this.kind} has ended`,
    });
  }

  /** `kill()`; resolves when it has exited. */
  async killed(): Promise<void> {
    this.kill();
    await until(() => this.#process === undefined, { what: `${this.kind} is killed` });
  }

  async close(): Promise<void> {
    await this.killed();
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
  }

  /** Signals each process: PostgreSQL's children leave its process group. */
  #signal(signal: NodeJS.Signals): void {
    for (const pid of this.processes) {
      try {
        process.kill(pid, signal);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
      }
    }
  }
}

/** Read from `/proc` where it exists: a small machine has no `ps`. */
function childrenOf(pid: number): number[] {
  const listed = `/proc/${pid}/task/${pid}/children`;
  if (existsSync(listed))
    return readFileSync(listed, 'utf8').split(' ').map(Number).filter(Boolean);
  const all = execFileSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' }).split('\n');
  const pairs = all.map((line) => line.trim().split(/\s+/).map(Number));
  return pairs.filter(([, parent]) => parent === pid).map(([child]) => child as number);
}
