/**
 * A store under a name that no deployment has, for the store contract of `sojourn doctor`: it can be removed with all
 * that it holds.
 */
import { systemRandom, systemTime } from '../../base/system.ts';
import type { Store, StoreOptions } from '../store.ts';

export interface ScratchStore extends Store {
  /** Resolves also where nothing of it exists. Rejects where this user may not remove it. */
  removeScratch(): Promise<void>;
}

/** How long the server may take for one answer. */
export const SCRATCH_LIMIT_MS = 10_000;

const quiet = (): void => undefined;

/** What its connection needs. */
export const SCRATCH_OPTIONS: Pick<StoreOptions, 'time' | 'random' | 'logger'> = {
  time: systemTime,
  random: systemRandom,
  logger: { debug: quiet, info: quiet, warn: quiet, error: quiet, fatal: quiet },
};

const SCRATCH = /(?:^|[:_-])doctor_[A-Za-z0-9]{10,}$/;

/** Nothing else is ever removed. */
export function requireScratch(name: string): void {
  if (!SCRATCH.test(name)) throw new TypeError(`${name} is no scratch name`);
}
