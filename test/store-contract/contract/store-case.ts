/** A case of a contract above views of a store. */
import type { StoreKit } from './store-kit.ts';

export interface StoreCase {
  /** Stable, for reports: `claim/wrong-epoch`. */
  readonly id: string;
  /** A sentence. */
  readonly title: string;
  run(kit: StoreKit): Promise<void>;
}

/** A case; `name` is its id and its title, with a colon between. */
export function test(name: string, run: StoreCase['run']): StoreCase {
  const colon = name.indexOf(': ');
  return { id: name.slice(0, colon), title: name.slice(colon + 2), run };
}

/** A time that a case lets pass, and more than that. */
export const SHORT_MS = 600;
export const PAST_SHORT_MS = 800;
