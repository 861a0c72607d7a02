/**
 * How long a client waits before it reconnects (`retry:`). A client of an instance that crashed reaches another host
 * at once, so `fleetRetryMs` may be shorter than `retryMs`. While this host is the only one, clients that try twice
 * must outlast its restart. Instances on one host count as one, because workers of a supervisor end together.
 */
import type { InstanceLease } from '../stores/store.ts';

export interface RetryInterval {
  /** What `retry:` says now. A client may still wait as an earlier one said: at most `retryMs`. */
  readonly ms: number;
  /** The leases of the deployment, that of the instance `own` among them. */
  noteLeases(leases: readonly InstanceLease[], own: string): void;
}

export class FleetRetryInterval implements RetryInterval {
  readonly #aloneMs: number;
  readonly #fleetMs: number;
  ms: number;

  constructor({ retryMs, fleetRetryMs }: { readonly retryMs: number; readonly fleetRetryMs: number }) {
    this.#aloneMs = this.ms = retryMs;
    this.#fleetMs = Math.min(retryMs, fleetRetryMs);
  }

  noteLeases(leases: readonly InstanceLease[], own: string): void {
    const host = leases.find(({ id }) => id === own)?.process?.host;
    // Builds before 0.2 do not say their host.
    const isElsewhere = ({ state, process }: InstanceLease): boolean =>
      state === 'serving' && process !== undefined && process.host !== host;
    this.ms = host !== undefined && leases.some(isElsewhere) ? this.#fleetMs : this.#aloneMs;
  }
}
