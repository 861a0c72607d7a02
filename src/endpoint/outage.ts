/**
 * Limits the log while the session store is unreachable: one line when the outage begins, with the first error that
 * shows it, and one line when it ends. The lines of the parts that called the store have level `debug`.
 *
 *     over ──a line about a store that cannot be reached──▶ away ──the lease is renewed──▶ over
 *
 * A store may renew leases and refuse everything else (a missing right, a full table). Then the outage ends only when
 * there was no such line for `QUIET_MS`.
 */
import { SojournError } from '../errors.ts';
import type { Notices } from '../observe/notices.ts';
import type { EndpointStore } from '../session/record/record-kinds.ts';
import type { Logger, TimeProvider } from '../types.ts';

const QUIET_MS = 10_000;

const STORE_AWAY = 'The session store cannot be reached, or refuses calls: requests that need it wait up to waitMs';

export interface Outage {
  /** The logger for every part that calls the store. */
  readonly logger: Logger;
  /** The lease was renewed. `wasAway`: the renewal before did not reach the store. */
  renewed(wasAway: boolean): void;
}

export function createOutage(
  target: Logger,
  time: Required<TimeProvider>,
  store: Pick<EndpointStore, 'full'>,
  notices: Pick<Notices, 'emit'>,
): Outage {
  let since: number | undefined;
  let lastFailure = -Infinity;
  const log =
    (level: 'warn' | 'error') =>
    (obj: object, msg: string): void => {
      const err = 'err' in obj ? obj.err : undefined;
      if (!isStoreAway(err)) return target[level](obj, msg);
      lastFailure = time.monotonic();
      target.debug(obj, msg);
      if (since !== undefined) return;
      since = lastFailure;
      target.warn({ err }, STORE_AWAY);
      notices.emit({ kind: 'storeAway', error: err });
    };
  return {
    logger: Object.freeze({ ...target, warn: log('warn'), error: log('error') }),
    renewed(wasAway) {
      if (since === undefined || store.full?.() === true) return;
      if (!wasAway && time.monotonic() - lastFailure < QUIET_MS) return;
      const ms = time.monotonic() - since;
      target.info({ ms: Math.round(ms) }, 'The session store is back');
      since = undefined;
      notices.emit({ kind: 'storeBack', ms });
    },
  };
}

function isStoreAway(error: unknown): error is Error {
  for (let at = error; at instanceof Error; at = at.cause) {
    if (at instanceof SojournError && at.code === 'STORE_AWAY') return true;
  }
  return false;
}
