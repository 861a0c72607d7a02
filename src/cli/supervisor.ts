/**
 * Keeps N workers running. Each worker has a slot, and its log lines carry the slot's number:
 *
 *     empty ──start──▶ starting ──listens──▶ serving ──died, or drains after a SIGTERM──▶ empty
 *                          │                    └──rolling restart: the replacement listens──▶ drains, then ends
 *                          └──died──▶ empty, after a pause
 *
 * The first worker starts alone. An error in the module or the store is then logged once and ends the command. Later
 * the supervisor replaces each worker that dies. When `MAX_FAILED_STARTS` workers of one slot in a row die before they
 * listen, the supervisor drains the others and ends. A worker that dies after it listened is always replaced, after a
 * pause that grows: a client's request may have killed it, and no client may be able to end the deployment. When the
 * supervisor itself is killed, each worker sees its channel close, leaves the socket, drains and ends.
 *
 * In a rolling restart the new worker listens once its store is open, as long as the old one lives. Every other worker
 * but the first listens while its store is away, and its requests wait there.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { backoffMs } from '../base/system.ts';
import type { Logger } from '../types.ts';
import type { ProcessEnd } from '../dashboard/server/options.ts';
import { EXIT, Failure } from './failure.ts';
import { endOf, endText, type WorkerEnd, type WorkerProcess } from './worker-process.ts';
import type { WorkerStart } from './worker-role.ts';

/** Per slot and in a row. With the pauses between them these starts take some seconds. */
const MAX_FAILED_STARTS = 5;
/** The pause after the first early death of a slot. Each further early death doubles it. */
export const FIRST_PAUSE_MS = 100;
/** Long enough that workers which die at once cost little CPU, short enough that the slot serves soon again. */
export const MAX_PAUSE_MS = 3_200;
/** A worker that died after it served this long resets the pause. */
export const STABLE_AFTER_MS = 1_000;
/** Time beyond the drain timeout: to stop accepting connections, close the open ones and close the store. */
export const DRAIN_GRACE_MS = 4_000;
/** A worker that listens so soon after the end of another one gets it: the lease of the dead one is still there. */
const END_NEWS_MS = 10_000;
/** A signal to all processes reaches a worker first at times: its message is here before the own signal. */
const GROUP_SIGNAL_MS = 100;

const STORE_AWAY =
  'rolling restart: the session store of the new worker is away; the old worker serves until it is open';

export interface SupervisorOptions {
  readonly workers: number;
  readonly drainTimeoutMs: number;
  readonly logger: Logger;
  launch(number: number, start: WorkerStart): WorkerProcess;
}

interface Slot {
  readonly number: number;
  /** The worker that serves or starts in this slot. */
  worker: WorkerProcess | undefined;
  /** Workers in a row that died before they listened. */
  failedStarts: number;
  /** Workers in a row that died before they had served `STABLE_AFTER_MS`. They set the pause. */
  earlyDeaths: number;
  /** Pending while a worker is started for this slot, in a rolling restart too. One start follows the other. */
  starting: Promise<unknown> | undefined;
}

