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
import type { ResolvedOptions } from '../options/endpoint-options.ts';
import { backoffMs, systemRandom } from '../base/system.ts';
import type { Core } from './core.ts';
import type { EndpointStore } from '../session/record/record-kinds.ts';
import { LateStore } from './late-store.ts';

const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 1_000;

export class CoreLoader {
  readonly #core: Core;
  readonly #options: ResolvedOptions;
  /** `undefined`: the store was open when the endpoint was made. */
  readonly #late: LateStore | undefined;
  #isOpen: boolean;
  #attempt: Promise<Core> | undefined;
  #timer: unknown;
  #failures = 0;
  #awaySince = 0;
  #staysAway = false;
  #reports: (error: unknown) => boolean = () => false;

  constructor(core: Core, store: EndpointStore, options: ResolvedOptions) {
    this.#core = core;
    this.#options = options;
    this.#late = store instanceof LateStore ? store : undefined;
    this.#isOpen = this.#late === undefined;
    if (this.#isOpen) void core.join();
    else this.#try().catch(() => {});
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /**
   * Resolves with the result of the running attempt, or of a new one. Rejects with the refusal of an endpoint that
   * makes no further attempt. `reports`: the caller reports this error itself, so the log does not need it.
   */
  async ready(reports?: (error: unknown) => boolean): Promise<Core> {
    if (this.#isOpen) return this.#core;
    if (reports !== undefined) this.#reports = reports;
    const { refusal } = this.#core.registry.lifecycle;
    if (this.#attempt === undefined && refusal !== undefined) throw refusal;
    return this.#attempt ?? this.#try();
  }

  /** Called once the endpoint is closed. Resolves when no attempt is under way. */
  async stop(): Promise<void> {
    this.#clear();
    await this.#attempt?.catch(() => {});
  }

  #try(): Promise<Core> {
    this.#clear();
    return (this.#attempt = this.#open());
  }

  async #open(): Promise<Core> {
    try {
      await this.#late?.open();
      await this.#core.join();
    } catch (err) {
      this.#failed(err);
      throw err;
    }
    this.#attempt = undefined;
    this.#isOpen = true;
    this.#core.prepare();
    if (this.#failures > 0) {
      const { logger, notices, timeProvider: time } = this.#options;
      logger.info({ attempts: this.#failures + 1 }, 'The session store is open');
      notices.emit({ kind: 'storeBack', ms: time.monotonic() - this.#awaySince });
    }
    return this.#core;
  }

  #failed(err: unknown): void {
    this.#attempt = undefined;
    this.#failures += 1;
    const { logger, notices, timeProvider: time, waitMs } = this.#options;
    const { lifecycle } = this.#core.registry;
    if (this.#failures === 1) {
      this.#awaySince = time.monotonic();
      notices.emit({ kind: 'storeAway', error: err instanceof Error ? err : new Error(String(err)) });
    }
    // Log only the first failure of an outage, because later attempts fail alike.
    if (this.#failures === 1 && !this.#reports(err))
      logger.warn({ err }, 'The session store could not be opened: requests wait up to waitMs, and it is tried again');
    else logger.debug({ err }, 'The session store could not be opened yet');
    if (!this.#staysAway && time.monotonic() - this.#awaySince >= waitMs && !lifecycle.closed) {
      this.#staysAway = true;
      logger.fatal(
        { err, waitMs },
        'The session store cannot be opened for longer than waitMs: requests of sessions fail',
      );
    }
    if (lifecycle.refusal === undefined) {
      const pauseMs = backoffMs(this.#failures - 1, FIRST_PAUSE_MS, LONGEST_PAUSE_MS, systemRandom);
      this.#timer = time.setTimeout(() => void this.ready().catch(() => {}), pauseMs);
    }
  }

  #clear(): void {
    if (this.#timer !== undefined) this.#options.timeProvider.clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
