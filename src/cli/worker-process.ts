/**
 * A worker process, as its supervisor sees it: it runs the same command again, on the socket that the supervisor
 * passes.
 *
 *     starting ──▶ listening ──told to drain, or SIGTERM──▶ leaving ──▶ ended
 *
 * A worker may end from any state.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, fstatSync, openSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { ProcessEnd } from '../dashboard/server/options.ts';
import { reason } from './failure.ts';
import { isMessage, type DrainOrder, type WorkerOrder, type WorkerReport } from './worker-messages.ts';
import { WORKER_VARIABLE, type WorkerStart } from './worker-role.ts';

/** How long to wait for the last messages of an ended worker. The channel closes after its process. */
const LAST_MESSAGES_MS = 1_000;

const [STDOUT, STDERR] = [1, 2];
/** A pipe that has no reader any more fails then; otherwise this open would wait for one. */
const OPEN_PIPE = constants.O_WRONLY | constants.O_NONBLOCK;

/**
 * The same pipe, opened again. Processes that inherit a pipe share whether its writes block, and each start and end of
 * a Node.js process makes them block: a reader that stops would then stop the other processes. Other systems than Linux
 * cannot open a pipe again.
 */
function ownPipe(fd: number): number | 'inherit' {
  try {
    return fstatSync(fd).isFIFO() ? openSync(`/proc/self/fd/${fd}`, OPEN_PIPE) : 'inherit';
  } catch {
    return 'inherit';
  }
}

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
  /** The socket to serve on. */
  readonly fd: number;
}

export class WorkerProcess {
  readonly number: number;
  /** Resolves with the banner when the worker listens, and with `undefined` when it ends before. */
  readonly listening: Promise<string | undefined>;
  /** Resolves when the worker waits for its store before it listens; `false`: it has ended. */
  readonly waiting: Promise<boolean>;
  /** Resolves when the worker begins to drain; `false`: it has ended. */
  readonly left: Promise<boolean>;
  /** Resolves when nothing but running calls keeps the worker from ending; `false`: it has ended. */
  readonly finishing: Promise<boolean>;
  readonly ended: Promise<WorkerEnd>;
  readonly #child: ChildProcess;
  #leaving = false;
  #instance: string | undefined;
  #listeningSince: number | undefined;

  /** `heard` gets each message, also those of loaders. */
  constructor(
    number: number,
    { program, args, env, fd }: WorkerCommand,
    start: WorkerStart = 'first',
    heard?: (message: unknown) => void,
  ) {
    this.number = number;
    const [out, err] = [ownPipe(STDOUT), ownPipe(STDERR)];
    this.#child = fork(program, args, {
      env: { ...env, [WORKER_VARIABLE]: `${number} ${start}` },
      // The fourth descriptor is WORKER_FD, the socket.
      stdio: ['ignore', out, err, fd, 'ipc'],
    });
    for (const opened of [out, err]) if (opened !== 'inherit') closeSync(opened);
    this.ended = ended(this.#child);
    if (heard !== undefined) this.#child.on('message', heard);
    this.listening = this.#reported('listening', undefined, ({ banner, instance }) => {
      this.#listeningSince = performance.now();
      this.#instance = instance;
      return banner;
    });
    this.waiting = this.#reported('waiting', false, () => true);
    this.finishing = this.#reported('finishing', false, () => true);
    this.left = this.#reported('leaving', false, () => (this.#leaving = true));
  }

  /** Resolves with what `note` returns, and with `none` when the worker ends before it reports this. */
  #reported<Kind extends WorkerReport['sojourn'], T>(
    kind: Kind,
    none: T,
    note: (report: Extract<WorkerReport, { sojourn: Kind }>) => T,
  ): Promise<T> {
    return new Promise((resolve) => {
      this.#child.on('message', (message) => {
        if (isMessage(message, kind)) resolve(note(message));
      });
      void this.ended.then(() => resolve(none));
    });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** The id of its instance when it began to listen. */
  get instance(): string | undefined {
    return this.#instance;
  }

  get leaving(): boolean {
    return this.#leaving;
  }

  /** ms since the worker began to listen; `undefined`: it does not listen yet. */
  get servedMs(): number | undefined {
    return this.#listeningSince === undefined ? undefined : performance.now() - this.#listeningSince;
  }

  /** Drains the worker. A worker that does not listen yet has no sessions to hand over, so it is ended. */
  drain(how: Omit<DrainOrder, 'sojourn'> = {}): void {
    if (this.#listeningSince === undefined) this.#child.kill('SIGTERM');
    // A worker that has no connection is ending already.
    else this.#send({ sojourn: 'drain', ...how });
  }

  /** The worker tells the clients of its sessions that every list may have changed. */
  announce(): void {
    this.#send({ sojourn: 'announce' });
  }

  /** The worker reports its metrics. */
  askMetrics(): void {
    this.#send({ sojourn: 'measure' });
  }

  /** Its dashboard says how another worker ended. */
  tellEnded(end: ProcessEnd): void {
    if (this.#listeningSince !== undefined) this.#send({ sojourn: 'ended', ...end });
  }

  /** A worker that waits for its store listens without it: the worker that it replaces has left. */
  listen(): void {
    if (this.#listeningSince === undefined) this.#send({ sojourn: 'listen' });
  }

  #send(order: WorkerOrder): void {
    if (this.#child.connected) this.#child.send(order, () => {});
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }
}

async function ended(child: ChildProcess): Promise<WorkerEnd> {
  const exited = new Promise<WorkerEnd>((resolve) => {
    child.once('exit', (code, signal) => resolve({ code, signal }));
    child.on('error', (error) => {
      if (child.pid === undefined) resolve({ code: null, signal: null, error });
    });
  });
  const disconnected = once(child, 'disconnect');
  disconnected.catch(() => {});
  const end = await exited;
  if (child.connected)
    await Promise.race([disconnected.catch(() => {}), delay(LAST_MESSAGES_MS, undefined, { ref: false })]);
  return end;
}

/** Signals that a process brings upon itself: V8 aborts when its heap is full. */
const CRASHES: ReadonlySet<unknown> = new Set([
  'SIGABRT',
  'SIGSEGV',
  'SIGBUS',
  'SIGILL',
  'SIGFPE',
  'SIGTRAP',
  'SIGSYS',
]);

/** `undefined`: it drained. */
export function endOf({ code, signal }: WorkerEnd): ProcessEnd['end'] | undefined {
  if (signal !== null) return CRASHES.has(signal) ? 'crashed' : 'killed';
  return code === 0 ? undefined : 'crashed';
}

/** "exit code 1", "SIGKILL", "spawn EAGAIN" */
export function endText({ code, signal, error }: WorkerEnd): string {
  return error === undefined ? (signal ?? `exit code ${code}`) : reason(error);
}
