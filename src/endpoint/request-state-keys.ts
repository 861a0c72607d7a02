/**
 * The keys of `ctx.requestState` that instances share through their store: a fresh one for each day, made by whoever asks
 * first. The day's own seals; its neighbours open too: what was sealed yesterday, and by an instance whose clock is ahead.
 * So a key that leaked is of use for a day or two, and nobody has to rotate anything.
 */
import type { OpenStore } from '../stores/store.ts';
import type { RequestStateKey } from '../protocol/request-state.ts';

const DAY_MS = 86_400_000;
/** Made the day before its own at the earliest, wanted until the day after: a day is left for clocks that differ. */
const KEEP_MS = 4 * DAY_MS;

export function dailyKeys(
  store: Pick<OpenStore, 'secret'>,
  now: () => number,
): () => Promise<readonly RequestStateKey[]> {
  let day: number | undefined;
  let keys: Promise<readonly RequestStateKey[]> | undefined;
  let before: readonly RequestStateKey[] | undefined;
  const ask = async (today: number): Promise<readonly RequestStateKey[]> => {
    const days = [today, today - 1, today + 1];
    before = await Promise.all(days.map(async (n) => store.secret(`request-state/${n}`, KEEP_MS)));
    return before;
  };
  return () => {
    const today = Math.floor(now() / DAY_MS);
    if (keys !== undefined && day === today) return keys;
    day = today;
    const asked = ask(today).catch((cause: unknown) => {
      // A store that was away is asked again. The day's own key was asked for the day before.
      if (keys === asked) keys = undefined;
      if (before === undefined) throw cause;
      return before;
    });
    keys = asked;
    return asked;
  };
}
