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
 * In a rolling restart the new worker listens once its store is open. Every other worker but the first listens while
 * its store is away, and its requests wait there. The next restart does not wait for this one: a worker that still
 * starts is killed, and the workers before it drain beside the new ones.
 *
 * `sojourn dev` is a rolling restart for each edit. A build that does not load is tried again at the next edit.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { backoffMs, systemTime } from '../base/system.ts';
import type { Logger } from '../types.ts';
import { EXIT, Failure } from './failure.ts';
import { endText, type WorkerEnd, type WorkerProcess } from './worker-process.ts';
import type { WorkerStart } from './worker-role.ts';

/** Per slot and in a row. With the pauses between them these starts take some seconds. */
const MAX_FAILED_STARTS = 5;
/** The pause after the first early death of a slot. Each further early death doubles it. */
const FIRST_PAUSE_MS = 100;
/** Long enough that workers which die at once cost little CPU, short enough that the slot serves soon again. */
const MAX_PAUSE_MS = 3_200;
/** A worker that died after it served this long resets the pause. */
const STABLE_AFTER_MS = 1_000;
/** Time beyond the drain timeout: to stop accepting connections, close the open ones and close the store. */
const DRAIN_GRACE_MS = 4_000;
/** How long calls may take after Ctrl+C in `dev`, and the time beyond. */
const DEV_LAST = { timeoutMs: 700, graceMs: 1_000, isQuiet: true };
/** A signal to all processes reaches a worker first at times: its message is here before the own signal. */
const GROUP_SIGNAL_MS = 100;
/** How long a worker that an earlier restart still starts may take to end by itself. */
const OVERTAKEN = { timeoutMs: 0, graceMs: 300, isQuiet: true };
/** A build that has not ended by then waits for running calls. */
const HAND_OVER_MS = 3_000;

export interface SupervisorOptions {
  readonly workers: number;
  readonly drainTimeoutMs: number;
  readonly logger: Logger;
  /** `sojourn dev`. */
  readonly dev?: boolean;
  launch(number: number, start: WorkerStart): WorkerProcess;
}

interface Slot {
  readonly number: number;
  serving: WorkerProcess | undefined;
  /** The worker that starts. Once it listens, it serves. */
  next: WorkerProcess | undefined;
  /** Workers in a row that died before they listened. */
  failedStarts: number;
  /** Workers in a row that died before they had served `STABLE_AFTER_MS`. They set the pause. */
  earlyDeaths: number;
}

interface Started {
  readonly worker: WorkerProcess;
  /** The worker that served before in the slot. */
  readonly old: WorkerProcess | undefined;
  /** How the worker ended before it listened. */
  readonly end?: WorkerEnd;
  /** Another worker was started in the slot since. */
  readonly overtaken?: boolean;
}

