/**
 * The model-based runs that every store passes, with a clock that the test moves, on real servers too.
 * `SOJOURN_SEED=<n>` begins with another seed, `SOJOURN_RUNS=<n>` runs more.
 */
import { describe, test } from 'vitest';
import { createFakeTime } from '../../src/testing/index.ts';
import type { ModelRunOptions } from '../store-contract/model/compare.ts';
import type { StoreUnderTest } from '../store-contract/contract/store-kit.ts';
import { compareWithModel } from '../store-contract/model/compare.ts';

const TIMEOUT_MS = 240_000;
const DEFAULT_SEED = 20_261_120;

const runsOf = (usual: number): number => Number(process.env['SOJOURN_RUNS'] ?? usual);
const wanted = process.env['SOJOURN_SEED'] ?? String(DEFAULT_SEED);
const seed = wanted === 'random' ? Date.now() % 2 ** 31 : Number(wanted);

type Run = Pick<ModelRunOptions, 'log' | 'listed' | 'together'>;

const RUNS: Readonly<Record<string, Run>> = {
  'two connections, with small logs': { log: 'small' },
  'two connections, with large logs': { log: 'large' },
  'records that are not listed': { listed: false },
  'writes that are asked for 3 in a turn': { together: 3 },
  'writes that are asked for 40 in a turn': { together: 40 },
};

/** `connect`: what the runs of one test use. */
export function modelTests(
  runs: number,
  connect: () => Promise<StoreUnderTest & { close?(): Promise<void> }> | StoreUnderTest,
): void {
  describe('answers random operations as a plain model', () => {
    test.each(Object.entries(RUNS))(
      'on %s',
      async (_, run) => {
        const { close, ...stores }: Awaited<ReturnType<typeof connect>> & { close?(): Promise<void> } = await connect();
        try {
          await compareWithModel({ ...stores, ...run, runs: runsOf(runs), seed });
        } finally {
          await close?.();
        }
      },
      TIMEOUT_MS,
    );
  });
}

/** For a store that sets no timers: moving its clock needs no turn of the event loop. */
export function movedTime(): Required<Pick<StoreUnderTest, 'time' | 'pass'>> {
  const fake = createFakeTime();
  let moved = 0;
  const time = { ...fake, now: (): number => fake.now() + moved, monotonic: (): number => fake.monotonic() + moved };
  return { time, pass: async (ms) => void (moved += ms) };
}
