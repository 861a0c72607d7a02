/** What a client does in its own time, for as long as we wait for it. */
import { noAnswer } from './failures.ts';
import type { LinkSettings } from './link.ts';

export async function bounded<T>({ time }: LinkSettings, ms: number, where: string, work: Promise<T>): Promise<T> {
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
