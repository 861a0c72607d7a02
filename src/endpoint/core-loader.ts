/**
 * Opens the endpoint's store, and joins the deployment in it.
 *
 *     opening ──▶ open
 *        └──failed──▶ opening, after a pause
 *
 * A store that was unreachable at the start is retried without a request, because a load balancer sends no requests to
 * an instance that is not ready. The retries end when the store is open, or when the endpoint has drained or closes.
 * Until then requests that need the store wait for it, as in any other outage.
 */
import type { ResolvedOptions } from '../options/endpoint-options.ts';
import { backoffMs, elapse, systemRandom } from '../base/system.ts';
import type { EndpointStore } from '../session/record/record-kinds.ts';
import type { MaybePromise } from '../types.ts';
import type { Core } from './core.ts';
import { WatchedStore } from './watched-store.ts';

const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 1_000;

export class CoreLoader {
  readonly #core: Core;
  readonly #options: ResolvedOptions;
  readonly #open: () => MaybePromise<EndpointStore>;
  readonly #stops = new AbortController();
  #isOpen = false;
  /** The attempt under way, or the one after this pause. */
  #attempt: Promise<Core>;
  #failures = 0;
  #awaySince = 0;
  #staysAway = false;
  #reports: (error: unknown) => boolean = () => false;

  /** `first`: the store, or the first attempt to open it. `open`: makes another. */
  constructor(
    core: Core,
    first: MaybePromise<EndpointStore>,
    open: () => MaybePromise<EndpointStore>,
    options: ResolvedOptions,
  ) {
    this.#core = core;
    this.#options = options;
    this.#open = open;
    this.#isOpen = !(first instanceof Promise);
    if (this.#isOpen) void core.join();
    this.#attempt = this.#isOpen ? Promise.resolve(core) : this.#try(() => first);
    this.#attempt.catch(() => {});
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /**
   * Resolves when an attempt succeeds, and rejects when the next one fails, or with the refusal of an endpoint that
   * makes no more of them. `reports`: the caller reports this error itself, so the log does not need it.
   */
  ready(reports?: (error: unknown) => boolean): Promise<Core> {
    if (reports !== undefined) this.#reports = reports;
    return this.#attempt;
  }

  /** Called once the endpoint is closed. Resolves when no attempt is under way. */
  async stop(): Promise<void> {
    this.#stops.abort();
    await this.#attempt.catch(() => {});
  }

  async #try(open: () => MaybePromise<EndpointStore>): Promise<Core> {
    const core = this.#core;
    const { store } = core;
    try {
      if (store instanceof WatchedStore && !store.isOpen) store.opened(await open());
      await core.join();
    } catch (err) {
      this.#failed(err);
      this.#attempt = this.#tryLater();
      this.#attempt.catch(() => {});
      throw err;
    }
    this.#isOpen = true;
    core.prepare();
    if (this.#failures > 0) {
      const { logger, notices, timeProvider: time } = this.#options;
      logger.info({ attempts: this.#failures + 1 }, 'The session store is open');
      notices.emit({ kind: 'storeBack', ms: time.monotonic() - this.#awaySince });
    }
    return core;
  }

  async #tryLater(): Promise<Core> {
    const pauseMs = backoffMs(this.#failures - 1, FIRST_PAUSE_MS, LONGEST_PAUSE_MS, systemRandom);
    await elapse(this.#options.timeProvider, pauseMs, this.#stops.signal);
    const { refusal } = this.#core.registry.lifecycle;
    if (refusal !== undefined) throw refusal;
    return this.#try(this.#open);
  }

  #failed(err: unknown): void {
    this.#failures += 1;
    const { logger, notices, timeProvider: time, waitMs } = this.#options;
    if (this.#failures === 1) {
      this.#awaySince = time.monotonic();
      notices.emit({ kind: 'storeAway', error: err instanceof Error ? err : new Error(String(err)) });
    }
    // Log only the first failure of an outage, because later attempts fail alike.
    if (this.#failures === 1 && !this.#reports(err))
      logger.warn({ err }, 'The session store could not be opened: requests wait up to waitMs, and it is tried again');
    else logger.debug({ err }, 'The session store could not be opened yet');
    if (this.#staysAway || time.monotonic() - this.#awaySince < waitMs || this.#core.registry.lifecycle.closed) return;
    this.#staysAway = true;
    logger.fatal(
      { err, waitMs },
      'The session store cannot be opened for longer than waitMs: requests of sessions fail',
    );
  }
}
