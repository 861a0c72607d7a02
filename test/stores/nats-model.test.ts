/** Random operations on a real server whose clock is the test's. */
import { connect } from '@nats-io/transport-node';
import fc from 'fast-check';
import { test } from 'vitest';
import { nats } from '../../src/stores/nats/index.ts';
import type { Fence, OpenStore, StoreOptions } from '../../src/stores/store.ts';
import { systemRandom } from '../../src/system.ts';
import type { EventRetention } from '../../src/types.ts';
import { describeWithServer } from '../kit/servers/index.ts';
import { FakeClock } from './nats-fake-clock.ts';
import { newPrefix, storeOptions } from './nats-views.ts';
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

/** `SOJOURN_RUNS`: as many as you have time for. */
const numRuns = Number(process.env['SOJOURN_RUNS'] ?? 60);
const RETENTIONS = { small: RETENTION, large: { ...RETENTION, bytes: 4_000 } };
/**
 * Two processes: an instance is in one of them, and writes through it; what is no owner's goes through either in turn.
 */
function routed(views: readonly OpenStore[]): OpenStore {
  let turn = 0;
  const next = (): OpenStore => views[turn++ % views.length] as OpenStore;
  const of = (owner: string): OpenStore => views[owner === 'i1' ? 1 : 0] as OpenStore;
  const ownerOf = (given: readonly unknown[]): string | undefined => {
    const [first, second, third] = given;
    if (typeof third === 'string') return third;
    const { fence, owner } = (first ?? {}) as { fence?: Fence; owner?: string | null };
    return owner ?? (fence ?? (second as Fence | undefined))?.owner;
  };
  const part = <K extends 'sessions' | 'events'>(name: K): OpenStore[K] =>
    new Proxy({} as OpenStore[K], {
      get:
        (_, method) =>
        (...given: unknown[]) => {
          const owner = ['create', 'claim', 'save', 'release', 'end', 'mark', 'append'].includes(String(method))
            ? ownerOf(given)
            : undefined;
          const target = (owner === undefined ? next() : of(owner))[name];
          return (target as unknown as Record<string | symbol, (...values: unknown[]) => unknown>)[method]?.(...given);
        },
    });
  const first = views[0] as OpenStore;
  return { ...first, sessions: part('sessions'), events: part('events') };
}

describeWithServer('nats', 'the NATS store answers as a plain model does', (server) => {
  async function check(
    retention: EventRetention,
    apply: (world: World, views: readonly OpenStore[], all: readonly Operation[]) => Promise<void>,
  ): Promise<void> {
    const clock = new FakeClock();
    const prefix = newPrefix();
    const connections = await Promise.all([1, 2].map(async () => connect({ servers: server().url })));
    const stores = connections.map((connection) => nats(clock.shownBy(connection), { prefix }));
    const { time, now, pass } = clock;
    let runs = 0;
    try {
      await fc.assert(
        fc.asyncProperty(operations, async (all) => {
          // Instances of the model die by leaving only.
          const options: StoreOptions = storeOptions({
            name: `run-${runs++}`,
            time,
            retention,
            random: systemRandom,
            tombstoneMs: TOMBSTONE_MS,
            leaseMs: 1e9,
          });
          const views = await Promise.all(stores.map(async (store) => store.open(options)));
          const model = new PlainStore({ now, tombstoneMs: TOMBSTONE_MS, retention });
          try {
            await apply({ store: views[0] as OpenStore, model, now, pass }, views, all);
          } finally {
            for (const view of views) await view.close();
          }
        }),
        { numRuns },
      );
    } finally {
      for (const connection of connections) await connection.close();
    }
  }

  test.each(Object.entries(RETENTIONS))(
    'to random operations over two connections, with %s logs',
    async (_, retention) => {
      await check(retention, (world, views, all) => applyAll({ ...world, store: routed(views) }, all));
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
