/** A case of the store contract: what it needs, and what it does. */
import type { StoreKit } from './store-kit.ts';

/** What only some stores have, or only some tests can do. A test skips a case that needs it by name, with the reason. */
export type StoreNeed =
  /** The test moves the store's clock. No case waits for a clock that runs: a machine that stalls would be late. */
  | 'moved-clock'
  /** Also: a lease that is not renewed expires by that clock. */
  | 'lease-expiry'
  /** Also: `pass` takes a negative time. */
  | 'clock-set-back'
  /** The test counts what the store holds: `StoreUnderTest.entries`. */
  | 'entries';

export interface StoreCase {
  /** Stable, for skips and reports: `claim/wrong-epoch`. */
  readonly id: string;
  /** A sentence. */
  readonly title: string;
  readonly needs?: StoreNeed;
  run(kit: StoreKit): Promise<void>;
}

/** A case; `name` is its id and its title, with a colon between. */
export function test(name: string, run: StoreCase['run']): StoreCase {
  const colon = name.indexOf(': ');
  return { id: name.slice(0, colon), title: name.slice(colon + 2), run };
}

export const needing = (needs: StoreNeed, cases: readonly StoreCase[]): readonly StoreCase[] =>
  cases.map((one) => ({ ...one, needs }));

/** A time that a case lets pass, and more than that. */
export const SHORT_MS = 600;
export const PAST_SHORT_MS = 800;
