/**
 * Keeps N workers at work. Each has a slot, whose number its log lines carry:
 *
 *     empty ──start──▶ starting ──listens──▶ serving ──died, or leaves by itself──▶ empty
 *                          │                    └──roll: another one listens──▶ asked to drain, the other one serves
 *                          └──died──▶ empty, after a pause
 *
 * The first worker starts alone: what is wrong with the module or the store is said once, and ends everything. Later a
 * worker that dies is replaced. A slot whose workers die before they listen, `MOST_FAILED_STARTS` times in a row, ends
 * everything, after the others drained. A worker that died while it served is replaced however often that happens, after a
 * pause that grows: requests of clients may be what kills it, and giving up would let them end the deployment.
 * When the supervisor itself is killed, its workers see their channel close, drain and end.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '../types.ts';
import { EXIT, Failure } from './failure.ts';
import { endText, type WorkerEnd, type WorkerProcess } from './worker-process.ts';

/** In a row, of one slot; with the pauses between them some seconds. */
const MOST_FAILED_STARTS = 5;
/** Before another try; doubled with each early death. */
const FIRST_PAUSE_MS = 100;
/** Long enough that a worker which dies at once costs little CPU, short enough that its slot serves most of the time. */
const LONGEST_PAUSE_MS = 3_200;
/** A worker that served this long begins the pauses anew. */
const YOUNG_MS = 1_000;
/** What a drain takes beyond its timeout: leaving the socket, closing connections, closing the store. */
const DRAIN_GRACE_MS = 4_000;

export interface SupervisorOptions {
  readonly workers: number;
  readonly drainTimeoutMs: number;
  readonly logger: Logger;
  launch(number: number): WorkerProcess;
}

interface Slot {
  readonly number: number;
  /** The one that serves here, or will. */
  worker: WorkerProcess | undefined;
  /** A roll decides who follows it. */
  rolling: boolean;
  /** Workers in a row that died before they listened. */
  failedStarts: number;
  /** Workers in a row that died before they had served `YOUNG_MS`; they set the pause. */
  earlyDeaths: number;
  /** Somebody is being found for it. */
  staffing: Promise<void> | undefined;
}

