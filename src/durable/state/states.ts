/**
 * What users and handles of an endpoint keep: no instance owns it, and each one may change it. The state of a user is
 * one record, whose id is the group of the user.
 */
import { storedShare } from '../../base/budget.ts';
import { storeUnavailable } from '../../base/errors.ts';
import { pagesOf } from '../../base/pages.ts';
import { base64url } from '../../base/system.ts';
import type { StateCaller, StatesPort } from '../../session/calls/call-services.ts';
import { FORGOTTEN, groupOf, refuseForgotten } from '../../session/record/forgotten-users.ts';
import { RecordQueues } from '../../stores/shared/record-queues.ts';
import { type FoundRecord, isEnded, RECORD_VERSION } from '../../stores/store.ts';
import type { State } from '../../base/types.ts';
import { newEpoch } from '../records/owned-records.ts';
import { Handles } from './handles.ts';
import { SharedState } from './shared-state.ts';
import { firstHead } from './state-head.ts';
import type { NewState, StateParts, StatesGiven } from './state-change.ts';

const WRITER_BYTES = 6;
const PAGE = 256;
const SWEEP_MS = 60_000;
const FORGOTTEN_MS = 86_400_000;
const TRIES = 64;

export class States implements StatesPort {
  readonly handles: Handles;
  readonly #given: StatesGiven;
  readonly #parts: StateParts;
  #sweptAt = -Infinity;

  constructor(given: StatesGiven) {
    const { options, random, memory } = given;
    const { timeProvider: time, maxWaitMs, limits } = options;
    const writer = base64url(random(WRITER_BYTES));
    let changes = 0;
    const author = () => ({ writer, change: (changes += 1) });
    const { stateBytes } = limits;
    this.#given = given;
    this.#parts = { time, maxWaitMs, stateBytes, memory, author, turns: new RecordQueues() };
    this.handles = new Handles(given, this.#parts);
  }

  /** `user` undefined: the state of all callers without one, which is in no one's share. */
  ofUser({ user, share }: StateCaller, lastsMs: number): State {
    const { states: records } = this.#given.store;
    const stored = user === undefined ? null : storedShare(share);
    const absent = (found: FoundRecord) => this.#new(user, stored, found);
    const address = { records, id: groupOf(user), name: 'userState()', share, lastsMs, absent };
    return new SharedState(this.#parts, address);
  }

  /** Ends the state of a user, and refuses another one for a day. `false`: nothing was kept. */
  async forget(user: string): Promise<boolean> {
    const { states } = this.#given.store;
    const id = groupOf(user);
    for (let tries = 0; tries < TRIES; tries++) {
      const found = await states.read(id);
      if (found !== undefined && isEnded(found)) return false;
      if (found === undefined) {
        const made = { head: firstHead(FORGOTTEN_MS, this.#parts.author()), fields: {}, stamp: 1 };
        await states.create({ ...this.#new(user, null, undefined), ...made }, FORGOTTEN_MS);
      } else if ((await states.end(id, found, FORGOTTEN, FORGOTTEN_MS)) === 'ended')
        return Object.keys(found.fields).length > 0;
    }
    throw storeUnavailable('the state of a user changes all the time');
  }

  /** Its epoch is its own: a late write about an earlier state of this user is refused. */
  #new(user: string | undefined, share: string | null, found: FoundRecord): NewState {
    refuseForgotten(found);
    const epoch = newEpoch(this.#given.random);
    const whose = { epoch, owner: null, user: user ?? null, share };
    const createdAt = this.#parts.time.now();
    return { v: RECORD_VERSION, id: groupOf(user), ...whose, body: '', createdAt };
  }

  /** Ends what has expired, once a minute. */
  async sweep(): Promise<void> {
    const { store, options } = this.#given;
    const now = options.timeProvider.monotonic();
    if (now - this.#sweptAt < SWEEP_MS) return;
    this.#sweptAt = now;
    for await (const { records } of pagesOf(async (cursor) => store.handles.due(PAGE, cursor)))
      for (const record of records) await store.handles.end(record.id, record, '', 0);
    await store.handles.trim();
    await store.states.trim();
  }
}
