/** How long the store waits for its server, and by which clock. */
import { elapse, within } from '../../options/system.ts';
import type { TimeProvider } from '../../types.ts';

/** The part of a lease: an instance that cannot write must learn it before its lease expires. */
const LEASE_FRACTION = 2 / 3;
/** Leases in tests are shorter than a busy machine takes to answer. */
const MIN_LIMIT_MS = 1_000;

export class Deadlines {
  readonly #time: TimeProvider;
  /** Every operation is answered or refused within this time. */
  readonly limitMs: number;

  constructor(time: TimeProvider, leaseMs: number, limitMs = Math.max(MIN_LIMIT_MS, leaseMs * LEASE_FRACTION)) {
    this.#time = time;
    this.limitMs = limitMs;
  }

  /** For work that may take longer. */
  longer(limitMs: number): Deadlines {
    return new Deadlines(this.#time, 0, limitMs);
  }

  now(): number {
    return this.#time.monotonic?.() ?? this.#time.now();
  }

  after(ms: number, then: () => void): unknown {
    return this.#time.setTimeout(then, ms);
  }

  cancel(timer: unknown): void {
    if (timer !== undefined) this.#time.clearTimeout(timer);
  }

  wait(ms: number): Promise<void> {
    return elapse(this.#time, ms);
  }

  /** As `limit`, and keeps the process alive until then, because idle connections do not. */
  async alive<T>(work: Promise<T>, late: () => Error): Promise<T> {
    const { port1 } = new MessageChannel();
    port1.ref();
    try {
      return await this.limit(work, late);
    } finally {
      port1.close();
    }
  }

  /** After the limit the result of `work` is ignored, and so is its failure. */
  limit<T>(work: Promise<T>, late: () => Error): Promise<T> {
    return within(this.#time, this.limitMs, work, () => {
      throw late();
    });
  }
}