export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #slots: readonly Slot[];
  /** Every process that has not ended. */
  readonly #running = new Set<WorkerProcess>();
  readonly #stopping = new AbortController();
  readonly #failure: Promise<never>;
  #fail!: (failure: Failure) => void;
  #stopped: Promise<number> | undefined;
  #rolling: Promise<void> | undefined;
  #rollAgain = false;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#slots = Array.from({ length: options.workers }, (_, index) => ({
      number: index + 1,
      worker: undefined,
      rolling: false,
      failedStarts: 0,
      earlyDeaths: 0,
      staffing: undefined,
    }));
    this.#failure = new Promise((_, reject) => {
      this.#fail = reject;
    });
    this.#failure.catch(() => {});
  }

  /** Rejects when a worker cannot be kept alive. */
  get failure(): Promise<never> {
    return this.#failure;
  }

  /** The banner, once all listen; the exit code with which the first worker gave up; `undefined`: stopped meanwhile. */
  async start(): Promise<{ readonly banner: string } | { readonly code: number } | undefined> {
    const [first, ...others] = this.#slots;
    if (first === undefined) return undefined;
    const worker = this.#launch(first);
    first.worker = worker;
    const banner = await worker.listening;
    if (this.#stopping.signal.aborted) return undefined;
    if (banner === undefined) {
      const end = await worker.ended;
      // It said why.
      if (end.code !== null && end.code !== EXIT.ok) return { code: end.code };
      throw new Failure(`worker ${first.number} ended before it listened: ${endText(end)}`, { cause: end.error });
    }
    this.#serves(first, worker);
    await Promise.all(others.map((slot) => this.#staff(slot)));
    return this.#stopping.signal.aborted ? undefined : { banner };
  }

  /** Drains all; resolves with the exit code when none is left. `socketCloses`: the socket does not outlive them. */
  stop(socketCloses = false): Promise<number> {
    this.#stopping.abort();
    return (this.#stopped ??= (async () => {
      const running = [...this.#running];
      // Of several workers none knows whether it is the last to close the socket.
      const closes = socketCloses && running.length === 1;
      const ends = await Promise.all(running.map((worker) => this.#dismiss(worker, closes)));
      return ends.every(Boolean) ? EXIT.ok : EXIT.failed;
    })());
  }

  /** Ends all at once. */
  kill(): void {
    this.#stopping.abort();
    for (const worker of this.#running) worker.kill();
  }

  /** Replaces every worker, one after the other; asked meanwhile, once more. */
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

  /** `false`: the new one did not come to listen, and the old one goes on. */
  async #replace(slot: Slot): Promise<boolean> {
    // A worker may leave as soon as it listens: then the slot is being staffed once more.
    while (slot.staffing !== undefined) await slot.staffing;
    if (this.#stopping.signal.aborted) return false;
    const old = slot.worker;
    slot.rolling = true;
    const fresh = this.#launch(slot);
    const listens = (await fresh.listening) !== undefined;
    slot.rolling = false;
    if (this.#stopping.signal.aborted) return false;
    if (listens) {
      this.#serves(slot, fresh);
      if (old !== undefined) await this.#dismiss(old);
      return true;
    }
    const why = endText(await fresh.ended);
    this.#options.logger.error(
      { worker: slot.number, end: why },
      'rolling restart given up: a new worker ended before it listened; the others go on as they are',
    );
    // Meanwhile the old one may have gone: what it was to its slot was not looked at.
    if (old !== undefined) this.#watch(slot, old);
    return false;
  }

  #launch({ number }: Slot): WorkerProcess {
    const worker = this.#options.launch(number);
    this.#running.add(worker);
    void worker.ended.then(() => this.#running.delete(worker));
    return worker;
  }

  #serves(slot: Slot, worker: WorkerProcess): void {
    slot.worker = worker;
    this.#options.logger.info({ worker: slot.number, worker_pid: worker.pid }, 'worker listens');
    this.#watch(slot, worker);
  }

  #watch(slot: Slot, worker: WorkerProcess): void {
    void worker.left.then(() => this.#gone(slot, worker));
  }

  async #gone(slot: Slot, worker: WorkerProcess): Promise<void> {
    // A worker that leaves as soon as it listens: the attempt that started it has to settle before the next one begins.
    await slot.staffing;
    if (slot.worker !== worker || slot.rolling || this.#stopping.signal.aborted) return;
    slot.worker = undefined;
    if (worker.leaving) {
      slot.earlyDeaths = 0;
      this.#options.logger.info(
        { worker: slot.number, worker_pid: worker.pid },
        'worker leaves; another one takes its place',
      );
      void this.#dismissed(worker);
    } else {
      this.#died(slot, worker, await worker.ended);
    }
    await this.#staff(slot);
  }

  /** Told, or asked, to drain. `false`: it had to be killed, or failed. */
  async #dismiss(worker: WorkerProcess, socketCloses = false): Promise<boolean> {
    const asked = worker.servedMs !== undefined;
    worker.drain(socketCloses);
    const { code } = await this.#dismissed(worker);
    return code === EXIT.ok || !asked;
  }

  async #dismissed(worker: WorkerProcess): Promise<WorkerEnd> {
    const timer = setTimeout(() => {
      this.#options.logger.error(
        { worker: worker.number, worker_pid: worker.pid },
        'worker did not end its drain; killed',
      );
      worker.kill();
    }, this.#options.drainTimeoutMs + DRAIN_GRACE_MS);
    const end = await worker.ended;
    clearTimeout(timer);
    return end;
  }

  #died(slot: Slot, worker: WorkerProcess, end: WorkerEnd): void {
    const { servedMs } = worker;
    slot.failedStarts = servedMs === undefined ? slot.failedStarts + 1 : 0;
    // A worker that was killed from outside did not die of itself.
    const early = servedMs === undefined || (servedMs < YOUNG_MS && end.signal !== 'SIGKILL');
    slot.earlyDeaths = early ? slot.earlyDeaths + 1 : 0;
    this.#options.logger.error(
      { worker: slot.number, worker_pid: worker.pid, end: endText(end) },
      servedMs === undefined ? 'worker died before it listened' : 'worker died; another one takes its place',
    );
    if (slot.failedStarts < MOST_FAILED_STARTS) return;
    const failure = new Failure(
      `worker ${slot.number} died at its start ${slot.failedStarts} times in a row (the last time: ${endText(end)})`,
      { cause: end.error },
    );
    void this.stop().then(() => this.#fail(failure));
  }

  /** Resolves when somebody serves in the slot, or nobody will. */
  #staff(slot: Slot): Promise<void> {
    return (slot.staffing ??= this.#tryToStaff(slot).finally(() => {
      slot.staffing = undefined;
    }));
  }

  async #tryToStaff(slot: Slot): Promise<void> {
    const { signal } = this.#stopping;
    for (;;) {
      if (slot.earlyDeaths > 0) {
        const pauseMs = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (slot.earlyDeaths - 1));
        await delay(pauseMs, undefined, { signal }).catch(() => {});
      }
      if (signal.aborted) return;
      const worker = this.#launch(slot);
      slot.worker = worker;
      if ((await worker.listening) !== undefined) return this.#serves(slot, worker);
      const end = await worker.ended;
      if (signal.aborted) return;
      this.#died(slot, worker, end);
    }
  }
}
