/**
 * The way to an endpoint's core, which is there when the store is open.
 *
 *     opening ──▶ open
 *        └──failed──▶ waiting ──a request, or a moment──▶ opening
 *
 * A load balancer sends nothing to an instance that is not ready: a store that was away at the start is tried again without
 * being asked.
 */
import { draining } from '../errors.ts';
import type { Logger, TimeProvider } from '../types.ts';

const AGAIN_MS = 1_000;

export interface CoreLoaderOptions<T extends object> {
  /** At once where the store is in this process. */
  open(): T | Promise<T>;
  readonly time: TimeProvider;
  readonly logger: Logger;
}

export class CoreLoader<T extends object> {
  readonly #options: CoreLoaderOptions<T>;
  #value: T | undefined;
  #attempt: Promise<T> | undefined;
  #timer: unknown;
  #failures = 0;
  #stopped = false;

  constructor(options: CoreLoaderOptions<T>) {
    this.#options = options;
    const opened = options.open();
    if (opened instanceof Promise) void this.#follow(opened).catch(() => {});
    else this.#value = opened;
  }

  /** `undefined`: not yet. */
  get value(): T | undefined {
    return this.#value;
  }

  get stopped(): boolean {
    return this.#stopped;
  }

  /** Of the attempt that is under way, or of a new one; none begins once it is stopped. */
  async ready(): Promise<T> {
    if (this.#value !== undefined) return this.#value;
    if (this.#attempt === undefined && this.#stopped) throw draining();
    return this.#attempt ?? this.#try();
  }

  /** No further attempt; resolves with what the one under way came to. */
  async stop(): Promise<T | undefined> {
    this.#stopped = true;
    this.#clear();
    return this.#value ?? this.#attempt?.catch(() => undefined);
  }

  #try(): Promise<T> {
    this.#clear();
    // In a promise, so that an error that is thrown is one of the attempt.
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
    const { logger, time } = this.#options;
    // Once for all attempts of an outage: the others fail alike.
    if (this.#failures === 1) logger.error({ err }, 'The session store could not be opened; it is tried again');
    else logger.debug({ err }, 'The session store could not be opened yet');
    if (!this.#stopped) {
      this.#timer = time.setTimeout(() => void this.#again(), AGAIN_MS);
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
