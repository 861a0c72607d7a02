/** How long the store waits for NATS. Deadlines are moments of the monotonic clock. */
import type { TimeProvider } from '../../types.ts';

/** The share of the lease time. A later answer is useless for an instance that must renew. */
const LEASE_PART = 2 / 3;
const LONGEST_MS = 2_000;

export class Deadlines {
  readonly time: TimeProvider;
  readonly ms: number;

  constructor(time: TimeProvider, leaseMs: number) {
    this.time = time;
    this.ms = Math.min(LONGEST_MS, leaseMs * LEASE_PART);
  }

  now(): number {
    return this.time.monotonic?.() ?? this.time.now();
  }

  /** The deadline of a request that is made now. */
  deadline(): number {
    return this.now() + this.ms;
  }
}
