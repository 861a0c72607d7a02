/** The records of one kind whose work instances run, and what this instance writes of them. */
import type { MemoryUse } from '../../base/budget.ts';
import { type RandomSource, within } from '../../base/system.ts';
import type { Instance } from '../../cluster/instance.ts';
import type { OwnerDirectory } from '../../cluster/owner-directory.ts';
import { SojournError, storeUnavailable } from '../../base/errors.ts';
import type { ResolvedOptions } from '../../base/options/endpoint-options.ts';
import { whileAway } from '../../session/record/pause.ts';
import { keepUnlessForgotten } from '../../session/record/forgotten-users.ts';
import type { EndpointStore } from '../../session/record/record-kinds.ts';
import type { Fence, MaybePromise, NewRecord, Records } from '../../stores/store.ts';
import type { Outcomes } from './outcomes.ts';

/** How long the end of an endpoint waits for the store. */
const STORED_MS = 1_000;

const EPOCH_BYTES = 6;

/**
 * The first epoch of a record whose id is used again: a late write about an earlier record of that
 * id finds another epoch.
 */
export const newEpoch = (random: RandomSource): number =>
  Buffer.from(random(EPOCH_BYTES)).readUIntBE(0, EPOCH_BYTES);

const FIRST_LOOK_MS = 20;
const LONGEST_LOOK_MS = 1_000;
const LOOK_PART = 8;

/** The pause before a call looks again at what another instance runs: a part of what it waited, or its task has taken. */
export const lookPauseMs = (pastMs: number): number =>
  Math.min(LONGEST_LOOK_MS, Math.max(FIRST_LOOK_MS, pastMs / LOOK_PART));

/** A text on its way to the store: two bytes for a character, in the record, in its row, and in what is sent. */
export const TEXT_WEIGHT = 6;

/** The lease of this instance. */
export interface OwnerLease {
  readonly owner: string;
  readonly valid: boolean;
}

/** What the records of a kind need. */
export interface RecordParts {
  readonly options: ResolvedOptions;
  readonly store: EndpointStore;
  readonly instance: { readonly lease: OwnerLease };
  readonly random: RandomSource;
}

/** What the endpoint gives to `once()` and to tasks. */
export interface OwnedParts extends RecordParts {
  readonly instance: Pick<Instance, 'notify'> & { readonly lease: OwnerLease };
  readonly directory: Pick<OwnerDirectory, 'isTaken'>;
  /** Charged for what runs hold besides the requests of their clients, and for outcomes that are not stored yet. */
  readonly memory: MemoryUse;
}

const never = (): boolean => false;

export class OwnedRecords {
  readonly #kind: 'once' | 'tasks' | 'handles' | 'events';
  protected readonly given: RecordParts;
  readonly lease: OwnerLease;
  /** Writes that no client waits for, until the store has answered. */
  readonly #writes = new Set<Promise<unknown>>();
  #isStopped = false;

  constructor(kind: 'once' | 'tasks' | 'handles' | 'events', given: RecordParts) {
    this.#kind = kind;
    this.given = given;
    this.lease = given.instance.lease;
  }

  /** The store may be opened later. */
  get records(): Records {
    return this.given.store[this.#kind];
  }

  get outcomes(): Outcomes {
    return this.given.store.outcomes;
  }

  get logger(): ResolvedOptions['logger'] {
    return this.given.options.logger;
  }

  /** Sends a write that no client waits for. `failed` gets what it throws, and then there is no outcome. */
  send<T>(write: () => MaybePromise<T>, failed: (err: unknown) => void): Promise<T | undefined> {
    const written = (async () => write())()
      .catch((err: unknown) => {
        failed(err);
        return undefined;
      })
      .finally(() => this.#writes.delete(written));
    this.#writes.add(written);
    return written;
  }

  /**
   * The instance stops, once every write so far is stored or could not be: then nothing is written any more. A store
   * that hangs delays no end of an endpoint.
   */
  async stop(): Promise<void> {
    await within(
      this.given.options.timeProvider,
      STORED_MS,
      Promise.all(this.#writes),
      () => undefined,
    );
    this.#isStopped = true;
  }

  get stopped(): boolean {
    return this.#isStopped;
  }

  /** Repeats `work` while the store is away, for at most `maxWaitMs`. */
  reach<T>(
    work: () => MaybePromise<T>,
    stopped = never,
    maxWaitMs = this.given.options.maxWaitMs,
  ): Promise<T> {
    const { timeProvider: time } = this.given.options;
    return whileAway({ time, maxWaitMs, stopped: () => this.#isStopped || stopped() }, work);
  }

  /** No id owns a record before its lease is stored: another instance would find its owner dead. */
  async leased(stopped?: () => boolean): Promise<void> {
    await this.reach(() => {
      if (!this.lease.valid) throw storeUnavailable('this instance takes its lease');
    }, stopped);
  }

  newEpoch(): number {
    return newEpoch(this.given.random);
  }

  /** Stores a new record. `false`: there is another one with its id. Throws `USER_FORGOTTEN`. */
  async create(
    record: NewRecord,
    lastsMs: number,
    dueInMs: number | null,
    stopped = never,
  ): Promise<boolean> {
    const created = () => this.records.create(record, lastsMs, dueInMs);
    if ((await this.reach(created, stopped)) === 'exists') return false;
    if (record.user !== null)
      await this.reach(() => keepUnlessForgotten(this.given.store, this.records, record), stopped);
    return true;
  }

  /**
   * Ends a record whose creation has no answer, or came too late: nothing runs for it. First it is created once more,
   * because the earlier creation may still be under way, and would be stored after the end. `cause`: what the creation
   * failed with.
   */
  async takeBack(
    record: NewRecord & Fence,
    lastsMs: number,
    dueInMs: number | null,
    cause?: unknown,
  ): Promise<unknown> {
    // `create` has ended it.
    if (cause instanceof SojournError && cause.code === 'USER_FORGOTTEN') return;
    const taken = async (): Promise<void> => {
      const created = () => this.records.create(record, lastsMs, dueInMs);
      await this.reach(created, never, Infinity).catch(() => undefined);
      await this.reach(() => this.records.end(record.id, record, '', 0), never, Infinity);
    };
    return this.send(taken, (err) =>
      this.logger.debug({ err }, 'What did not begin could not be taken back'),
    );
  }
}
