/**
 * The keys of `ctx.requestState` that instances share through their store. Each day has a fresh key, created by the
 * first instance that reads it. Today's key seals. Yesterday's and tomorrow's keys open too: for states sealed
 * yesterday, and for states from an instance whose clock is ahead. A leaked key is thus useful for a day or two, and
 * keys need no rotation by hand.
 */
import { STORE_SECRET } from '../base/options/defaults.ts';
import type { ResolvedOptions } from '../base/options/endpoint-options.ts';
import { whileAway } from '../session/record/pause.ts';
import type { OpenStore } from '../stores/store.ts';
import { stateKey } from '../base/protocol/request-state.ts';

const DAY_MS = 86_400_000;
/**
 * A key is created at the earliest one day before its day and needed until the day after; one more day allows for clock
 * differences.
 */
const KEEP_MS = 4 * DAY_MS;

/** What it returns rejects while the store is away, unless it has answered before. */
export function dailyKeys(
  store: Pick<OpenStore, 'secret'>,
  now: () => number,
): () => Promise<readonly Uint8Array[]> {
  let day: number | undefined;
  let keys: Promise<readonly Uint8Array[]> | undefined;
  let before: readonly Uint8Array[] | undefined;
  const ask = async (today: number): Promise<readonly Uint8Array[]> => {
    const days = [today, today - 1, today + 1];
    before = await Promise.all(
      days.map(async (n) => stateKey(await store.secret(`request-state/${n}`, KEEP_MS))),
    );
    return before;
  };
  return () => {
    const today = Math.floor(now() / DAY_MS);
    if (keys !== undefined && day === today) return keys;
    day = today;
    const asked = ask(today).catch((cause: unknown) => {
      // Retry after an unreachable store. Today's key was already read yesterday, as tomorrow's key.
      if (keys === asked) keys = undefined;
      if (before === undefined) throw cause;
      return before;
    });
    keys = asked;
    return asked;
  };
}

/** One for each of the option `secrets`. For those of the store a request waits up to `maxWaitMs`. */
export function keysOf(
  { secrets, timeProvider: time, maxWaitMs }: ResolvedOptions,
  store: Pick<OpenStore, 'secret'>,
  stopped: () => boolean,
): () => Promise<readonly Uint8Array[]> {
  const own = secrets.map((secret) => (secret === STORE_SECRET ? undefined : stateKey(secret)));
  const among = (ofStore: readonly Uint8Array[]) => own.flatMap((key) => key ?? ofStore);
  if (!own.includes(undefined)) return async () => among([]);
  const daily = dailyKeys(store, time.now);
  // The SDK tells the client of a request whose keys cannot be read that its state is invalid, for good.
  return async () => among(await whileAway({ time, maxWaitMs, stopped }, daily));
}
