/** How long a store waits for its server, and by which clock. A deadline is a moment of the monotonic clock. */
import { afterReading, keepingProcess, monotonicMs, within } from '../../base/system.ts';
import type { TimeProvider } from '../../types.ts';
import { noAnswer } from './failures.ts';

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

  /** Does the same as `limit`, and keeps the process alive until then, because idle connections do not. */
  alive<T>(work: Promise<T>, late: () => Error): Promise<T> {
    return keepingProcess(() => this.limit(work, late));
  }

  /** Does the same as `limit`, for an answer of the server at `where`. */
  answered<T>(where: string, work: Promise<T>): Promise<T> {
    return this.limit(work, () => noAnswer(where, this.limitMs));
  }

  /**
   * Refuses after the limit, once what has arrived is read: a process that was busy for long has its answer already.
   * `work` continues, and its result is ignored, and so is its failure.
   */
  async limit<T>(work: Promise<T>, late: () => Error): Promise<T> {
    return within(this.time, this.limitMs, work, () => {
      const refused = new Promise<T>((_, reject) => afterReading(() => reject(late())));
      return Promise.race([work, refused]);
    });
  }
}
