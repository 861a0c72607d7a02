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

export class StoreStart {
  readonly #settings: Pick<ServeSettings, 'requireStore' | 'origin'>;
  /** Another worker serves, or has served, with this store. */
  readonly #isLaterWorker: boolean;
  readonly #chosen: ChosenStore | undefined;
  readonly #module: string;
  #error: unknown;

  constructor(
    settings: Pick<ServeSettings, 'requireStore' | 'origin'>,
    worker: WorkerRole | undefined,
    chosen: ChosenStore | undefined,
    module: string,
  ) {
    this.#settings = settings;
    this.#isLaterWorker = worker !== undefined && worker.start !== 'first';
    this.#chosen = chosen;
    this.#module = module;
  }

  /** For `listen()`: whether to serve although the store could not be opened. */
  readonly storeMayBeAway = (error: unknown): boolean => {
    this.#error = error;
    const { requireStore } = this.#settings;
    if (this.#isLaterWorker) return true;
    return requireStore === undefined ? this.#chosen?.remote === true && !this.away?.lasting : !requireStore;
  };

  /** `undefined`: no attempt to open it has failed. */
  get away(): StoreAway | undefined {
    if (this.#error === undefined) return undefined;
    const { what = reason(this.#error), lasting = false } =
      (this.#error instanceof SojournError ? this.#error.storeProblem : undefined) ?? {};
    return { what: this.#chosen?.redact(what) ?? what, lasting };
  }

  /** The error of the command, if the store is what `listen()` rejected with. */
  problem(error: unknown): string | undefined {
    if (error !== this.#error || this.away === undefined) return undefined;
    const { what, lasting } = this.away;
    const origin = this.#chosen === undefined ? `the store of ${this.#module}` : this.#settings.origin('store');
    const tolerated = lasting && this.#chosen?.remote === true && this.#settings.requireStore === undefined;
    return `${origin}: ${what}${tolerated ? '\n(--no-require-store serves all the same and keeps trying)' : ''}`;
  }
}
