/** How long the store waits for its server, and by which clock. */
import { elapse } from '../../options/system.ts';
import type { TimeProvider } from '../../types.ts';

/** Of a lease: who cannot write for that long must hear of it before its lease has run out. */
const PART_OF_LEASE = 2 / 3;
/** A lease of tests is shorter than a busy machine takes to answer. */
const LEAST_MS = 1_000;

export class Waits {
  readonly #time: TimeProvider;
  /** Within this everything is answered or refused. */
  readonly limitMs: number;

  constructor(time: TimeProvider, leaseMs: number, limitMs = Math.max(LEAST_MS, leaseMs * PART_OF_LEASE)) {
    this.#time = time;
    this.limitMs = limitMs;
  }

  /** For what may take longer. */
  longer(limitMs: number): Waits {
    return new Waits(this.#time, 0, limitMs);
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

  /** As `limit`, and the process lives until then: idle connections keep it from nothing. */
  async alive<T>(work: Promise<T>, late: () => Error): Promise<T> {
    const { port1 } = new MessageChannel();
    port1.ref();
    try {
      return await this.limit(work, late);
    } finally {
      port1.close();
    }
  }

  /** What is late is not waited for; its own failure is then nobody's. */
  async limit<T>(work: Promise<T>, late: () => Error): Promise<T> {
    let timer: unknown;
    const lateness = new Promise<never>((_, reject) => {
      timer = this.after(this.limitMs, () => reject(late()));
    });
    work.catch(() => undefined);
    try {
      return await Promise.race([work, lateness]);
    } finally {
      this.cancel(timer);
    }
  }
}
