/** Views on a Redis of the tests', and what tests put in. */
import { createClient } from 'redis';
import { onTestFinished } from 'vitest';
import type { OpenStore, SessionRecord, Store, StoreOptions } from '../../src/stores/store.ts';
import { redis } from '../../src/stores/redis/index.ts';
import { base64url, systemRandom, systemTime } from '../../src/system.ts';
import { createLog } from '../kit/log.ts';
import { plainRecord } from './plain-record.ts';

export const ME = 'instance-me';
export const FENCE = { epoch: 1, owner: ME };

export const newName = (): string => `test-${base64url(systemRandom(9))}`;

export function storeOptions(more: Partial<StoreOptions> = {}): StoreOptions {
  return {
    name: newName(),
    time: systemTime,
    random: systemRandom,
    logger: createLog(),
    leaseMs: 30_000,
    tombstoneMs: 600_000,
    retention: { ttlMs: 600_000, events: 1_000, bytes: 1_048_576 },
    eventLogBytes: 268_435_456,
    tombstones: 100_000,
    ...more,
  };
}

/** Closed when the test is over. */
export async function openView(store: Store | string, more: Partial<StoreOptions> = {}): Promise<OpenStore> {
  const view = await (typeof store === 'string' ? redis(store) : store).open(storeOptions(more));
  onTestFinished(() => view.close());
  return view;
}

export function recordOf(id: string, more: Partial<SessionRecord> = {}): SessionRecord {
  return plainRecord(id, FENCE, more);
}

type Args = readonly [string, ...string[]];

/** Commands of somebody else's; the connection is gone when the test is over. */
export async function openRedis(url: string): Promise<(...args: Args) => Promise<unknown>> {
  const client = await createClient({ url, RESP: 2 })
    .on('error', () => undefined)
    .connect();
  onTestFinished(() => client.destroy());
  return (...args) => client.sendCommand([...args]);
}
