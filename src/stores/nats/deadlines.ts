/** How long the store waits for NATS. NatsDeadlines are moments of the monotonic clock. */
import { monotonicMs } from '../../options/system.ts';
import type { TimeProvider } from '../../types.ts';
import { answerLimitMs } from '../shared/answer-limit.ts';

const LONGEST_MS = 2_000;

export class NatsDeadlines {
  readonly time: TimeProvider;
  readonly ms: number;

  constructor(time: TimeProvider, leaseMs: number) {
    this.time = time;
    this.ms = Math.min(LONGEST_MS, answerLimitMs(leaseMs));
  }

  now(): number {
    return monotonicMs(this.time);
  }

  /** The deadline of a request that is made now. */
  deadline(): number {
    return this.now() + this.ms;
  }
}
