/**
 * One worker as its supervisor sees it: a process that runs this command again, on the socket that it is passed.
 *
 *     starting ──▶ listening ──asked, or by itself (SIGTERM)──▶ leaving ──▶ ended
 *
 * It may end from any state.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { reason } from './failure.ts';
import { isReport, type WorkerOrder } from './worker-messages.ts';
import { WORKER_VARIABLE } from './worker-role.ts';

/** For what an ended worker said last; the channel closes with the process. */
const LAST_WORDS_MS = 1_000;

export interface WorkerEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** Why it could not be started. */
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
  /** Its banner, once it listens; `undefined`: it ended before. */
  readonly listening: Promise<string | undefined>;
  /** It drains or has ended. */
  readonly left: Promise<void>;
  readonly ended: Promise<WorkerEnd>;
  readonly #child: ChildProcess;
  #leaving = false;
  #listeningSince: number | undefined;

  constructor(number: number, { program, args, env, fd }: WorkerCommand) {
    this.number = number;
    this.#child = fork(program, args, {
      env: { ...env, [WORKER_VARIABLE]: String(number) },
      // The socket is WORKER_FD.
      stdio: ['ignore', 'inherit', 'inherit', fd, 'ipc'],
    });
    this.ended = ended(this.#child);
    this.listening = new Promise((resolve) => {
      this.#child.on('message', (message) => {
        if (!isReport(message) || message.sojourn !== 'listening') return;
        this.#listeningSince = performance.now();
        resolve(message.banner);
      });
      void this.ended.then(() => resolve(undefined));
    });
    this.left = new Promise((resolve) => {
      this.#child.on('message', (message) => {
        if (!isReport(message) || message.sojourn !== 'leaving') return;
        this.#leaving = true;
        resolve();
      });
      void this.ended.then(() => resolve());
    });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  get leaving(): boolean {
    return this.#leaving;
  }

  /** ms since it began to listen; `undefined`: it never did. */
  get servedMs(): number | undefined {
    return this.#listeningSince === undefined ? undefined : performance.now() - this.#listeningSince;
  }

  /** One that does not listen yet has nothing to hand over, and just ends. */
  drain(socketCloses = false): void {
    if (this.#listeningSince === undefined) this.#child.kill('SIGTERM');
    // What cannot be told any more: it is ending.
    else if (this.#child.connected)
      this.#child.send({ sojourn: 'drain', socketCloses } satisfies WorkerOrder, () => {});
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }
}

async function ended(child: ChildProcess): Promise<WorkerEnd> {
  const gone = new Promise<WorkerEnd>((resolve) => {
    child.once('exit', (code, signal) => resolve({ code, signal }));
    child.on('error', (error) => {
      if (child.pid === undefined) resolve({ code: null, signal: null, error });
    });
  });
  const silent = once(child, 'disconnect');
  silent.catch(() => {});
  const end = await gone;
  if (child.connected) await Promise.race([silent.catch(() => {}), delay(LAST_WORDS_MS, undefined, { ref: false })]);
  return end;
}

/** "exit code 1", "SIGKILL", "spawn EAGAIN" */
export function endText({ code, signal, error }: WorkerEnd): string {
  return error === undefined ? (signal ?? `exit code ${code}`) : reason(error);
}
