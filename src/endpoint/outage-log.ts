/**
 * Limits the log while the session store is unreachable: one line when the outage begins, with the first error that
 * shows it, and one line when it ends. The lines of the parts that called the store have level `debug`.
 *
 *     over ──a line about a store that cannot be reached──▶ away ──the lease is renewed──▶ over
 *        ╰────the store could not be opened────────────────▶      ──it is open───────────▶
 *
 * A store may renew leases and refuse everything else (a missing right, a full table). Then the outage ends only when
 * there was no such line for `QUIET_MS`.
 */
import { SojournError } from '../base/errors.ts';
import type { ResolvedOptions } from '../base/options/endpoint-options.ts';
import type { EndpointStore } from '../session/record/record-kinds.ts';
import type { Logger } from '../base/types.ts';

const QUIET_MS = 10_000;

const STORE_UNAVAILABLE =
  'The session store cannot be reached, or refuses calls: requests that need it wait up to maxWaitMs';

type OutageLogOptions = Pick<ResolvedOptions, 'logger' | 'timeProvider' | 'notices'>;

export class OutageLog {
  /** The logger for every part that calls the store. */
  readonly logger: Logger;
  readonly #options: OutageLogOptions;
  readonly #store: Pick<EndpointStore, 'full'>;
  #since: number | undefined;
  #lastFailure = -Infinity;

  constructor(options: OutageLogOptions, store: Pick<EndpointStore, 'full'>) {
    this.#options = options;
    this.#store = store;
    const { logger: target, timeProvider: time } = options;
    const log =
      (level: 'warn' | 'error') =>
      (obj: object, msg: string): void => {
        const err = 'err' in obj ? obj.err : undefined;
        if (!isStoreAway(err)) return target[level](obj, msg);
        this.#lastFailure = time.monotonic();
        target.debug(obj, msg);
        this.begin(err, STORE_UNAVAILABLE);
      };
    this.logger = Object.freeze({ ...target, warn: log('warn'), error: log('error') });
  }

  get lastedMs(): number {
    return this.#since === undefined ? 0 : this.#options.timeProvider.monotonic() - this.#since;
  }

  /** `line` is written unless an outage lasts already. */
  begin(err: unknown, line: string, level: 'warn' | 'debug' = 'warn'): void {
    if (this.#since !== undefined) return;
    this.#since = this.#options.timeProvider.monotonic();
    this.#options.logger[level]({ err }, line);
    this.#options.notices.emit({
      kind: 'storeUnavailable',
      error: err instanceof Error ? err : new Error(String(err)),
    });
  }

  end(line: string, fields: object = { ms: Math.round(this.lastedMs) }): void {
    if (this.#since === undefined) return;
    const ms = this.lastedMs;
    this.#since = undefined;
    this.#options.logger.info(fields, line);
    this.#options.notices.emit({ kind: 'storeBack', ms });
  }

  /** The lease was renewed. `wasAway`: the renewal before did not reach the store. */
  renewed(wasAway: boolean): void {
    if (this.#store.full?.() === true) return;
    if (wasAway || this.#options.timeProvider.monotonic() - this.#lastFailure >= QUIET_MS)
      this.end('The session store is back');
  }
}

/** `depth`: of its causes, which an application may have tied into a ring. */
function isStoreAway(error: unknown, depth = 5): boolean {
  if (!(error instanceof Error) || depth === 0) return false;
  return (
    (error instanceof SojournError && error.code === 'STORE_UNAVAILABLE') ||
    isStoreAway(error.cause, depth - 1)
  );
}
