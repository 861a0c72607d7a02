/**
 * The model-based runs that every store passes, with a clock that the test moves, on real servers too.
 * `SOJOURN_SEED=<n>` begins with another seed, `SOJOURN_RUNS=<n>` runs more.
 */
import { test } from 'vitest';
import type { Store } from '../../src/stores/store.ts';
import { createStoreKit, type StoreUnderTest } from '../../src/testing/index.ts';
import { compareRuns, inTurn, type ModelRuns } from '../../src/testing/model/compare.ts';

/** What the runs of one test use. */
export type ModelStores = Pick<ModelRuns, 'open' | 'now' | 'pass'> & { close(): Promise<void> };

const TIMEOUT_MS = 240_000;
const DEFAULT_SEED = 20_261_120;

const runsOf = (usual: number): number => Number(process.env['SOJOURN_RUNS'] ?? usual);
const wanted = process.env['SOJOURN_SEED'] ?? String(DEFAULT_SEED);
const seed = wanted === 'random' ? Date.now() % 2 ** 31 : Number(wanted);

export function modelTests(runs: number, connect: () => Promise<ModelStores>, spread = inTurn): void {
  async function check(log: ModelRuns['log'], together: number): Promise<void> {
    const { open, now, pass, close } = await connect();
    try {
      await compareRuns({ open, now, pass, spread, log, together, timed: true, runs: runsOf(runs), seed });
    } finally {
      await close();
    }
  }

  test.each(['small', 'large'] as const)(
    'to random operations over two connections, with %s logs',
    (log) => check(log, 1),
    TIMEOUT_MS,
  );

  test.each([3, 40])('to random writes that are asked for %i in a turn', (most) => check('small', most), TIMEOUT_MS);
}

/** A kit whose views use these store objects in turn. */
export function openWithKit(stores: readonly Store[], how: Omit<StoreUnderTest, 'connect'>): ModelRuns['open'] {
  return async (options) => {
    let opened = 0;
    const kit = createStoreKit({ ...how, connect: () => stores[opened++ % stores.length] as Store });
    const views = [await kit.open(options), await kit.open(options)];
    return { views, close: () => kit.close() };
  };
}
