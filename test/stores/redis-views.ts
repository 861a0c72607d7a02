/** Views on a Redis server for tests, and test data. */
import { createClient } from 'redis';
import { onTestFinished } from 'vitest';
import type { Kind, Store } from '../../src/stores/store.ts';
import type { View, ViewSettings } from '../store-contract/view.ts';
import { KindKeys, type RowKeys } from '../../packages/redis/src/keys.ts';
import { redis } from '../../packages/redis/src/index.ts';
import { RedisStore } from '../../packages/redis/src/redis-store.ts';
import type { Target } from '../../packages/redis/src/target.ts';
import { base64url, systemRandom } from '../../src/base/system.ts';
import type { MovedClock } from './server-stores.ts';
import { open, storeOptions as plainOptions } from './views.ts';

export { announce, append, FENCE, ME, recordOf } from './views.ts';

export const newName = (): string => `test-${base64url(systemRandom(9))}`;

/** A new deployment on a server that many tests share. */
export const storeOptions = (more: Partial<ViewSettings> = {}): ViewSettings =>
  plainOptions({ name: newName(), ...more });

/** Closed when the test is over. */
export async function openView(store: Store | string, more: Partial<ViewSettings> = {}): Promise<View> {
  return open(typeof store === 'string' ? redis(store) : store, storeOptions(more));
}

/** The keys of a record of a view's kind. */
export const keysOf = (name: string, id: string, kind: Pick<Kind, 'name' | 'grouped'> = { name: 'things' }): RowKeys =>
  new KindKeys('sojourn', name, { log: false, keepMs: 0, listed: true, ...kind }).of(id);

type Args = readonly [string, ...string[]];

/** Sends commands beside the store; the connection closes when the test is over. */
export async function openRedis(url: string): Promise<(...args: Args) => Promise<unknown>> {
  const client = await createClient({ url, RESP: 2 })
    .on('error', () => undefined)
    .connect();
  onTestFinished(() => client.destroy());
  return (...args) => client.sendCommand([...args]);
}

const AHEAD_MS = 3_600_000;
let clocks = 0;

/** The time is in a key of a server. `target`: where the data is; default: the same server. */
export async function moveClock(
  url: string,
  target: Target = { kind: 'single', options: { url } },
): Promise<MovedClock> {
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
    connect: () => new RedisStore(target, 'sojourn', { goodMs: 0, ask }),
    now: () => ms,
    pass,
    close: () => keeper.destroy(),
  };
}
