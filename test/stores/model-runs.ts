/**
 * The model runs that every store passes: random operations on a store and on a plain model, compared answer by answer.
 * A failure names the seed and the fewest operations that still show the difference. The test moves the clock, of real
 * servers too. `SOJOURN_SEED=<n>` takes other operations (`test/kit/seed.ts`), `SOJOURN_RUNS=<n>` runs more.
 */
import fc from 'fast-check';
import { describe, test } from 'vitest';
import { createFakeTime } from '../../src/testing/index.ts';
import type { EventRetention } from '../../src/base/types.ts';
import { createStoreKit, type StoreUnderTest } from './contract/store-kit.ts';
import { applyAll } from './contract/model/apply-operations.ts';
import { PlainStore } from './contract/model/plain-store.ts';
import {
  PLACES,
  randomOperations,
  type ModelOperation,
} from './contract/model/random-operations.ts';
import type { View } from './contract/view.ts';

const TIMEOUT_MS = 240_000;
/** Then a failure shows the fewest operations that were found so far. */
const SEARCH_MS = 200_000;

const runsOf = (usual: number): number => Number(process.env['SOJOURN_RUNS'] ?? usual);

/** With the large log the store holds more than retention keeps: events are filtered long before they are deleted. */
const RETENTION = {
  small: { maxAgeMs: 5_000, events: 6, bytes: 40 },
  large: { maxAgeMs: 5_000, events: 6, bytes: 4_000 },
} as const satisfies Record<string, EventRetention>;
const TOMBSTONE_MS = 4_000;
/** Instances of the model die only by leaving. */
const LEASE_MS = 1e9;

export interface ModelRun {
  /**
   * Up to so many writes are requested in one turn; they must answer as if they ran one after the other. Default 1:
   * each operation waits for the one before it, and two connections take turns.
   */
  readonly together?: number;
  readonly log?: keyof typeof RETENTION;
  /** `false`: of a kind that is not listed. */
  readonly listed?: boolean;
}

const RUNS: Readonly<Record<string, ModelRun>> = {
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
        const {
          close,
          ...store
        }: Awaited<ReturnType<typeof connect>> & { close?(): Promise<void> } = await connect();
        try {
          await compareWithModel(store, runsOf(runs), run);
        } finally {
          await close?.();
        }
      },
      TIMEOUT_MS,
    );
  });
}

/** Needs `time` or `now`, and `pass`, of a clock that moves only by `pass`. */
export async function compareWithModel(
  store: StoreUnderTest,
  runs: number,
  run: ModelRun = {},
): Promise<void> {
  const compared = fc.asyncProperty(randomOperations(run.listed), (operations) =>
    compare(store, run, operations),
  );
  const plugins = [fc.interruptAfterTimeLimit(SEARCH_MS, { failOnInterrupt: true })];
  await fc.assert(compared, { numRuns: runs, plugins });
}

async function compare(
  store: StoreUnderTest,
  { together = 1, listed = true, log: size = 'small' }: ModelRun,
  operations: readonly ModelOperation[],
): Promise<void> {
  const [log, keepMs, kit] = [RETENTION[size], TOMBSTONE_MS, createStoreKit(store)];
  const { now, pass } = kit;
  const settings = {
    log,
    keepMs,
    leaseMs: LEASE_MS,
    listed,
    ...(listed && ({ grouped: true, counted: true } as const)),
  };
  const places = [];
  for (const place of PLACES) {
    const views = [
      await kit.open({ ...settings, ...place }),
      await kit.open({ ...settings, ...place }),
    ] as const;
    places.push({
      store: together === 1 ? inTurn(views) : views[0],
      model: new PlainStore({ now, keepMs, log }),
    });
  }
  try {
    await applyAll({ places, now, pass }, operations, together);
  } finally {
    await kit.close();
  }
}

/** Runs the operations through the views in turn. */
function inTurn(views: readonly View[]): View {
  let turn = 0;
  const next = (): View => views[turn++ % views.length] as View;
  const records = new Proxy({} as View['records'], {
    get: (_, method) => {
      const target = next().records as unknown as Record<
        string | symbol,
        (...given: unknown[]) => unknown
      >;
      return (...given: unknown[]) => target[method]?.(...given);
    },
  });
  return { ...(views[0] as View), records };
}

/** For a store that sets no timers: moving its clock needs no turn of the event loop. */
export function movedTime(): Required<Pick<StoreUnderTest, 'time' | 'pass'>> {
  const fake = createFakeTime();
  let moved = 0;
  const time = {
    ...fake,
    now: (): number => fake.now() + moved,
    monotonic: (): number => fake.monotonic() + moved,
  };
  return { time, pass: async (ms) => void (moved += ms) };
}
