/** What users and handles of an endpoint keep: no instance owns it, and each one may change it. */
import type { MemoryUse } from '../../base/budget.ts';
import { base64url } from '../../base/system.ts';
import { pagesOf } from '../../base/pages.ts';
import type { RecordParts } from '../records/owned-records.ts';
import { RecordQueues } from '../../stores/shared/record-queues.ts';
import { Handles } from './handles.ts';
import type { StateParts } from './state-change.ts';
import { UserStates } from './user-states.ts';

const WRITER_BYTES = 6;
const PAGE = 256;
const SWEEP_MS = 60_000;

/** `memory`: what changes hold until they are stored. */
export interface StatesGiven extends Pick<RecordParts, 'options' | 'store' | 'random'> {
  readonly memory: MemoryUse;
}

export class States {
  readonly users: UserStates;
  readonly handles: Handles;
  readonly #given: StatesGiven;
  #sweptAt = -Infinity;

  constructor(given: StatesGiven) {
    const { options, store, random, memory } = given;
    const { timeProvider: time, maxWaitMs, limits, perUser } = options;
    const writer = base64url(random(WRITER_BYTES));
    let changes = 0;
    const author = () => ({ writer, change: (changes += 1) });
    const { stateBytes, anonymousHandles: anonymous, userShare } = limits;
    const parts: StateParts = {
      time,
      maxWaitMs,
      stateBytes,
      memory,
      author,
      turns: new RecordQueues(),
    };
    this.users = new UserStates(store.states, parts, random);
    const bounds = { ofUser: perUser.handles, anonymous, userShare };
    this.handles = new Handles({ store, random, ...bounds }, parts);
    this.#given = given;
  }

  /** Ends what has expired, once a minute. */
  async sweep(): Promise<void> {
    const { store, options } = this.#given;
    const now = options.timeProvider.monotonic();
    if (now - this.#sweptAt < SWEEP_MS) return;
    this.#sweptAt = now;
    for await (const { records } of pagesOf(async (cursor) => store.handles.due(PAGE, cursor)))
      for (const { id, epoch, owner } of records)
        await store.handles.end(id, { epoch, owner }, '', 0);
    await store.handles.trim();
    await store.states.trim();
  }
}
