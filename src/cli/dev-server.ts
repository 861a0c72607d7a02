/**
 * The workers of `sojourn dev`. One serves, and each edit starts another one beside it on the same socket:
 *
 *     starting ──listens──▶ serving ──the next one listens──▶ draining ──▶ ended
 *        │                     └──crashes──▶ ended; another one starts
 *        ├──ends before──▶ broken: the worker that serves stays
 *        └──the next edit──▶ killed: a module may load for ever
 *
 * A draining worker finishes its calls, and the next edit does not wait for them.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { backoffMs } from '../base/system.ts';
import type { Logger } from '../types.ts';
import { EXIT } from './failure.ts';
import { DRAIN_GRACE_MS, FIRST_PAUSE_MS, MAX_PAUSE_MS, STABLE_AFTER_MS } from './supervisor.ts';
import { endText, type WorkerProcess } from './worker-process.ts';
import type { WorkerStart } from './worker-role.ts';

/** How long running calls may take after Ctrl+C. */
const LAST_CALLS_MS = 700;
/** Every worker has ended this long after Ctrl+C. */
const LAST_MS = 1_700;
/** How long a worker that loads an earlier edit may take to end by itself. */
const OVERTAKEN_MS = 300;

export interface DevServerOptions {
  readonly drainTimeoutMs: number;
  readonly logger: Logger;
  launch(start: WorkerStart): WorkerProcess;
  out(banner: string): void;
}

export class DevServer {
  readonly #options: DevServerOptions;
  #serving: WorkerProcess | undefined;
  #starting: WorkerProcess | undefined;
  /** The worker processes that have not ended. */
  readonly #running = new Set<WorkerProcess>();
  readonly #stopping = new AbortController();
  #hasServed = false;
  #earlyCrashes = 0;
  /** Resolves with the exit code if the first start shows that the command line is wrong. */
  readonly refused: Promise<number>;
  #refuse!: (code: number) => void;

  constructor(options: DevServerOptions) {
    this.#options = options;
    this.refused = new Promise((resolve) => (this.#refuse = resolve));
  }

  /** Starts a worker with the files as they are now. Resolves when it serves, is broken, or a later load began. */
  async load(): Promise<void> {
    const { signal } = this.#stopping;
    if (signal.aborted) return;
    const began = performance.now();
    if (this.#starting !== undefined) endSoon(this.#starting);
    const old = this.#serving;
    const worker = this.#launch(old !== undefined ? 'beside' : this.#hasServed ? 'again' : 'first');
    this.#starting = worker;
    void old?.left.then(() => worker.listen());
    const banner = await worker.listening;
    if (this.#starting !== worker || signal.aborted) return;
    this.#starting = undefined;
    if (banner === undefined) return this.#broken(worker);
    this.#serving = worker;
    void worker.left.then(() => this.#replaceLeaving(worker));
    if (!this.#hasServed) this.#options.out(banner);
    this.#hasServed = true;
    const replaced = old === undefined || (await this.#replace(old, worker));
    if (this.#serving !== worker || signal.aborted) return;
    const calls = replaced ? '' : '; a session whose call still runs stays with the build before until that call ends';
    const seconds = ((performance.now() - began) / 1_000).toFixed(1);
    if (old !== undefined)
      this.#options.logger.info({}, `loaded in ${seconds} s: the next call runs this build${calls}`);
  }

  /** Drains and ends all workers. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    if (this.#starting !== undefined) endSoon(this.#starting);
    this.#serving?.drain({ timeoutMs: LAST_CALLS_MS });
    const timer = setTimeout(() => this.kill(), LAST_MS);
    await Promise.all([...this.#running].map(({ ended }) => ended));
    clearTimeout(timer);
  }

  kill(): void {
    this.#stopping.abort();
    for (const worker of this.#running) worker.kill();
  }

  #launch(start: WorkerStart): WorkerProcess {
    const worker = this.#options.launch(start);
    this.#running.add(worker);
    void worker.ended.then(() => this.#running.delete(worker));
    return worker;
  }

  /** The worker has printed the reason. */
  async #broken(worker: WorkerProcess): Promise<void> {
    const { code, ...end } = await worker.ended;
    if (this.#stopping.signal.aborted) return;
    if (!this.#hasServed && code === EXIT.usage) return this.#refuse(code);
    const how = code === EXIT.failed || code === EXIT.usage ? {} : { end: endText({ code, ...end }) };
    const rest = this.#serving === undefined ? 'nothing is served' : 'the last good build keeps serving';
    this.#options.logger.warn(how, `not loaded: ${rest} until the next edit`);
  }

  /** `false`: the old worker still has calls to finish. */
  async #replace(old: WorkerProcess, worker: WorkerProcess): Promise<boolean> {
    old.drain();
    const ended = this.#untilEnded(old).then(() => true);
    const finished = await Promise.race([ended, old.finishing.then((calls) => !calls)]);
    // The lists of the new build may differ: clients get `list_changed`, once their sessions are there.
    worker.announce();
    if (!finished) void ended.then(() => worker.announce());
    return finished;
  }

  async #untilEnded(worker: WorkerProcess): Promise<void> {
    const timer = setTimeout(() => {
      this.#options.logger.warn({}, 'calls of an earlier build took longer than --drain-timeout-ms: they are ended');
      worker.kill();
    }, this.#options.drainTimeoutMs + DRAIN_GRACE_MS);
    await worker.ended;
    clearTimeout(timer);
  }

  /** A worker that crashed, or that another program told to end. */
  async #replaceLeaving(worker: WorkerProcess): Promise<void> {
    const end = worker.leaving ? undefined : await worker.ended;
    const { signal } = this.#stopping;
    if (this.#serving !== worker || signal.aborted) return;
    this.#serving = undefined;
    const early = end !== undefined && (worker.servedMs ?? 0) < STABLE_AFTER_MS;
    this.#earlyCrashes = early ? this.#earlyCrashes + 1 : 0;
    if (end !== undefined)
      this.#options.logger.error({ end: endText(end) }, 'the server crashed; it starts again, and sessions continue');
    if (this.#starting !== undefined) return;
    const pauseMs = early ? backoffMs(this.#earlyCrashes - 1, FIRST_PAUSE_MS, MAX_PAUSE_MS) : 0;
    await delay(pauseMs, undefined, { signal }).catch(() => {});
    if (this.#starting === undefined && this.#serving === undefined) await this.load();
  }
}

/** Ends a worker that does not serve yet. */
function endSoon(worker: WorkerProcess): void {
  worker.drain();
  const timer = setTimeout(() => worker.kill(), OVERTAKEN_MS);
  void worker.ended.then(() => clearTimeout(timer));
}
