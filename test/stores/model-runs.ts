/**
 * The model-based runs that every store passes: random operations over two connections, as two processes would run
 * them, compared with a plain model. The test controls the clock, on real servers too.
 */
import fc from 'fast-check';
import { test } from 'vitest';
import type { OpenStore, Store } from '../../src/stores/store.ts';
import { createStoreKit, type StoreUnderTest } from '../../src/testing/index.ts';
import type { EventRetention } from '../../src/types.ts';
import { PlainStore } from './plain-store.ts';
import { applyAll, applyInTurns, operations, RETENTION, TOMBSTONE_MS } from './random-operations.ts';

interface RunOptions {
  readonly retention: EventRetention;
  readonly tombstoneMs: number;
  readonly leaseMs: number;
}

/** What the runs of one test use. */
export interface ModelStores {
  /** Two views on a deployment that only this run uses. */
  open(options: RunOptions): Promise<{ readonly views: readonly OpenStore[]; close(): Promise<void> }>;
  now(): number;
  pass(ms: number): Promise<void>;
  close(): Promise<void>;
}

/**
 * With the large events the store holds more than retention keeps: events are filtered long before they are deleted.
 */
const RETENTIONS = { small: RETENTION, large: { ...RETENTION, bytes: 4_000 } };
const TIMEOUT_MS = 240_000;

/** `SOJOURN_RUNS`: the number of runs. */
const runsOf = (usual: number): number => Number(process.env['SOJOURN_RUNS'] ?? usual);

export function openWithKit(stores: readonly Store[], how: Omit<StoreUnderTest, 'connect'>): ModelStores['open'] {
  return async (options) => {
    let opened = 0;
    const kit = createStoreKit({ ...how, connect: () => stores[opened++ % stores.length] as Store });
    const views = [await kit.open(options), await kit.open(options)];
    return { views, close: () => kit.close() };
  };
}

/** Runs the operations through the two connections in turn. */
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

export function modelTests(runs: number, connect: () => Promise<ModelStores>, spread = inTurn): void {
  async function check(retention: EventRetention, most?: number): Promise<void> {
    const stores = await connect();
    const { now, pass } = stores;
    try {
      await fc.assert(
        fc.asyncProperty(operations, async (all) => {
          // Instances of the model die only by leaving.
          const { views, close } = await stores.open({ retention, tombstoneMs: TOMBSTONE_MS, leaseMs: 1e9 });
          const model = new PlainStore({ now, tombstoneMs: TOMBSTONE_MS, retention });
          try {
            if (most === undefined) await applyAll({ store: spread(views), model, now, pass }, all);
            else await applyInTurns({ store: views[0] as OpenStore, model, now, pass }, all, most);
          } finally {
            await close();
          }
        }),
        { numRuns: runsOf(runs) },
      );
    } finally {
      await stores.close();
    }
  }

  test.each(Object.entries(RETENTIONS))(
    'to random operations over two connections, with %s logs',
    (_, retention) => check(retention),
    TIMEOUT_MS,
  );

  test.each([3, 40])('to random writes that are asked for %i in a turn', (most) => check(RETENTION, most), TIMEOUT_MS);
}
