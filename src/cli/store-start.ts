/** The store at the start of `serve`: whether a failure to open it ends the command, and what is said about it. */
import { SojournError } from '../errors.ts';
import { reason } from './failure.ts';
import type { ServeSettings } from './settings.ts';
import type { ChosenStore } from './store-url.ts';
import type { WorkerRole } from './worker-role.ts';

/** A store that is not open. */
export interface StoreAway {
  /** The sentence has no secrets. */
  readonly what: string;
  readonly lasting: boolean;
}

export interface StoreStart {
  /** For `listen()`: whether to serve although the store could not be opened. */
  storeMayBeAway(error: unknown): boolean;
  /** `undefined`: no attempt to open it has failed. */
  away(): StoreAway | undefined;
  /** The error of the command, if the store is what `listen()` rejected with. */
  problem(error: unknown): string | undefined;
}

export function storeStart(
  { requireStore, origin }: Pick<ServeSettings, 'requireStore' | 'origin'>,
  worker: WorkerRole | undefined,
  chosen: ChosenStore | undefined,
  module: string,
): StoreStart {
  let failure: unknown;
  const away = (): StoreAway | undefined => {
    if (failure === undefined) return undefined;
    const { what = reason(failure), lasting = false } =
      (failure instanceof SojournError ? failure.storeProblem : undefined) ?? {};
    return { what, lasting };
  };
  return {
    away,
    storeMayBeAway(error) {
      failure = error;
      // Another worker serves, or has served, with this store.
      if (worker !== undefined && worker.start !== 'first') return true;
      return requireStore === undefined ? chosen?.remote === true && !away()?.lasting : !requireStore;
    },
    problem(error) {
      const found = error === failure ? away() : undefined;
      if (found === undefined) return undefined;
      const where = chosen === undefined ? `the store of ${module}` : (origin('store') ?? chosen.shown);
      const tolerated = found.lasting && chosen?.remote === true && requireStore === undefined;
      return `${where}: ${found.what}${tolerated ? '\n(--no-require-store serves all the same and keeps trying)' : ''}`;
    },
  };
}
