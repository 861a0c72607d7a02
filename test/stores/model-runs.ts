/**
 * The model-based runs that every store passes, with a clock that the test moves, on real servers too.
 * `SOJOURN_SEED=<n>` begins with another seed, `SOJOURN_RUNS=<n>` runs more.
 */
import { test } from 'vitest';
import type { Store } from '../../src/stores/store.ts';
import type { ModelRunOptions } from '../store-contract/model/compare.ts';
import type { StoreUnderTest } from '../store-contract/contract/store-kit.ts';
import { compareThrough, inTurn } from '../store-contract/model/compare.ts';

/** What the runs of one test use. */
export type ModelStores = StoreUnderTest & { close(): Promise<void> };

const TIMEOUT_MS = 240_000;
const DEFAULT_SEED = 20_261_120;

const runsOf = (usual: number): number => Number(process.env['SOJOURN_RUNS'] ?? usual);
const wanted = process.env['SOJOURN_SEED'] ?? String(DEFAULT_SEED);
const seed = wanted === 'random' ? Date.now() % 2 ** 31 : Number(wanted);

export function modelTests(runs: number, connect: () => Promise<ModelStores>, spread = inTurn): void {
  async function check(log: Required<ModelRunOptions>['log'], together: number, listed = true): Promise<void> {
    const { close, ...stores } = await connect();
    try {
      await compareThrough(spread, { ...stores, log, together, listed, runs: runsOf(runs), seed });
    } finally {
      await close();
    }
  }

  test.each(['small', 'large'] as const)(
    'to random operations over two connections, with %s logs',
    (log) => check(log, 1),
    TIMEOUT_MS,
  );

  test('to random operations on records that are not listed', () => check('small', 1, false), TIMEOUT_MS);

  test.each([3, 40])('to random writes that are asked for %i in a turn', (most) => check('small', most), TIMEOUT_MS);
}

/** The views of a kit use these store objects in turn. */
export function takingTurns(stores: readonly Store[]): StoreUnderTest['connect'] {
  let opened = 0;
  return () => stores[opened++ % stores.length] as Store;
}
