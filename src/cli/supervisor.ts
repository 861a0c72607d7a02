/**
 * Keeps N workers running. Each worker has a slot, and its log lines carry the slot's number:
 *
 *     empty ──start──▶ starting ──listens──▶ serving ──died, or drains after a SIGTERM──▶ empty
 *                          │                    └──restart: another worker starts, and listens──▶ drains, then ends
 *                          └──died──▶ as before the start
 *
 * An empty slot starts a worker. The first worker starts alone. An error in the module or the store is then logged once
 * and ends the command. When `MAX_FAILED_STARTS` workers of one slot in a row die before they listen, the supervisor
 * drains the others and ends. A worker that dies after it listened is always replaced: a client's request may have
 * killed it, and no client may be able to end the deployment. When the supervisor itself is killed, each worker sees
 * its channel close, leaves the socket, drains and ends.
 *
 * In a rolling restart the new worker listens once its store is open. Every other worker but the first listens while
 * its store is away, and its requests wait there. The next restart does not wait for this one: a worker that still
 * starts is ended, and the workers before it drain beside the new ones.
 *
 * `sojourn dev` is a rolling restart for each edit. A build that does not load is tried again at the next edit.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { systemTime } from '../base/system.ts';
import type { Logger } from '../base/types.ts';
import { EXIT, Failure } from './failure.ts';
import {
  endText,
  type PassedConnection,
  type WorkerEnd,
  type WorkerProcess,
} from './worker-process.ts';
import type { WorkerStart } from './worker-role.ts';

/** Per slot and in a row. With the pauses between them these starts take some seconds. */
const MAX_FAILED_STARTS = 5;
/** A worker that dies before it has served this long is replaced after this time: many such starts cost little CPU. */
const EARLY_MS = 1_000;
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

export class Slot {
  readonly number: number;
  serving: WorkerProcess | undefined;
  /** The worker that starts. Once it listens, it serves. */
  next: WorkerProcess | undefined;
  /** Workers in a row that died before they listened. */
  failedStarts = 0;
  /** All workers that crashed or were killed. */
  deaths = 0;

  constructor(number: number) {
    this.number = number;
  }
}

