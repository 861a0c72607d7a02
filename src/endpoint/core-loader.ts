/**
 * Opens the endpoint's store, and joins the deployment in it.
 *
 *     opening ──▶ open
 *        └──failed──▶ waiting ──a request, or a pause──▶ opening
 *
 * A store that was unreachable at the start is retried without a request, because a load balancer sends no requests to
 * an instance that is not ready. The retries end when the store is open, or when the endpoint has drained or closes.
 * Until then requests that need the store wait for it, as in any other outage.
 */
import { backoffMs, type RandomSource } from '../options/system.ts';
import type { Lifecycle } from '../session/lifecycle.ts';
import type { Logger, TimeProvider } from '../types.ts';

const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 1_000;

export interface CoreLoaderOptions<T extends object> {
  /** Returns synchronously where the store is in this process. */
  open(): T | Promise<T>;
  readonly time: TimeProvider;
  readonly random: RandomSource;
  readonly logger: Logger;
  /** An endpoint that has drained, or that is closed, makes no further attempt. */
  readonly lifecycle: Pick<Lifecycle, 'refusal'>;
}

export class CoreLoader<T extends object> {
  readonly #options: CoreLoaderOptions<T>;
  #value: T | undefined;
  #attempt: Promise<T> | undefined;
  #timer: unknown;
  #failures = 0;
  #reports: (error: unknown) => boolean = () => false;

  constructor(options: CoreLoaderOptions<T>) {
    this.#options = options;
    const opened = options.open();
    if (opened instanceof Promise) void this.#follow(opened).catch(() => {});
    else this.#value = opened;
  }

  /** `undefined` until the store is open. */
  get value(): T | undefined {
    return this.#value;
  }

  /**
   * Resolves with the result of the running attempt, or of a new one. Rejects with the refusal of an endpoint that
   * makes no further attempt. `reports`: the caller reports this error itself, so the log does not need it.
   */
  async ready(reports?: (error: unknown) => boolean): Promise<T> {
    if (this.#value !== undefined) return this.#value;
    if (reports !== undefined) this.#reports = reports;
    const { refusal } = this.#options.lifecycle;
    if (this.#attempt === undefined && refusal !== undefined) throw refusal;
    return this.#attempt ?? this.#try();
  }

  /** Called once the endpoint is closed. Resolves when no attempt is under way. */
  async stop(): Promise<void> {
    this.#clear();
    await this.#attempt?.catch(() => {});
  }

  #try(): Promise<T> {
    this.#clear();
    // In an async function, so that a thrown error rejects the attempt.
    return this.#follow((async () => this.#options.open())());
  }

  #follow(opened: Promise<T>): Promise<T> {
    const attempt = opened.then(
      (value) => this.#opened(value),
      (err: unknown) => this.#failed(err),
    );
    this.#attempt = attempt;
    return attempt;
  }

  #opened(value: T): T {
    this.#attempt = undefined;
    this.#value = value;
    if (this.#failures > 0) this.#options.logger.info({ attempts: this.#failures + 1 }, 'The session store is open');
    return value;
  }

  #failed(err: unknown): never {
    this.#attempt = undefined;
    this.#failures += 1;
    const { logger, time, random } = this.#options;
    // Log only the first failure of an outage, because later attempts fail alike.
    if (this.#failures === 1 && !this.#reports(err))
      logger.error({ err }, 'The session store could not be opened; it is tried again');
    else logger.debug({ err }, 'The session store could not be opened yet');
    if (this.#options.lifecycle.refusal === undefined) {
      const pauseMs = backoffMs(this.#failures - 1, FIRST_PAUSE_MS, LONGEST_PAUSE_MS, random);
      this.#timer = time.setTimeout(() => void this.#again(), pauseMs);
    }
    throw err;
  }

  async #again(): Promise<void> {
    this.#timer = undefined;
    await this.ready().catch(() => {});
  }

  #clear(): void {
    if (this.#timer !== undefined) this.#options.time.clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
