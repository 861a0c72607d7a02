/**
 * One process of a server under faults, in a process group of its own, on one port. It ends with this process, however
 * this one ends (`src/stdio/remains.ts`).
 *
 *     ended ──start──▶ serving ◀──freeze, wake──▶ frozen
 *       ╰◀──drain, kill, or by itself─┴──────────────┘
 */
import { type ChildProcess, spawn, type StdioOptions } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { orUndefined } from '../../base/or-undefined.ts';
import { guardGroup, MARK, markOf, releaseGroup } from '../../stdio/remains.ts';
import { until } from '../../testing/until.ts';

const START_MS = 60_000;

/** How a process of a server is started. `words`: the command for a port. */
export interface ServerCommand {
  readonly name: string;
  readonly env: NodeJS.ProcessEnv;
  readonly stdio: StdioOptions;
  words(port: number): readonly string[];
  /** Gets each process as it is started. */
  started?(child: ChildProcess): void;
}

export class ServerProcess {
  readonly #command: ServerCommand;
  #child: ChildProcess | undefined;
  port = 0;

  constructor(command: ServerCommand) {
    this.#command = command;
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  get hasEnded(): boolean {
    return this.#child === undefined || isOver(this.#child);
  }

  /** Resolves when it listens. Rejects when it ends before. */
  async start(port: number): Promise<void> {
    const { name, env, stdio, words, started } = this.#command;
    const [program = '', ...args] = words(port);
    this.port = port;
    const marked = { ...env, PORT: `${port}`, [MARK]: markOf(0) };
    const child = spawn(program, args, { detached: true, stdio, env: marked });
    this.#child = child;
    child.once('error', () => {}); // `pid` is missing then.
    const { pid } = child;
    if (pid !== undefined) guardGroup(pid);
    child.once('exit', () => {
      if (pid === undefined) return;
      killGroup(pid);
      releaseGroup(pid);
    });
    started?.(child);
    const listens = async (): Promise<boolean> =>
      pid === undefined || isOver(child) || (await canConnect(port));
    await until(listens, { timeoutMs: START_MS, pollMs: 25, what: `${name} to listen` });
    if (pid === undefined || isOver(child)) throw new Error(`${name} ended while it started`);
  }

  signal(name: NodeJS.Signals): void {
    this.#child?.kill(name);
  }

  /** SIGTERM; SIGKILL if it has not ended after `graceMs`. */
  async drain(graceMs: number): Promise<void> {
    this.signal('SIGTERM');
    await Promise.race([this.ended(), delay(graceMs, undefined, { ref: false })]);
    await this.kill();
  }

  /** SIGKILL to its group. */
  async kill(): Promise<void> {
    if (!this.hasEnded) killGroup(this.pid);
    await this.ended();
  }

  async ended(): Promise<void> {
    if (this.#child?.pid !== undefined && !isOver(this.#child)) await once(this.#child, 'exit');
  }
}

const killGroup = (pid: number): unknown => orUndefined(() => process.kill(-pid, 'SIGKILL'));

const isOver = ({ exitCode, signalCode }: ChildProcess): boolean =>
  exitCode !== null || signalCode !== null;

async function canConnect(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
