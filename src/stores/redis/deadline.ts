/** Limits how long the store waits for something that the `redis` package does at its own pace. */
import { within } from '../../base/system.ts';
import { noAnswer } from '../shared/failures.ts';
import type { LinkSettings } from './link.ts';

export function withDeadline<T>({ time }: LinkSettings, ms: number, where: string, work: Promise<T>): Promise<T> {
  return within(time, ms, work, () => {
    throw noAnswer(where, ms);
  });
}
