/**
 * A worker process, as its supervisor sees it: it runs the same command again, on the socket that the supervisor
 * passes.
 *
 *     starting ──▶ listening ──told to drain, or SIGTERM──▶ leaving ──▶ ended
 *
 * A worker may end from any state.
 */
import { fork, type ChildProcess, type SendHandle } from 'node:child_process';
import { type EventEmitter, once } from 'node:events';
import { closeSync, constants, fstatSync, openSync } from 'node:fs';
import type { Family } from '../base/observe/metric-table.ts';
import { orUndefined } from '../base/or-undefined.ts';
import { AwakeCheck } from './awake-check.ts';
import { reason } from './failure.ts';
import {
  type Message,
  type MessageOf,
  messagesFrom,
  type PassedHandle,
  WORKER_VARIABLE,
  type WorkerStart,
} from './worker-role.ts';

const [STDOUT, STDERR] = [1, 2];
/** Connections on their way to a worker. The others stay where they are. */
const MAX_ARRIVING = 32;
/** A worker that has not answered by then gets no connection. They stay, and their calls are relayed. */
const AWAKE_MS = 2_000;
/** A pipe that has no reader any more fails then; otherwise this open would wait for one. */
const OPEN_PIPE = constants.O_WRONLY | constants.O_NONBLOCK;

/**
 * The same pipe, opened again. Processes that inherit a pipe share whether its writes block, and each start and end of
 * a Node.js process makes them block: a reader that stops would then stop the other processes. Other systems than Linux
 * cannot open a pipe again.
 */
const ownPipe = (fd: number): number | 'inherit' =>
  orUndefined(() =>
    fstatSync(fd).isFIFO() ? openSync(`/proc/self/fd/${fd}`, OPEN_PIPE) : undefined,
  ) ?? 'inherit';

export interface WorkerEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** Why the process could not be started. */
  readonly error?: Error;
}

export interface WorkerCommand {
  /** The program, `main.js`. */
  readonly program: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  /** What all workers of a supervisor show at the dashboard, where its operator gave no token. */
  readonly dashboardToken: string;
  /** The socket to serve on. */
  readonly fd: number;
}

/** A connection on its way between workers. */
export interface PassedConnection {
  readonly bytes: Uint8Array;
  readonly handle: PassedHandle;
}

export class WorkerProcess {
  readonly number: number;
  /** Resolves with `true` when the worker listens, and with `false` when it ends before. */
  readonly listening: Promise<boolean>;
  /** Resolves with `true` when the worker begins to drain, and with `false` when it ends without. */
  readonly left: Promise<boolean>;
  readonly ended: Promise<WorkerEnd>;
  readonly #child: ChildProcess;
  /** Emits what the worker reports. */
  readonly #reports: EventEmitter;
  /** For each connection that is being sent: settles with whether it was. */
  readonly #sending = new Set<(isSent: boolean) => void>();
  #arriving = 0;
  #isLeaving = false;
  readonly #awake: AwakeCheck;
  /** The time of `performance.now()`. `undefined`: the worker has not listened yet. */
  listensSince: number | undefined;

  constructor(number: number, command: WorkerCommand, start: WorkerStart) {
    const { program, args, env, dashboardToken, fd } = command;
    this.number = number;
    const [out, err] = [ownPipe(STDOUT), ownPipe(STDERR)];
    this.#child = fork(program, args, {
      // JSON has no Infinity, which a limit may be.
      serialization: 'advanced',
      env: { ...env, [WORKER_VARIABLE]: `${number} ${start} ${dashboardToken}` },
      // The fourth descriptor is WORKER_FD, the socket.
      stdio: ['ignore', out, err, fd, 'ipc'],
    });
    for (const opened of [out, err]) if (opened !== 'inherit') closeSync(opened);
    this.ended = new Promise((resolve) => {
      // `close` comes after the last message.
      this.#child.once('close', (code, signal) => resolve({ code, signal }));
      this.#child.on('error', (error) => {
        if (this.#child.pid === undefined) resolve({ code: null, signal: null, error });
      });
    });
    this.#reports = messagesFrom(this.#child);
    this.listening = this.#reported('listening').then((listens) => {
      if (listens) this.listensSince = performance.now();
      return listens;
    });
    this.left = this.#reported('leaving');
    this.#reports.once('leaving', () => (this.#isLeaving = true));
    const channel = { received: this.#reports, send: (order: Message) => this.#send(order) };
    this.#awake = new AwakeCheck(channel, AWAKE_MS);
    void this.ended.then(() => {
      for (const settle of this.#sending) settle(false);
    });
  }

  #reported(kind: Message['sojourn']): Promise<boolean> {
    return Promise.race([once(this.#reports, kind).then(() => true), this.ended.then(() => false)]);
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Drains the worker. A worker that does not listen yet has no sessions to hand over, so it is ended. */
  drain(how: Omit<MessageOf<'drain'>, 'sojourn'>): void {
    if (this.listensSince === undefined) this.#child.kill('SIGTERM');
    else this.#send({ sojourn: 'drain', ...how });
  }

  /** The values of now. `undefined`: the worker is busy or frozen for longer, or has ended. */
  async metrics(withinMs: number): Promise<readonly Family[] | undefined> {
    this.#send({ sojourn: 'measure' });
    const answer = once(this.#reports, 'metrics', { signal: AbortSignal.timeout(withinMs) });
    const [report] = (await answer.catch(() => [])) as [MessageOf<'metrics'>?];
    return report?.families;
  }

  /** The worker passes a connection, to worker `to` or to any other one. */
  onPass(pass: (connection: PassedConnection, to: number | undefined) => void): void {
    this.#reports.on('pass', ({ to, bytes }: MessageOf<'pass'>, handle?: PassedHandle) => {
      if (handle !== undefined) pass({ bytes, handle }, to);
    });
  }

  /** Resolves with `false` when the worker does not get the connection, which stays open here in either case. */
  async take(connection: PassedConnection): Promise<boolean> {
    if (!this.#takes || this.#arriving >= MAX_ARRIVING) return false;
    this.#arriving += 1;
    const isTaken =
      (await this.#awake.isAwake()) && this.#takes && (await this.takeBack(connection));
    this.#arriving -= 1;
    return isTaken;
  }

  /** The same for a connection that this worker has passed: it serves that one, also while it starts or drains. */
  takeBack({ bytes, handle }: PassedConnection): Promise<boolean> {
    return new Promise((resolve) => {
      const settle = (isSent: boolean): void => {
        this.#sending.delete(settle);
        resolve(isSent);
      };
      this.#sending.add(settle);
      const order: Message = { sojourn: 'passed', bytes };
      this.#child.send(order, handle as SendHandle, (error) => settle(error === null));
    });
  }

  get #takes(): boolean {
    return !this.#isLeaving && this.#child.connected;
  }

  /** A worker that has no connection is ending already. */
  #send(order: Message): void {
    if (this.#child.connected) this.#child.send(order, () => {});
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }
}

/** "exit code 1", "SIGKILL", "spawn EAGAIN" */
export function endText({ code, signal, error }: WorkerEnd): string {
  return error === undefined ? (signal ?? `exit code ${code}`) : reason(error);
}
