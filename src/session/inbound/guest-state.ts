/** What a handler that runs at another instance asks of the state of its session (`durable/live/`). */
import type { State } from '../../base/types.ts';

/** The method of these requests between instances. No client gets them. */
export const STATE_METHOD = 'sojourn/state';

/** `lock` begins an update, and `free` ends it: without a value nothing changes. */
export interface StateAsked {
  readonly [member: string]: unknown;
  readonly op: 'get' | 'set' | 'delete' | 'entries' | 'lock' | 'free';
  readonly key?: string;
  readonly value?: unknown;
  readonly lock?: number;
}

interface Lock {
  /** Ends the update. */
  free(value: unknown): void;
  readonly stored: Promise<unknown>;
}

export class GuestStates {
  readonly #state: State | undefined;
  readonly #locks = new Map<number, Lock>();
  #last = 0;
  #isOver = false;

  /** `undefined`: the call has no session. */
  constructor(state: State | undefined) {
    this.#state = state;
  }

  async answer({ op, key = '', value, lock = 0 }: StateAsked): Promise<unknown> {
    const state = this.#state;
    if (state === undefined) throw new Error('This call has no session');
    switch (op) {
      case 'get':
        return state.get(key);
      case 'set':
        return state.set(key, value);
      case 'delete':
        return state.delete(key);
      case 'entries':
        return state.entries();
      case 'lock':
        return this.#lock(state, key);
      case 'free': {
        const found = this.#locks.get(lock);
        this.#locks.delete(lock);
        found?.free(value);
        return void (await found?.stored);
      }
    }
  }

  #lock(state: State, key: string): Promise<unknown> {
    const lock = (this.#last += 1);
    return new Promise((resolve, reject) => {
      const stored = state.update(key, (current: unknown) => {
        if (this.#isOver) return undefined;
        const value = new Promise((free) => this.#locks.set(lock, { free, stored }));
        resolve({ lock, current });
        return value;
      });
      stored.catch(reject);
    });
  }

  /** The call is over: updates that have begun, or wait for their turn, change nothing. */
  over(): void {
    this.#isOver = true;
    for (const { free } of this.#locks.values()) free(undefined);
    this.#locks.clear();
  }
}
