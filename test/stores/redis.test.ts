import { redis } from '../../packages/redis/src/index.ts';
import { moveClock, openRedis } from './redis-views.ts';
import { serverStoreTests } from './server-stores.ts';

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

serverStoreTests({ kind: 'redis', store: redis, counter, moveClock: (url) => moveClock(url) });
