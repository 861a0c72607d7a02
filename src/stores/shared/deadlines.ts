/** How long a store waits for its server, and by which clock. A deadline is a moment of the monotonic clock. */
import { afterReading, monotonicMs, within } from '../../base/system.ts';
import type { TimeProvider } from '../../base/types.ts';
import { noAnswer } from './failures.ts';

/** The share of a lease within which a store answers: a third of the lease is left for a renewal. */
const LEASE_SHARE = 2 / 3;

/** How long an answer may take, in ms. An instance that cannot write must learn it before its lease expires. */
export const answerLimitMs = (leaseMs: number): number => leaseMs * LEASE_SHARE;

export class Deadlines {
  readonly time: TimeProvider;
  /** Every operation is answered or refused within this time. */
  readonly limitMs: number;

  constructor(time: TimeProvider, limitMs: number) {
    this.time = time;
    this.limitMs = limitMs;
  }

  now(): number {
    return monotonicMs(this.time);
  }

  /** The deadline of a request that is made now. */
  deadline(): number {
    return this.now() + this.limitMs;
  }

  /**
   * What the server at `where` answers. Refuses after `limitMs`, once what has arrived is read: a process that was busy
   * for long has its answer already. `work` continues, and its result is ignored, and so is its failure.
   */
  async answered<T>(where: string, work: Promise<T>, limitMs = this.limitMs): Promise<T> {
    return within(this.time, limitMs, work, () => {
      const refused = new Promise<T>((_, reject) =>
        afterReading(() => reject(noAnswer(where, limitMs))),
      );
      return Promise.race([work, refused]);
    });
  }
}