export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #slots: readonly Slot[];
  /** The worker processes that have not ended. */
  readonly #running = new Set<WorkerProcess>();
  readonly #stopping = new AbortController();
  /** Resolves with the banner of the first worker that listens. */
  readonly #banner: Promise<string>;
  #listens!: (banner: string) => void;
  #hasServed = false;
  /** Rejects when a worker cannot be kept alive. */
  readonly #failure: Promise<never>;
  #fail!: (failure: Failure) => void;
  #stopped: Promise<number> | undefined;
  /** Rolling restarts that have begun. */
  #rolls = 0;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#slots = Array.from({ length: options.workers }, (_, index) => ({
      number: index + 1,
      serving: undefined,
      next: undefined,
      failedStarts: 0,
      earlyDeaths: 0,
    }));
    this.#banner = new Promise((resolve) => (this.#listens = resolve));
    this.#failure = new Promise((_, reject) => (this.#fail = reject));
    this.#failure.catch(() => {});
  }

  /**
   * Prints the banner when all workers listen. Resolves with the exit code when the first worker failed, and rejects
   * when a worker cannot be kept alive. After `stop` it may stay pending.
   */
  async run(print: (banner: string) => void): Promise<number> {
    const [first, ...others] = this.#slots;
    if (first === undefined) return EXIT.ok;
    const started = await this.#startIn(first);
    const { end } = started;
    if (end !== undefined && !this.#isStopping) {
      // The worker has printed the reason.
      const { code } = end;
      if (this.#options.dev === true && code !== EXIT.usage) this.#notLoaded(first, started);
      else if (code !== null && code !== EXIT.ok) return code;
      else throw new Failure(`worker ${first.number} ended before it listened: ${endText(end)}`, { cause: end.error });
    }
    const banner = await this.#banner;
    await Promise.race([Promise.all(others.map((slot) => this.#fill(slot))), this.#failure]);
    if (!this.#isStopping) print(banner);
    return this.#failure;
  }

  /**
   * Drains all workers. Resolves with the exit code when all have ended. `socketCloses`: no other process holds the
   * socket.
   */
  stop(socketCloses = false): Promise<number> {
    this.#stopping.abort();
    return (this.#stopped ??= (async () => {
      const running = [...this.#running];
      const { dev = false } = this.#options;
      // With several workers, no worker knows whether it is the last to close the socket.
      const closes = socketCloses && running.length === 1;
      const ends = await Promise.all(
        running.map((worker) => this.#drain(worker, { socketCloses: closes, ...(dev && DEV_LAST) })),
      );
      return dev || ends.every(Boolean) ? EXIT.ok : EXIT.failed;
    })());
  }

  /** Kills all workers. */
  kill(): void {
    this.#stopping.abort();
    for (const worker of this.#running) worker.kill();
  }

  /** Replaces every worker, one after the other. A worker that still starts may wait for ever, or have older code. */
  async roll(): Promise<void> {
    const { logger, dev = false } = this.#options;
    // If the first worker fails, the command ends.
    if (!dev) await this.#banner;
    if (this.#isStopping) return;
    const roll = (this.#rolls += 1);
    const workers = this.#slots.length;
    if (!dev) logger.info({ workers }, 'rolling restart');
    for (const slot of this.#slots)
      if (this.#isStopping || !(await this.#replace(slot)) || roll !== this.#rolls) return;
    if (!dev) logger.info({ workers }, 'rolling restart done');
  }

  get #isStopping(): boolean {
    return this.#stopping.signal.aborted;
  }

  /** `false`: the new worker ended before it listened, so the old one keeps serving. */
  async #replace(slot: Slot): Promise<boolean> {
    const { logger, dev = false } = this.#options;
    const [began, isFirst] = [performance.now(), !this.#hasServed];
    if (slot.next !== undefined) void this.#drain(slot.next, OVERTAKEN);
    const started = await this.#startIn(slot);
    if (started.end !== undefined) this.#notLoaded(slot, started);
    if (started.end !== undefined || this.#isStopping) return false;
    const { worker, old } = started;
    // The worker before may have crashed by now.
    const drained = old === undefined || this.#drain(old).then(() => true);
    // The banner says that the first one listens.
    if (!dev || isFirst) return drained;
    const seconds = ((performance.now() - began) / 1_000).toFixed(1);
    const isOver = await Promise.race([drained, delay(HAND_OVER_MS, false, { ref: false })]);
    if (slot.serving !== worker || this.#isStopping) return false;
    const calls = isOver ? '' : '; a session whose call still runs stays with the build before until that call ends';
    logger.info({}, `loaded in ${seconds} s: the next call runs this build${calls}`);
    return true;
  }

  /** The new worker ended before it listened. It has printed the reason, unless a later one has overtaken it. */
  #notLoaded({ number, serving }: Slot, { end, overtaken }: Started): void {
    if (this.#isStopping || overtaken === true || end === undefined) return;
    const { logger, dev = false } = this.#options;
    if (!dev)
      return logger.error(
        { worker: number, end: endText(end) },
        'rolling restart given up: a new worker ended before it listened; the other workers keep running',
      );
    const how = end.code === EXIT.failed || end.code === EXIT.usage ? {} : { end: endText(end) };
    const rest = serving === undefined ? 'nothing is served' : 'the last good build keeps serving';
    logger.warn(how, `not loaded: ${rest} until the next edit`);
  }

  #log(level: 'info' | 'error', { number, pid }: WorkerProcess, text: string, more?: object): void {
    this.#options.logger[level]({ worker: number, worker_pid: pid, ...more }, text);
  }

  /** Starts a worker in a slot, beside the worker that serves there. Resolves when it listens, or has ended. */
  async #startIn(slot: Slot): Promise<Started> {
    const start = slot.serving !== undefined ? 'beside' : this.#hasServed ? 'again' : 'first';
    const worker = this.#options.launch(slot.number, start);
    this.#running.add(worker);
    void worker.ended.then(() => this.#running.delete(worker));
    slot.next = worker;
    const banner = await worker.listening;
    const overtaken = slot.next !== worker;
    if (!overtaken) slot.next = undefined;
    const old = slot.serving;
    if (banner === undefined || overtaken) return { worker, old, overtaken, end: await worker.ended };
    if (this.#isStopping) return { worker, old };
    this.#hasServed = true;
    slot.serving = worker;
    this.#listens(banner);
    if (this.#options.dev !== true) this.#log('info', worker, 'worker listens');
    void worker.left.then((leaves) => this.#replaceLeaving(slot, worker, leaves === true));
    return { worker, old };
  }

  /** Starts another worker after one drains by itself or has died. */
  async #replaceLeaving(slot: Slot, worker: WorkerProcess, leaves: boolean): Promise<void> {
    if (leaves) await delay(GROUP_SIGNAL_MS, undefined, { signal: this.#stopping.signal }).catch(() => {});
    const end = leaves ? undefined : await worker.ended;
    // A rolling restart has replaced it by now.
    if (slot.serving !== worker || this.#isStopping) return;
    slot.serving = undefined;
    if (end === undefined) {
      slot.earlyDeaths = 0;
      this.#log('info', worker, 'worker drains; another one takes its place');
      void this.#untilEnded(worker);
    } else {
      this.#died(slot, worker, end);
    }
    await this.#fill(slot);
  }

  /** Drains a worker, and kills it when the drain takes too long. `false`: the worker was killed or failed. */
  async #drain(
    worker: WorkerProcess,
    { socketCloses = false, timeoutMs = this.#options.drainTimeoutMs, graceMs = DRAIN_GRACE_MS, isQuiet = false } = {},
  ): Promise<boolean> {
    const hasServed = worker.servedMs !== undefined;
    worker.drain({ socketCloses, timeoutMs });
    const { code } = await this.#untilEnded(worker, timeoutMs + graceMs, isQuiet);
    return code === EXIT.ok || !hasServed;
  }

  async #untilEnded(
    worker: WorkerProcess,
    withinMs = this.#options.drainTimeoutMs + DRAIN_GRACE_MS,
    isQuiet = false,
  ): Promise<WorkerEnd> {
    const timer = systemTime.setTimeout(() => {
      if (!isQuiet) this.#log('error', worker, 'worker did not end within its drain timeout; it is killed');
      worker.kill();
    }, withinMs);
    const end = await worker.ended;
    systemTime.clearTimeout(timer);
    return end;
  }

  #died(slot: Slot, worker: WorkerProcess, end: WorkerEnd): void {
    const { servedMs } = worker;
    slot.failedStarts = servedMs === undefined ? slot.failedStarts + 1 : 0;
    // SIGKILL comes from outside, so the worker itself may be healthy.
    const early = servedMs === undefined || (servedMs < STABLE_AFTER_MS && end.signal !== 'SIGKILL');
    slot.earlyDeaths = early ? slot.earlyDeaths + 1 : 0;
    const how = { end: endText(end) };
    if (this.#options.dev === true)
      return this.#options.logger.error(how, 'the server crashed; it starts again, and sessions continue');
    const text = servedMs === undefined ? 'worker died before it listened' : 'worker died; another one takes its place';
    this.#log('error', worker, text, how);
    if (slot.failedStarts < MAX_FAILED_STARTS) return;
    const failure = new Failure(
      `worker ${slot.number} died before it listened, ${slot.failedStarts} times in a row (last: ${how.end}); see the log above`,
      { cause: end.error },
    );
    void this.stop().then(() => this.#fail(failure));
  }

  /** Resolves when a worker serves in the slot, when the supervisor stops, or when a build waits for an edit. */
  async #fill(slot: Slot): Promise<void> {
    while (slot.serving === undefined && !this.#isStopping) {
      if (slot.next === undefined && slot.earlyDeaths > 0) {
        const pauseMs = backoffMs(slot.earlyDeaths - 1, FIRST_PAUSE_MS, MAX_PAUSE_MS);
        await delay(pauseMs, undefined, { signal: this.#stopping.signal }).catch(() => {});
        if (this.#isStopping) return;
      }
      if (slot.next !== undefined) {
        await slot.next.listening;
        continue;
      }
      const started = await this.#startIn(slot);
      if (started.end === undefined || this.#isStopping) return;
      if (this.#options.dev === true) return this.#notLoaded(slot, started);
      if (started.overtaken !== true) this.#died(slot, started.worker, started.end);
    }
  }
}
