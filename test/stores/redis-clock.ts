/** A server with a clock that tests move: the time is in a key. */
import { createClient } from 'redis';
import { RedisStore } from '../../packages/redis/src/redis-store.ts';
import type { Store } from '../../src/stores/store.ts';

const KEY = 'test:clock';
const AHEAD_MS = 3_600_000;

export interface MovedClock {
  /** Store objects that ask the clock for each step. */
  connect(): Store;
  now(): number;
  pass(ms: number): Promise<void>;
  close(): void;
}

export async function moveClock(url: string): Promise<MovedClock> {
  const keeper = await createClient({ url }).connect();
  let ms = Date.now() + AHEAD_MS;
  await keeper.set(KEY, String(ms));
  const options = { url };
  const ask = async (): Promise<number> => Number(await keeper.get(KEY));
  return {
    connect: () => new RedisStore({ kind: 'single', options }, 'sojourn', { goodMs: 0, ask }),
    now: () => ms,
    async pass(more) {
      ms += more;
      await keeper.set(KEY, String(ms));
    },
    close: () => keeper.destroy(),
  };
}