export class Supervisor {
  readonly slots: readonly Slot[];
  readonly #options: SupervisorOptions;
  /** The worker processes that have not ended. */
  readonly #running = new Set<WorkerProcess>();
  #hasServed = false;
  #end!: (outcome: number | Promise<never>) => void;
  /** Pending while all workers drain. */
  #stopped: Promise<number> | undefined;
  /** Rolling restarts that have begun. */
  #rolls = 0;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.slots = Array.from({ length: options.workers }, (_, index) => new Slot(index + 1));
  }

  /**
   * Resolves with the exit code when the first worker failed, and rejects when a worker cannot be kept alive. After
   * `stop` it may stay pending.
   */
  run(): Promise<number> {
    for (const slot of this.slots.slice(0, 1)) void this.#start(slot);
    return new Promise((resolve) => (this.#end = resolve));
  }

  /**
   * Drains all workers. Resolves with the exit code when all have ended. `socketCloses`: no other process holds the
   * socket.
   */
  stop(socketCloses = false): Promise<number> {
    return (this.#stopped ??= this.#drainAll(socketCloses));
  }

  /** Kills all workers, while they drain. */
  kill(): void {
    for (const worker of this.#running) worker.kill();
  }

  /** Replaces every worker, one after the other. A worker that still starts may wait for ever, or have older code. */
  async roll(): Promise<void> {
    if (this.#isStopping) return;
    const { logger, dev = false, workers } = this.#options;
    const [roll, began] = [(this.#rolls += 1), performance.now()];
    if (!dev) logger.info({ workers }, 'rolling restart');
    for (const slot of this.slots) {
      const started = await this.#start(slot);
      if (started === undefined) return;
      const seconds = ((performance.now() - began) / 1_000).toFixed(1);
      const late = dev ? [delay(HAND_OVER_MS, false, { ref: false })] : [];
      const isOver = await Promise.race([started.drained.then(() => true), ...late]);
      if (roll !== this.#rolls || this.#isStopping) return;
      const calls = isOver
        ? ''
        : '; a session whose call still runs stays with the build before until that call ends';
      if (dev) logger.info({}, `loaded in ${seconds} s: the next call runs this build${calls}`);
    }
    if (!dev) logger.info({ workers }, 'rolling restart done');
  }

  /** Sends a connection to the worker that its session names, or back, or to any other worker that serves. */
  async #pass(
    from: WorkerProcess,
    connection: PassedConnection,
    to: number | undefined,
  ): Promise<void> {
    // A worker that names no other worker has closed its socket.
    const isTaken =
      to !== undefined &&
      ((await this.slots[to - 1]?.serving?.take(connection)) === true ||
        (await from.takeBack(connection)));
    for (const { serving } of isTaken ? [] : this.slots)
      if (serving !== from && (await serving?.take(connection)) === true) break;
    // The worker that has taken the connection has a descriptor of its own.
    connection.handle.close();
  }

  get #isStopping(): boolean {
    return this.#stopped !== undefined;
  }

  #log(level: 'info' | 'error', { number, pid }: WorkerProcess, text: string, more?: object): void {
    this.#options.logger[level]({ worker: number, worker_pid: pid, ...more }, text);
  }

  /**
   * Starts a worker in a slot. Resolves once it serves, while the worker before drains. `undefined`: it ended before it
   * listened, or another worker was started in the slot since.
   */
  async #start(slot: Slot): Promise<{ readonly drained: Promise<unknown> } | undefined> {
    const { launch, dev = false } = this.#options;
    if (slot.next !== undefined) void this.#drain(slot.next, OVERTAKEN);
    const start = slot.serving !== undefined ? 'beside' : this.#hasServed ? 'again' : 'first';
    const worker = launch(slot.number, start);
    slot.next = worker;
    this.#running.add(worker);
    worker.onPass((connection, to) => void this.#pass(worker, connection, to));
    void worker.ended.then(({ code }) => {
      this.#running.delete(worker);
      // A restart ends a worker that still starts. That is no death.
      if (code !== EXIT.ok && (slot.next === worker || worker.listensSince !== undefined))
        slot.deaths += 1;
    });
    const listens = await worker.listening;
    if (slot.next !== worker || this.#isStopping) return undefined;
    slot.next = undefined;
    if (!listens) {
      this.#notStarted(slot, worker, await worker.ended);
      return undefined;
    }
    const old = slot.serving;
    slot.serving = worker;
    slot.failedStarts = 0;
    if (!dev) this.#log('info', worker, 'worker listens');
    void this.#replaceLeaving(slot, worker);
    const others = this.#hasServed ? [] : this.slots.slice(1);
    this.#hasServed = true;
    for (const other of others) void this.#start(other);
    return { drained: old === undefined ? Promise.resolve() : this.#drain(old) };
  }

  /** The worker has printed the reason. */
  #notStarted(slot: Slot, worker: WorkerProcess, end: WorkerEnd): void {
    const { logger, dev = false } = this.#options;
    const { number, serving } = slot;
    const { code, error: cause } = end;
    const how = { end: endText(end) };
    if (!this.#hasServed && (!dev || code === EXIT.usage)) {
      if (code !== null && code !== EXIT.ok) return this.#endWith(code);
      return this.#endWith(
        new Failure(`worker ${number} ended before it listened: ${how.end}`, { cause }),
      );
    }
    if (dev) {
      const rest =
        serving === undefined ? 'nothing is served' : 'the last good build keeps serving';
      const isPrinted = code === EXIT.failed || code === EXIT.usage;
      return logger.warn(isPrinted ? {} : how, `not loaded: ${rest} until the next edit`);
    }
    if (serving !== undefined) {
      return logger.error(
        { worker: number, ...how },
        'rolling restart given up: a new worker ended before it listened; the other workers keep running',
      );
    }
    this.#log('error', worker, 'worker died before it listened', how);
    slot.failedStarts += 1;
    if (slot.failedStarts < MAX_FAILED_STARTS) return void this.#fill(slot, EARLY_MS);
    const times = `${MAX_FAILED_STARTS} times in a row (last: ${how.end}); see the log above`;
    this.#endWith(new Failure(`worker ${number} died before it listened, ${times}`, { cause }));
  }

  /** Starts another worker after one drains by itself or has died. */
  async #replaceLeaving(slot: Slot, worker: WorkerProcess): Promise<void> {
    const leaves = await worker.left;
    if (leaves) await delay(GROUP_SIGNAL_MS);
    const end = leaves ? undefined : await worker.ended;
    // A rolling restart has replaced it by now.
    if (slot.serving !== worker || this.#isStopping) return;
    slot.serving = undefined;
    if (end === undefined) {
      this.#log('info', worker, 'worker drains; another one takes its place');
      void this.#drain(worker);
    } else if (this.#options.dev === true) {
      const how = { end: endText(end) };
      this.#options.logger.error(how, 'the server crashed; it starts again, and sessions continue');
    } else {
      this.#log('error', worker, 'worker died; another one takes its place', { end: endText(end) });
    }
    const isEarly = !leaves && performance.now() - (worker.listensSince ?? 0) < EARLY_MS;
    await this.#fill(slot, isEarly ? EARLY_MS : 0);
  }

  /** Starts a worker in a slot that is empty. */
  async #fill(slot: Slot, pauseMs: number): Promise<void> {
    if (pauseMs > 0) await delay(pauseMs);
    // A rolling restart may have started one.
    if (slot.serving === undefined && slot.next === undefined && !this.#isStopping)
      await this.#start(slot);
  }

  /** Drains a worker, and kills it when the drain takes too long. `false`: the worker was killed or failed. */
  async #drain(
    worker: WorkerProcess,
    {
      socketCloses = false,
      timeoutMs = this.#options.drainTimeoutMs,
      graceMs = DRAIN_GRACE_MS,
      isQuiet = false,
    } = {},
  ): Promise<boolean> {
    worker.drain({ socketCloses, timeoutMs });
    const timer = systemTime.setTimeout(() => {
      if (!isQuiet)
        this.#log('error', worker, 'worker did not end within its drain timeout; it is killed');
      worker.kill();
    }, timeoutMs + graceMs);
    const { code } = await worker.ended;
    systemTime.clearTimeout(timer);
    return code === EXIT.ok || worker.listensSince === undefined;
  }

  async #drainAll(socketCloses: boolean): Promise<number> {
    const running = [...this.#running];
    const { dev = false } = this.#options;
    // With several workers, no worker knows whether it is the last to close the socket.
    const closes = socketCloses && running.length === 1;
    const ends = await Promise.all(
      running.map((worker) => this.#drain(worker, { socketCloses: closes, ...(dev && DEV_LAST) })),
    );
    return dev || ends.every(Boolean) ? EXIT.ok : EXIT.failed;
  }

  #endWith(outcome: number | Failure): void {
    void this.stop().then(() =>
      this.#end(outcome instanceof Failure ? Promise.reject(outcome) : outcome),
    );
  }
}
