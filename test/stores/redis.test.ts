import { createClient } from 'redis';
import { redis } from '../../packages/redis/src/index.ts';
import { RedisStore } from '../../packages/redis/src/redis-store.ts';
import { type MovedClock, serverStoreTests } from './server-stores.ts';
import { openRedis } from './redis-views.ts';

const AHEAD_MS = 3_600_000;
let clocks = 0;

/** The time is in a key. */
async function moveClock(url: string): Promise<MovedClock> {
  const keeper = await createClient({ url }).connect();
  const key = `test:clock:${(clocks += 1)}`;
  let ms = Date.now() + AHEAD_MS;
  const pass = async (more: number): Promise<void> => {
    ms += more;
    await keeper.set(key, String(ms));
  };
  await pass(0);
  const ask = async (): Promise<number> => Number(await keeper.get(key));
  return {
    connect: () => new RedisStore({ kind: 'single', options: { url } }, 'sojourn', { goodMs: 0, ask }),
    now: () => ms,
    pass,
    close: () => keeper.destroy(),
  };
}

/** The keys, and the entries of the logs. */
async function counter(url: string): Promise<() => Promise<number>> {
  const ask = await openRedis(url);
  const length = async (key: string): Promise<number> =>
    (await ask('TYPE', key)) === 'list' ? Number(await ask('LLEN', key)) : 1;
  return async () => {
    const lengths = await Promise.all(((await ask('KEYS', '*')) as string[]).map(length));
    return lengths.reduce((sum, one) => sum + one, 0);
  };
}

serverStoreTests({ kind: 'redis', store: redis, counter, moveClock });
