/** Random operations on a real server whose clock is the test's (`redis-clock.ts`). */
import fc from 'fast-check';
import { test } from 'vitest';
import { redis } from '../../src/stores/redis/index.ts';
import type { OpenStore } from '../../src/stores/store.ts';
import { createStoreKit } from '../../src/testing/index.ts';
import type { EventRetention } from '../../src/types.ts';
import { describeWithServer } from '../kit/servers/index.ts';
import { PlainStore } from './plain-store.ts';
import {
  applyAll,
  applyInTurns,
  operations,
  RETENTION,
  TOMBSTONE_MS,
  type Operation,
  type World,
} from './random-operations.ts';
import { moveClock } from './redis-clock.ts';
import { storeOptions } from './redis-views.ts';

/** `SOJOURN_RUNS`: as many as you have time for. */
const numRuns = Number(process.env['SOJOURN_RUNS'] ?? 150);

/** Of the large one the log holds more than is kept: elements are dropped by judgement, long before they are deleted. */
const RETENTIONS = { small: RETENTION, large: { ...RETENTION, bytes: 4_000 } };

/** Each operation through one of two connections in turn, as two processes would. */
function inTurn(views: readonly OpenStore[]): OpenStore {
  let turn = 0;
  const next = (): OpenStore => views[turn++ % views.length] as OpenStore;
  const part = <K extends 'sessions' | 'events'>(name: K): OpenStore[K] =>
    new Proxy({} as OpenStore[K], {
      get: (_, method) => {
        const target = next()[name] as unknown as Record<string | symbol, (...given: unknown[]) => unknown>;
        return (...given: unknown[]) => target[method]?.(...given);
      },
    });
  const first = views[0] as OpenStore;
  return { ...first, sessions: part('sessions'), events: part('events') };
}

describeWithServer('redis', 'the Redis store answers as a plain model does', (server) => {
  async function check(
    retention: EventRetention,
    apply: (world: World, views: readonly OpenStore[], all: readonly Operation[]) => Promise<void>,
  ): Promise<void> {
    const { client, now, pass, close } = await moveClock(server().url);
    const stores = [redis(client), redis(client)] as const;
    // Connections stay open from run to run.
    const held = await Promise.all(stores.map(async (store) => store.open(storeOptions())));
    try {
      await fc.assert(
        fc.asyncProperty(operations, async (all) => {
          let opened = 0;
          const kit = createStoreKit({ connect: () => stores[opened++ % 2 === 0 ? 0 : 1], pass });
          // Instances of the model die by leaving only.
          const options = { retention, tombstoneMs: TOMBSTONE_MS, leaseMs: 1e9 };
          const views = [await kit.open(options), await kit.open(options)] as const;
          const model = new PlainStore({ now, tombstoneMs: TOMBSTONE_MS, retention });
          try {
            await apply({ store: views[0], model, now, pass }, views, all);
          } finally {
            await kit.close();
          }
        }),
        { numRuns },
      );
    } finally {
      for (const view of held) await view.close();
      close();
    }
  }

  test.each(Object.entries(RETENTIONS))(
    'to random operations over two connections, with %s logs',
    async (_, retention) => {
      await check(retention, (world, views, all) => applyAll({ ...world, store: inTurn(views) }, all));
    },
    240_000,
  );

  test.each([3, 40])(
    'to random writes that are asked for %i in a turn',
    async (most) => {
      await check(RETENTION, (world, _, all) => applyInTurns(world, all, most));
    },
    240_000,
  );
});
