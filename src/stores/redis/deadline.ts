/** Limits how long the store waits for something that the `redis` package does at its own pace. */
import { noAnswer } from '../shared/failures.ts';
import type { LinkSettings } from './link.ts';

export async function withDeadline<T>({ time }: LinkSettings, ms: number, where: string, work: Promise<T>): Promise<T> {
  let timer: unknown;
  const late = new Promise<never>((_, reject) => {
    timer = time.setTimeout(() => reject(noAnswer(where, ms)), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    time.clearTimeout(timer);
  }
}
