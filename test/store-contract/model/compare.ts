/**
 * The model run: random operations on a store and on a plain model, compared answer by answer. A failure names the seed
 * and the fewest operations that still show the difference.
 */
import type { View } from '../view.ts';
import type { EventRetention } from '../../../src/types.ts';
import { createStoreKit, type StoreUnderTest } from '../contract/store-kit.ts';
import { applyAll } from './apply-operations.ts';
import { PlainStore } from './plain-store.ts';
import { PLACES, randomOperations, type ModelOperation } from './random-operations.ts';

/** With the large log the store holds more than retention keeps: events are filtered long before they are deleted. */
const MODEL_RETENTION = {
  small: { ttlMs: 5_000, events: 6, bytes: 40 },
  large: { ttlMs: 5_000, events: 6, bytes: 4_000 },
} as const satisfies Record<string, EventRetention>;
const MODEL_TOMBSTONE_MS = 4_000;
/** Instances of the model die only by leaving. */
const LEASE_MS = 1e9;
const RUNS = 100;
/** Runs that look for fewer operations. */
const SHRINKS = 200;

export interface ModelRunOptions extends StoreUnderTest {
  /** Runs with different operations: 100. */
  readonly runs?: number;
  /** The seed of the first run: 1. The run after it has the next number. A failure names the seed of its run. */
  readonly seed?: number;
  /**
   * Up to so many writes are requested in one turn; they must answer as if they ran one after the other. Default 1:
   * each operation waits for the one before it, and two connections take turns.
   */
  readonly together?: number;
  readonly log?: keyof typeof MODEL_RETENTION;
  /** `false`: of a kind that is not listed. */
  readonly listed?: boolean;
}

/**
 * Compares a store with the model; rejects at the first difference. Give `time` or `now`, and `pass`, of a clock that
 * moves only by `pass`.
 */
export async function compareWithModel(options: ModelRunOptions): Promise<void> {
  const { runs = RUNS, seed: first = 1 } = options;
  const failure: FailureOf = (operations) => failureOf(options, operations);
  for (let seed = first; seed < first + runs; seed++) {
    const operations = randomOperations(seed, options.listed);
    const failed = await failure(operations);
    if (failed === undefined) continue;
    const [fewest, cause] = await shrunk(failure, operations, failed);
    const shown = fewest.map((operation) => JSON.stringify(operation)).join('\n');
    throw new Error(`seed ${seed}: the store answers otherwise than the model after\n${shown}\n${cause.message}`, {
      cause,
    });
  }
}

type FailureOf = (operations: readonly ModelOperation[]) => Promise<Error | undefined>;

async function failureOf(options: ModelRunOptions, operations: readonly ModelOperation[]): Promise<Error | undefined> {
  const { together = 1, listed = true } = options;
  const log = MODEL_RETENTION[options.log ?? 'small'];
  const keepMs = MODEL_TOMBSTONE_MS;
  const kit = createStoreKit(options);
  const { now, pass } = kit;
  const settings = { log, keepMs, leaseMs: LEASE_MS, listed, ...(listed && { grouped: true as const }) };
  const places = [];
  for (const place of PLACES) {
    const views = [await kit.open({ ...settings, ...place }), await kit.open({ ...settings, ...place })] as const;
    const store = together === 1 ? inTurn(views) : views[0];
    places.push({ store, model: new PlainStore({ now, keepMs, log }) });
  }
  try {
    await applyAll({ places, now, pass }, operations, together);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  } finally {
    await kit.close();
  }
}

/** Leaves out parts, large ones first, as long as the rest fails too. */
async function shrunk(
  failureOf: FailureOf,
  operations: readonly ModelOperation[],
  failure: Error,
): Promise<readonly [readonly ModelOperation[], Error]> {
  let [fewest, cause, tries] = [operations, failure, 0];
  for (let size = Math.ceil(fewest.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let from = 0; from < fewest.length && tries < SHRINKS; tries++) {
      const fewer = [...fewest.slice(0, from), ...fewest.slice(from + size)];
      const still = fewer.length === 0 ? undefined : await failureOf(fewer);
      if (still === undefined) from += size;
      else [fewest, cause] = [fewer, still];
    }
  }
  return [fewest, cause];
}

/** Runs the operations through the views in turn. */
function inTurn(views: readonly View[]): View {
  let turn = 0;
  const next = (): View => views[turn++ % views.length] as View;
  const records = new Proxy({} as View['records'], {
    get: (_, method) => {
      const target = next().records as unknown as Record<string | symbol, (...given: unknown[]) => unknown>;
      return (...given: unknown[]) => target[method]?.(...given);
    },
  });
  return { ...(views[0] as View), records };
}
