/**
 * Subscriptions of a session that an older build and this one own in turn. Builds before 0.2 store them as one list.
 */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';
import { nats } from '../../src/stores/nats/index.ts';
import { postgres } from '../../src/stores/postgres/index.ts';
import { redis } from '../../src/stores/redis/index.ts';
import { sqlite } from '../../src/stores/sqlite/index.ts';
import type { OpenStore, Store } from '../../src/stores/store.ts';
import { durableKinds, sharedTarget, type DurableKind, useSharedStores } from '../kit/shared-stores.ts';
import { FENCE, open, recordOf, storeOptions } from '../stores/views.ts';
import { unpackBuild } from './frozen-builds.ts';

useSharedStores();

type OpenOf = (target: string) => Store;
const opens: Record<DurableKind, OpenOf> = { nats, postgres, redis, sqlite };

async function olderStore(kind: DurableKind, target: string): Promise<Store> {
  const path = join(unpackBuild('0.1.0'), 'stores', kind, 'index.js');
  const made = (await import(pathToFileURL(path).href)) as Record<DurableKind, OpenOf>;
  return made[kind](target);
}

/** As the older build saves: the whole list. */
const listPatch = (subscriptions: readonly string[]): never => ({ subscriptions }) as never;

describe.each(durableKinds)('subscriptions on %s', (kind) => {
  async function views(): Promise<{ older: OpenStore; newer: OpenStore }> {
    const target = sharedTarget(kind);
    const options = storeOptions({ name: `compat-${Math.random()}` });
    const older = await open(await olderStore(kind, target), options);
    return { older, newer: await open(opens[kind](target), options) };
  }

  test('a list of an older build is read, claimed and changed', async () => {
    const { older, newer } = await views();
    const record = recordOf('s', { subscriptions: ['b:'] });
    await older.sessions.create(record);
    await older.sessions.save('s', FENCE, listPatch(['b:', 'a:']));
    expect(await newer.sessions.read('s')).toMatchObject({ subscriptions: ['b:', 'a:'] });
    await older.sessions.release('s', FENCE);
    const claim = await newer.sessions.claim('s', { epoch: 1, owner: null }, 'next');
    expect(claim).toMatchObject({ claimed: true, record: { subscriptions: ['b:', 'a:'] } });
    const fence = { epoch: 2, owner: 'next' };
    const subscriptions = [['b:', false] as const, ['0:', true] as const];
    expect(await newer.sessions.save('s', fence, { subscriptions })).toBe('written');
    expect(await newer.sessions.read('s')).toMatchObject({ epoch: 2, owner: 'next', subscriptions: ['a:', '0:'] });
  });

  test('what an older build subscribes to after this one is added to the list', async () => {
    const { older, newer } = await views();
    await newer.sessions.create(recordOf('s', { subscriptions: ['a:'] }));
    await newer.sessions.release('s', FENCE);
    await older.sessions.claim('s', 1 as never, 'old');
    const fence = { epoch: 2, owner: 'old' };
    await older.sessions.save('s', fence, listPatch(['b:']));
    await older.sessions.release('s', fence);
    const claim = await newer.sessions.claim('s', { epoch: 2, owner: null }, 'next');
    const { subscriptions } = (claim as { record: { subscriptions: readonly string[] } }).record;
    expect(subscriptions).toContain('b:');
    const removal = { subscriptions: subscriptions.map((uri) => [uri, false] as const) };
    await newer.sessions.save('s', { epoch: 3, owner: 'next' }, removal);
    expect(await newer.sessions.read('s')).toMatchObject({ subscriptions: [] });
  });

  test('a session with subscriptions that an older build ends is gone whole', async () => {
    const { older, newer } = await views();
    await newer.sessions.create(recordOf('s', { subscriptions: ['a:'] }));
    await older.sessions.end('s', FENCE, 'deleted');
    expect(await newer.sessions.read('s')).toMatchObject({ ended: 'deleted' });
  });
});
