/**
 * Limits the log while the session store is unreachable: one line when the outage begins, with the first error that
 * shows it, and one line when it ends. Further lines about it have level `debug`.
 *
 *     over ──a line about a store that cannot be reached──▶ away ──the lease is renewed──▶ over
 *
 * A store may renew leases and refuse everything else (a missing right, a full stream). Then the outage ends only when
 * there was no such line for `QUIET_MS`.
 */
import { SojournError } from '../errors.ts';
import type { Logger, TimeProvider } from '../types.ts';

const QUIET_MS = 10_000;

interface OutageHealth {
  readonly isFull: boolean;
  watch(): void;
}

export class Outage {
  /** The logger for every part that calls the store. */
  readonly logger: Logger;
  readonly #target: Logger;
  readonly #time: Required<TimeProvider>;
  readonly #health: OutageHealth;
  #since: number | undefined;
  #quiet = 0;
  #lastFailure = -Infinity;

  /** `health`: watches the store from the first line on which says that it cannot be reached. */
  constructor(target: Logger, time: Required<TimeProvider>, health: OutageHealth) {
    this.#health = health;
    this.#target = target;
    this.#time = time;
    this.logger = Object.freeze({
      ...target,
      warn: (obj: object, msg: string) => this.#log('warn', obj, msg),
      error: (obj: object, msg: string) => this.#log('error', obj, msg),
    });
  }

  /** The lease was renewed. `wasAway`: the renewal before did not reach the store. */
  renewed(wasAway: boolean): void {
    if (this.#since === undefined || this.#health.isFull) return;
    if (!wasAway && this.#time.monotonic() - this.#lastFailure < QUIET_MS) return;
    const ms = Math.round(this.#time.monotonic() - this.#since);
    this.#target.info({ ms, lines: this.#quiet }, 'The session store is back');
    this.#since = undefined;
  }

  #log(level: 'warn' | 'error', obj: object, msg: string): void {
    if (!('err' in obj) || !isStoreAway(obj.err)) return this.#target[level](obj, msg);
    this.#lastFailure = this.#time.monotonic();
    this.#health.watch();
    if (this.#since === undefined) {
      this.#since = this.#time.monotonic();
      this.#quiet = 0;
      return this.#target[level](obj, msg);
    }
    this.#quiet += 1;
    this.#target.debug(obj, msg);
  }
}

function isStoreAway(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause) {
    if (at instanceof SojournError && at.code === 'STORE_AWAY') return true;
  }
  return false;
}
