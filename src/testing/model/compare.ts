/**
 * The model run: random operations on a store and on a plain model, compared answer by answer. A failure names the seed
 * and the fewest operations that still show the difference.
 */
import type { View } from '../view.ts';
import type { EventRetention } from '../../types.ts';
import { createStoreKit, type StoreUnderTest } from '../contract/store-kit.ts';
import { applyAll } from './apply-operations.ts';
import { PlainStore } from './plain-store.ts';
import { randomOperations, type Operation } from './random-operations.ts';

/** With the large log the store holds more than retention keeps: events are filtered long before they are deleted. */
const MODEL_RETENTION = {
  small: { ttlMs: 5_000, events: 6, bytes: 40 },
  large: { ttlMs: 5_000, events: 6, bytes: 4_000 },
} as const satisfies Record<string, EventRetention>;
const MODEL_TOMBSTONE_MS = 4_000;
/** For a store whose clock runs during a run: nothing grows old. */
const LONG_MS = 600_000;
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
}

/** What one run needs. */
export interface ModelRuns extends Required<Pick<ModelRunOptions, 'pass' | 'runs' | 'seed' | 'together' | 'log'>> {
  /** Two views on a new deployment. */
  open(options: {
    readonly log: EventRetention;
    readonly keepMs: number;
    readonly leaseMs: number;
  }): Promise<{ readonly views: readonly View[]; close(): Promise<void> }>;
  now(): number;
  /** Time passes only by `pass`. */
  readonly timed: boolean;
  /** How operations use the two views. */
  spread(views: readonly View[]): View;
}

/**
 * Compares a store with the model; rejects at the first difference. Give `time` and `pass` of a clock that moves only
 * by `pass`, and the runs include expiries. Without `time` nothing expires in them.
 */
export async function compareWithModel(options: ModelRunOptions): Promise<void> {
  const { time, runs = RUNS, seed = 1, together = 1, log = 'small', pass } = options;
  await compareRuns({
    async open(view) {
      const kit = createStoreKit(options);
      const views = [await kit.open(view), await kit.open(view)];
      return { views, close: () => kit.close() };
    },
    now: () => time?.now() ?? 0,
    pass,
    timed: time !== undefined,
    runs,
    seed,
    together,
    log,
    spread: inTurn,
  });
}

export async function compareRuns(all: ModelRuns): Promise<void> {
  for (let n = 0; n < all.runs; n++) {
    const seed = all.seed + n;
    const operations = randomOperations(seed, all.timed);
    const failure = await failureOf(all, operations);
    if (failure === undefined) continue;
    const [fewest, cause] = await shrunk(all, operations, failure);
    const shown = fewest.map((operation) => JSON.stringify(operation)).join('\n');
    throw new Error(`seed ${seed}: the store answers otherwise than the model after\n${shown}\n${cause.message}`, {
      cause,
    });
  }
}

async function failureOf(all: ModelRuns, operations: readonly Operation[]): Promise<Error | undefined> {
  const { now, pass, timed, together } = all;
  const long = timed ? {} : { ttlMs: LONG_MS };
  const log = { ...MODEL_RETENTION[all.log], ...long };
  const keepMs = timed ? MODEL_TOMBSTONE_MS : LONG_MS;
  const { views, close } = await all.open({ log, keepMs, leaseMs: LEASE_MS });
  const model = new PlainStore({ now, keepMs, log });
  try {
    const [first] = views;
    if (first === undefined) throw new Error('a run needs a view');
    const store = together === 1 ? all.spread(views) : first;
    await applyAll({ store, model, now, pass, timed }, operations, together);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  } finally {
    await close();
  }
}

/** Leaves out parts, large ones first, as long as the rest fails too. */
async function shrunk(
  all: ModelRuns,
  operations: readonly Operation[],
  failure: Error,
): Promise<readonly [readonly Operation[], Error]> {
  let [fewest, cause, tries] = [operations, failure, 0];
  for (let size = Math.ceil(fewest.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let from = 0; from < fewest.length && tries < SHRINKS; tries++) {
      const fewer = [...fewest.slice(0, from), ...fewest.slice(from + size)];
      const still = fewer.length === 0 ? undefined : await failureOf(all, fewer);
      if (still === undefined) from += size;
      else [fewest, cause] = [fewer, still];
    }
  }
  return [fewest, cause];
}

/** Runs the operations through the views in turn. */
export function inTurn(views: readonly View[]): View {
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
