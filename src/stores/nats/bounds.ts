/** How long is waited for NATS. Deadlines are moments of the monotonic clock. */
import type { TimeProvider } from '../../types.ts';

/** Of the lease time: an answer that comes later is of no use to an instance that must renew. */
const LEASE_PART = 2 / 3;
const LONGEST_MS = 2_000;

export class Bounds {
  readonly time: TimeProvider;
  readonly ms: number;

  constructor(time: TimeProvider, leaseMs: number) {
    this.time = time;
    this.ms = Math.min(LONGEST_MS, leaseMs * LEASE_PART);
  }

  now(): number {
    return this.time.monotonic?.() ?? this.time.now();
  }

  /** Of what is asked for now. */
  deadline(): number {
    return this.now() + this.ms;
  }
}