export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #slots: readonly Slot[];
  /** The worker processes that have not ended. */
  readonly #running = new Set<WorkerProcess>();
  readonly #stopping = new AbortController();
  #lastEnd: (ProcessEnd & { readonly at: number }) | undefined;
  /** Rejects when a worker cannot be kept alive. */
  readonly failure: Promise<never>;
  #fail!: (failure: Failure) => void;
  #stopped: Promise<number> | undefined;
  #rolling: Promise<void> | undefined;
  #rollAgain = false;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#slots = Array.from({ length: options.workers }, (_, index) => ({
      number: index + 1,
      worker: undefined,
      failedStarts: 0,
      earlyDeaths: 0,
      starting: undefined,
    }));
    this.failure = new Promise((_, reject) => (this.#fail = reject));
    this.failure.catch(() => {});
  }

  /**
   * Resolves with the banner when all workers listen, with the exit code when the first worker failed, and with
   * `undefined` when `stop` was called first.
   */
  async start(): Promise<{ readonly banner: string } | { readonly code: number } | undefined> {
    const [first, ...others] = this.#slots;
    if (first === undefined) return undefined;
    const worker = this.#launch(first, 'first');
    first.worker = worker;
    const banner = await worker.listening;
    if (this.#stopping.signal.aborted) return undefined;
    if (banner === undefined) {
      const end = await worker.ended;
      // The worker has printed the reason.
      if (end.code !== null && end.code !== EXIT.ok) return { code: end.code };
      throw new Failure(`worker ${first.number} ended before it listened: ${endText(end)}`, { cause: end.error });
    }
    this.#setServing(first, worker);
    await Promise.all(others.map((slot) => this.#startWorker(slot)));
    return this.#stopping.signal.aborted ? undefined : { banner };
  }

  /**
   * Drains all workers. Resolves with the exit code when all have ended. `socketCloses`: no other process holds the
   * socket.
   */
  stop(socketCloses = false): Promise<number> {
    this.#stopping.abort();
    return (this.#stopped ??= (async () => {
      const running = [...this.#running];
      // With several workers, no worker knows whether it is the last to close the socket.
      const closes = socketCloses && running.length === 1;
      const ends = await Promise.all(running.map((worker) => this.#drain(worker, closes)));
      return ends.every(Boolean) ? EXIT.ok : EXIT.failed;
    })());
  }

  /** Kills all workers. */
  kill(): void {
    this.#stopping.abort();
    for (const worker of this.#running) worker.kill();
  }

  /** Replaces every worker, one after the other. A call during a rolling restart repeats it afterwards. */
  roll(): Promise<void> {
    if (this.#rolling !== undefined) this.#rollAgain = true;
    return (this.#rolling ??= this.#roll().finally(() => {
      this.#rolling = undefined;
    }));
  }

  async #roll(): Promise<void> {
    const { logger } = this.#options;
    do {
      this.#rollAgain = false;
      logger.info({ workers: this.#slots.length }, 'rolling restart');
      for (const slot of this.#slots) {
        if (!(await this.#replace(slot))) return;
      }
      logger.info({ workers: this.#slots.length }, 'rolling restart done');
    } while (this.#rollAgain);
  }

  /** `false`: the new worker ended before it listened, so the old one keeps serving. */
  async #replace(slot: Slot): Promise<boolean> {
    // A worker may leave as soon as it listens. Then the slot starts another one first.
    while (slot.starting !== undefined) await slot.starting;
    if (this.#stopping.signal.aborted) return false;
    const old = slot.worker;
    const replacement = this.#launch(slot, old === undefined ? 'again' : 'beside');
    void replacement.waiting.then((waits) => {
      if (waits) this.#log('warn', replacement, STORE_AWAY);
    });
    void old?.left.then(() => replacement.listen());
    const starting = replacement.listening.then((banner) => {
      slot.starting = undefined;
      if (banner !== undefined && !this.#stopping.signal.aborted) this.#setServing(slot, replacement);
      return banner;
    });
    slot.starting = starting;
    const listens = (await starting) !== undefined;
    if (this.#stopping.signal.aborted) return false;
    if (listens) {
      if (old !== undefined) await this.#drain(old);
      return true;
    }
    const end = endText(await replacement.ended);
    this.#options.logger.error(
      { worker: slot.number, end },
      'rolling restart given up: a new worker ended before it listened; the other workers keep running',
    );
    return false;
  }

  #log(level: 'info' | 'warn' | 'error', { number, pid }: WorkerProcess, text: string, more?: object): void {
    this.#options.logger[level]({ worker: number, worker_pid: pid, ...more }, text);
  }

  #launch({ number }: Slot, start: WorkerStart): WorkerProcess {
    const worker = this.#options.launch(number, start);
    this.#running.add(worker);
    void worker.ended.then((end) => {
      this.#running.delete(worker);
      this.#tellEnd(worker, end);
    });
    return worker;
  }

  /** The other workers say it in their dashboards. A worker that starts now hears it when it listens. */
  #tellEnd({ pid, instance, servedMs }: WorkerProcess, workerEnd: WorkerEnd): void {
    const end = endOf(workerEnd);
    if (end === undefined || pid === undefined || servedMs === undefined) return;
    this.#lastEnd = { at: performance.now(), pid, instance, end };
    for (const other of this.#running) other.tellEnded({ pid, instance, end });
  }

  #setServing(slot: Slot, worker: WorkerProcess): void {
    slot.worker = worker;
    this.#log('info', worker, 'worker listens');
    const { at, ...end } = this.#lastEnd ?? { at: -Infinity, pid: 0, end: 'killed' };
    // Another process may have its id later.
    if (performance.now() - at < END_NEWS_MS && end.pid !== worker.pid) worker.tellEnded(end);
    void worker.left.then(() => this.#replaceLeaving(slot, worker));
  }

  /** Starts another worker after one drains by itself or has died. */
  async #replaceLeaving(slot: Slot, worker: WorkerProcess): Promise<void> {
    if (worker.leaving) await delay(GROUP_SIGNAL_MS, undefined, { signal: this.#stopping.signal }).catch(() => {});
    const end = worker.leaving ? undefined : await worker.ended;
    while (slot.starting !== undefined) await slot.starting;
    // A rolling restart has replaced it by now.
    if (slot.worker !== worker || this.#stopping.signal.aborted) return;
    slot.worker = undefined;
    if (end === undefined) {
      slot.earlyDeaths = 0;
      this.#log('info', worker, 'worker drains; another one takes its place');
      void this.#untilEnded(worker);
    } else {
      this.#died(slot, worker, end);
    }
    await this.#startWorker(slot);
  }

  /** Drains a worker, and kills it when the drain takes too long. `false`: the worker was killed or failed. */
  async #drain(worker: WorkerProcess, socketCloses = false): Promise<boolean> {
    const hasServed = worker.servedMs !== undefined;
    worker.drain({ socketCloses });
    const { code } = await this.#untilEnded(worker);
    return code === EXIT.ok || !hasServed;
  }

  async #untilEnded(worker: WorkerProcess): Promise<WorkerEnd> {
    const timer = setTimeout(() => {
      this.#log('error', worker, 'worker did not end within its drain timeout; it is killed');
      worker.kill();
    }, this.#options.drainTimeoutMs + DRAIN_GRACE_MS);
    const end = await worker.ended;
    clearTimeout(timer);
    return end;
  }

  #died(slot: Slot, worker: WorkerProcess, end: WorkerEnd): void {
    const { servedMs } = worker;
    slot.failedStarts = servedMs === undefined ? slot.failedStarts + 1 : 0;
    // SIGKILL comes from outside, so the worker itself may be healthy.
    const early = servedMs === undefined || (servedMs < STABLE_AFTER_MS && end.signal !== 'SIGKILL');
    slot.earlyDeaths = early ? slot.earlyDeaths + 1 : 0;
    const text = servedMs === undefined ? 'worker died before it listened' : 'worker died; another one takes its place';
    this.#log('error', worker, text, { end: endText(end) });
    if (slot.failedStarts < MAX_FAILED_STARTS) return;
    const failure = new Failure(
      `worker ${slot.number} died before it listened, ${slot.failedStarts} times in a row (last: ${endText(end)}); see the log above`,
      { cause: end.error },
    );
    void this.stop().then(() => this.#fail(failure));
  }

  /** Resolves when a worker serves in the slot, or when the supervisor stops. */
  #startWorker(slot: Slot): Promise<unknown> {
    return (slot.starting ??= this.#tryToStart(slot).finally(() => {
      slot.starting = undefined;
    }));
  }

  async #tryToStart(slot: Slot): Promise<void> {
    const { signal } = this.#stopping;
    for (;;) {
      if (slot.earlyDeaths > 0) {
        const pauseMs = backoffMs(slot.earlyDeaths - 1, FIRST_PAUSE_MS, MAX_PAUSE_MS);
        await delay(pauseMs, undefined, { signal }).catch(() => {});
      }
      if (signal.aborted) return;
      const worker = this.#launch(slot, 'again');
      slot.worker = worker;
      if ((await worker.listening) !== undefined) return this.#setServing(slot, worker);
      const end = await worker.ended;
      if (signal.aborted) return;
      this.#died(slot, worker, end);
    }
  }
}
