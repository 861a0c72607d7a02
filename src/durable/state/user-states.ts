/**
 * The states of users: one record each, whose id is the group of the user. A user who was forgotten has an ended one for
 * a day, which refuses what was under way then.
 */
import { storedShare } from '../../base/budget.ts';
import { storeUnavailable } from '../../base/errors.ts';
import { FORGOTTEN, groupOf, refuseForgotten } from '../../session/record/forgotten-users.ts';
import type { RandomSource } from '../../base/system.ts';
import { type FoundRecord, isEnded, RECORD_VERSION, type Records } from '../../stores/store.ts';
import type { State } from '../../base/types.ts';
import { SharedState } from './shared-state.ts';
import { firstHead } from './state-head.ts';
import type { NewState, StateParts, StatePlace } from './state-change.ts';

const EPOCH_BYTES = 6;
const FORGOTTEN_MS = 86_400_000;
const TRIES = 64;

/** Who calls. */
export interface StateCaller {
  readonly user: string | undefined;
  /** Whose share it takes, a key of `shareKey`. */
  readonly share: string;
}

export class UserStates {
  readonly #records: Records;
  readonly #parts: StateParts;
  readonly #random: RandomSource;

  constructor(records: Records, parts: StateParts, random: RandomSource) {
    this.#records = records;
    this.#parts = parts;
    this.#random = random;
  }

  /** `user` undefined: the state of all callers without one, which is in no one's share. */
  of({ user, share }: StateCaller, lastsMs: number): State {
    const place: StatePlace = {
      records: this.#records,
      id: groupOf(user),
      name: 'userState()',
      share,
      lastsMs,
      absent: (found) => this.#new(user, user === undefined ? null : storedShare(share), found),
    };
    return new SharedState(this.#parts, place);
  }

  /** Ends the state of a user, and refuses another one for a day. `false`: nothing was kept. */
  async forget(user: string): Promise<boolean> {
    const id = groupOf(user);
    for (let tries = 0; tries < TRIES; tries++) {
      const found = await this.#records.read(id);
      if (found !== undefined && isEnded(found)) return false;
      if (found === undefined) {
        const made = { head: firstHead(FORGOTTEN_MS, this.#parts.author()), fields: {}, stamp: 1 };
        await this.#records.create({ ...this.#new(user, null, undefined), ...made }, FORGOTTEN_MS);
      } else if ((await this.#records.end(id, found, FORGOTTEN, FORGOTTEN_MS)) === 'ended')
        return Object.keys(found.fields).length > 0;
    }
    throw storeUnavailable('the state of a user changes all the time');
  }

  /** Its epoch is its own: a late write about an earlier state of this user is refused. */
  #new(user: string | undefined, share: string | null, found: FoundRecord): NewState {
    refuseForgotten(found);
    const epoch = Buffer.from(this.#random(EPOCH_BYTES)).readUIntBE(0, EPOCH_BYTES);
    const createdAt = this.#parts.time.now();
    return {
      v: RECORD_VERSION,
      id: groupOf(user),
      epoch,
      owner: null,
      user: user ?? null,
      share,
      body: '',
      createdAt,
    };
  }
}
