/**
 * The interface of a store: `records` (compare-and-set records with their logs, one set per kind), `instances` (leases,
 * mailboxes, the bus), the deployment's `secret`. Every store passes one contract suite
 * (`docs/internals/your-own.md`).
 *
 * A record names its `owner` (an instance id) and its `epoch`. Only `claim` makes an owner, and it raises the epoch.
 * Every later write names both. The store refuses a write (`'fenced'`) unless both equal the stored values. An ended
 * record leaves its outcome for a while, and nothing restores it. A missing record does not prove that it ended.
 *
 * An instance is dead when the instance directory has no lease for it, by the store's clock. `instances.read` answers
 * that; `Records` never judges it. A caller that takes a record from a dead owner, or ends it, reads the record, then
 * the lease of its owner, and then passes the owner and the epoch that it saw. A plain compare-and-set on these two is
 * enough, because death is final: an instance whose lease has lapsed takes another id, and a dead id owns nothing anew.
 * So the owner cannot come back to life between the read of its lease and the write. A late write under the dead id
 * (a release that was under way) changes the owner, another claim changes the epoch, and either refuses the write.
 *
 * The store's clock decides when a record expires. Callers say how long it lasts (`expiresInMs`), and the store adds
 * that to its clock when it writes. The clock of an instance may be hours off.
 *
 * The writes of one view take effect in the order of the calls, including those whose caller has given up: a retry must
 * not undo a later write.
 *
 * A method may answer synchronously or with a promise ({@link MaybePromise}). The memory store
 * answers synchronously for one record (`replay` excepted), so that a call on a live session never
 * waits for it. Failures are thrown or rejected as `storeUnavailable(…)`, code `STORE_UNAVAILABLE`:
 * the store could not be reached, and the outcome is unknown. A caller that tries again hears what
 * the try answered that was stored.
 */
import type { RandomSource } from '../base/system.ts';
import type { EventRetention, Logger, MaybePromise, TimeProvider } from '../base/types.ts';
import type { InstanceStore } from './instance-store.ts';
import type { KeptBytes, Quota, StoreRoom } from './kept-bytes.ts';
import type { LoggedEvent, OpenStream, ReplayOutcome } from './logged-events.ts';

export type { BytesInHand, KeptByAll, KeptBytes, Quota, StoreRoom } from './kept-bytes.ts';
export type { LoggedEvent, MaybePromise, OpenStream, ReplayOutcome };
export type {
  InstanceLease,
  InstanceMessage,
  InstanceProcess,
  InstanceStore,
} from './instance-store.ts';

/** The format of records; a build refuses a record with a higher one. */
export const RECORD_VERSION = 1;

/** What a store knows of a kind of records. Ids are unique within a kind. */
export interface Kind {
  /** 1 to 16 letters, `a` to `z`. */
  readonly name: string;
  /** What the logs of its records keep; `false`: marks alone, because no event is ever appended. */
  readonly log: EventRetention | false;
  /** How long a record shows as ended, unless `end` says otherwise. */
  readonly keepMs: number;
  /**
   * `false`: `list` and `due` need not find its records, which saves a store its directory. Then `trim` deletes the
   * records that expired `keepMs` ago.
   */
  readonly listed: boolean;
  /**
   * Ids are `<group>.<name>`. A group has at least one character and no dot; a name may have dots. `list` and `count`
   * also work on one group. Needs `listed`.
   */
  readonly grouped?: true;
  /** Records with a share count in it, with their logs, until they are forgotten (`countOf`, `oldest`, `KeptBytes`). */
  readonly counted?: true;
  /** `false`: no ended record is forgotten before its time. Default: a store that bounds its memory forgets the oldest. */
  readonly evicts?: false;
  /**
   * The deployment needs these records, which are small: a full store takes their writes where it
   * can.
   */
  readonly vital?: true;
}

/**
 * What a store keeps of a record. The texts mean nothing to the store. They hold no U+0000 and no lone surrogate, so
 * every database can store them as they are.
 */
export interface StoredRecord {
  readonly v: number;
  readonly id: string;
  /** What its creator says, 1 where its id is not used again; each new owner adds 1. */
  readonly epoch: number;
  /** The instance that may write; `null`: none. */
  readonly owner: string | null;
  /** The user that the record is bound to, an opaque key; `null`: none. It never changes. */
  readonly user: string | null;
  /** Whose share it counts in, a key of at most 64 visible ASCII characters; `null`: no one's. It never changes. */
  readonly share: string | null;
  /** A short text that the owner rewrites whole. At most 64 bytes cost least. */
  readonly head: string;
  /** A text that never changes. A store may keep equal bodies once. */
  readonly body: string;
  /** Texts by name, without order. Names and values have at least one character. */
  readonly fields: Readonly<Record<string, string>>;
  /** ms since 1970, by the clock of the instance that created it. To be shown; nothing is decided by it. */
  readonly createdAt: number;
  /** A number of the owner's, such as a time. */
  readonly stamp: number;
  /**
   * ms since 1970, by the store's clock; `null`: never. After this time the record has ended, without an outcome, and
   * the first reader stores that.
   */
  readonly expiresAt: number | null;
  /** ms since 1970, by the store's clock; `null`: never. From this time on `due` names the record. */
  readonly dueAt: number | null;
  /** How many fields `add` has stored: a bell that is counted. */
  readonly rung: number;
}

/** A record as it is created: the store computes its times. Its `rung` is 0. */
export type NewRecord = Omit<StoredRecord, 'expiresAt' | 'dueAt' | 'rung' | 'share'> &
  Partial<Pick<StoredRecord, 'share'>>;

/** A record that ended: kept for the `keepMs` of its kind or of its end. */
export interface EndedRecord {
  readonly id: string;
  /** What `end` was given; `''`: the record expired. */
  readonly outcome: string;
  /** ms since 1970. */
  readonly at: number;
  /** What `end` was given: the id of a record that has more of the outcome. */
  readonly apart?: string;
}

export function isEnded(value: StoredRecord | Seen): value is EndedRecord {
  return 'outcome' in value;
}

/** The right to write: both members must equal the stored values. */
export interface Fence {
  readonly epoch: number;
  readonly owner: string;
}

/** The owner and the epoch that a caller saw in a record. A claim or an end takes effect only if both are unchanged. */
export interface Ownership {
  readonly epoch: number;
  readonly owner: string | null;
}

/** The ownership of a record that has no owner from its creation on, and no instance claims. */
export const UNOWNED: Ownership = { epoch: 1, owner: null };

/** What a caller saw of a record. With `atStamp`, the record must also have that stamp: no save came after. */
export interface SeenLiving extends Ownership {
  readonly atStamp?: number;
}

/** What a caller that ends a record saw. */
export type Seen = SeenLiving | EndedRecord;

/** A record that has expired and is not ended yet, or whose due time has come. */
export interface DueRecord extends Ownership {
  readonly id: string;
  readonly expired: boolean;
}

/** What an owner may change. Absent members stay unchanged. */
export interface RecordChange {
  /** The record has no owner from now on, and the same epoch. */
  readonly release?: true;
  readonly head?: string;
  readonly stamp?: number;
  /** The fields that change; `null` deletes. Any number of fields that stay costs nothing. */
  readonly fields?: Readonly<Record<string, string | null>>;
  /** The expiry is this many ms after the write, by the store's clock; `null`: never. 0 or less: expired at once. */
  readonly expiresInMs?: number | null;
  /**
   * The due time is `inMs` after the write; `null`: never. `seen` is the `rung` that the owner has read. If the record
   * has another one, `add` rang in between: then the record is due at once, and the answer is `'rung'`.
   */
  readonly due?: { readonly inMs: number | null; readonly seen: number };
}

/** A note beside a stream, such as the marker of a call that must not run twice. */
export interface Mark {
  readonly name: string;
  readonly stream: string;
}

export type ClaimOutcome =
  | {
      readonly claimed: true;
      readonly record: StoredRecord;
      readonly marks: readonly Mark[];
      /** The streams that are not complete. */
      readonly streams: readonly OpenStream[];
      /** How long the record lasts from now, by the store's clock; `null`: it does not expire. */
      readonly expiresInMs: number | null;
    }
  /** `current`: the stored value; undefined: no record. */
  | { readonly claimed: false; readonly current: FoundRecord };

/** What a reader finds; undefined: no record, or its end shows no more. */
export type FoundRecord = StoredRecord | EndedRecord | undefined;

export type CreateOutcome = 'created' | 'exists';
export type AddOutcome = 'added' | 'exists' | 'gone';
export type EndOutcome = 'ended' | 'fenced' | 'gone';
export type WriteOutcome = 'written' | 'fenced';

/** `'rung'`: written, and the record stays due ({@link RecordChange.due}). */
export type SaveOutcome = WriteOutcome | 'rung';

export interface RecordPage<R = StoredRecord> {
  readonly records: readonly R[];
  /** Ids of this page whose records cannot be read; absent: none. The log says why. */
  readonly unreadable?: readonly string[];
  readonly nextCursor?: string;
}

export interface AppendRequest {
  readonly id: string;
  readonly fence: Fence;
  /** `null`: marks alone. */
  readonly stream: string | null;
  /**
   * The offset of the first event; equals the length of the stream, else `'fenced'`: another owner has written.
   * `'written'` where the stream has these events there: an earlier try has stored them.
   */
  readonly from?: number;
  /** JSON texts, or `''`. */
  readonly events?: readonly string[];
  /** The stream is complete with these events. */
  readonly complete?: boolean;
  /**
   * A text about this stream, for the instance that ends the stream if its owner dies. Set with the first append of a
   * stream, kept until the stream is complete.
   */
  readonly note?: string | undefined;
  /** A mark to write, in the same step. */
  readonly mark?: Mark | undefined;
  /** A mark to remove, in the same step, after `mark` is written. */
  readonly unmark?: Mark | undefined;
}

/** The records of one kind, with their logs. Each method is one atomic step on one record. */
export interface Records {
  /**
   * `'exists'`: there is a record of that id, or it ended and still shows. It stays unchanged. `expiresInMs` as in a
   * change; without it the record does not expire. `dueInMs`: its first due time; without it the record is not due.
   */
  create(
    record: NewRecord,
    expiresInMs?: number | null,
    dueInMs?: number | null,
  ): MaybePromise<CreateOutcome>;
  /**
   * Authoritative (primary, leader). An expired record is returned as ended, and stays ended. `end` still answers
   * `'ended'` to one caller, so that an end is reported once.
   */
  read(id: string): MaybePromise<FoundRecord>;
  /**
   * Compare-and-set. Succeeds if the stored epoch and owner are those of `from`. Afterwards owner = me and epoch =
   * `from.epoch` + 1. Also succeeds, unchanged, if that is stored already: the reply to an earlier claim was lost. The
   * caller has made sure that `from.owner` does nothing with the record any more: no owner, a dead one, or the caller.
   * Record, marks and streams are from one moment, at which the caller is the owner.
   */
  claim(id: string, from: Ownership, me: string): MaybePromise<ClaimOutcome>;
  /** Fenced, also where no instance owns the record. Never creates. */
  save(id: string, fence: SeenLiving, change: RecordChange): MaybePromise<SaveOutcome>;
  /**
   * Stores a field that the record does not have, raises `rung` and makes the record due now. Not fenced: any instance
   * may call it while the record lives. `'exists'`: the record has the field, and stays unchanged. `'gone'`: there is
   * no living record.
   */
  add(id: string, field: string, text: string): MaybePromise<AddOutcome>;
  /**
   * Compare-and-set to the ended value, for the owner itself or a caller that found no living
   * owner. Only `outcome`, a text of any size, and `apart` stay, for `keepMs` (without it: that of
   * the kind); fields, log and marks go at once. A record that had expired before ends at its
   * expiry, without an outcome. `'fenced'`: the record is not as `from` saw it. `'gone'`: the
   * record was ended or missing before. If `from` is an ended record, that record is forgotten
   * before its keep time is over: its id is free from now on. With an `outcome` it stays until then,
   * has this outcome, and counts in no share any more.
   */
  end(
    id: string,
    from: Seen,
    outcome: string,
    keepMs?: number,
    apart?: string,
  ): MaybePromise<EndOutcome>;
  /**
   * Records that have not ended, in a stable order; those of one group, if it is given. A cursor also works with
   * another page size. It belongs to the group of its page: with another group the page may leave records out.
   */
  list(limit: number, cursor?: string, group?: string): MaybePromise<RecordPage>;
  /**
   * How many records have not been ended, those that have expired included: never less than the living records. With
   * `group`: those of one group. A write that finds no living record, or that a crash breaks off, may leave one too
   * many until `due` has checked it.
   */
  count(group?: string): MaybePromise<number>;
  /** How many records of a counted kind count in this share. Counts as `count` does. */
  countOf(share: string): MaybePromise<number>;
  /** Ids of these, in the order of their stamps. */
  oldest(share: string, most: number): MaybePromise<readonly string[]>;
  /** Ids of the ended records that still count in this share, without order. */
  endedOf(share: string): MaybePromise<readonly string[]>;
  /**
   * Records past their due time, and those past their expiry that are not ended, whether their owner lives or not. All
   * pages together name each of them that is due all the time; one may come twice. A cursor is good for one pass.
   */
  due(limit: number, cursor?: string): MaybePromise<RecordPage<DueRecord>>;
  /**
   * Fenced, in order per stream. Resolves when stored. Appends of one turn may travel together. An append to a complete
   * stream is `'fenced'`. Marks alone may be written twice.
   */
  append(request: AppendRequest): MaybePromise<WriteOutcome>;
  /** Events with a higher offset than `after`, in order. A complete stream of which nothing is kept is `unknown`. */
  replay(id: string, stream: string, after: number): MaybePromise<ReplayOutcome>;
  /** Deletes what no retention and no keep time holds, for records without new writes. Cheap; the sweep calls it. */
  trim(): MaybePromise<void>;
  /**
   * Removes the oldest events of a log that count so many bytes, with or without the owner of the
   * record. Returns what they counted: 0 where another step of the record is under way here, which
   * may wait for this one.
   */
  dropEvents(id: string, bytes: number): MaybePromise<number>;
  /**
   * Its client has shown that it has this whole stream, so a complete stream may be dropped before retention drops it.
   * Only for stores where that is no write; the others leave it out.
   */
  forget?(id: string, stream: string): void;
}

/** One deployment's view of a store. The option `deployment` names it. */
export interface OpenStore {
  /** The records of a kind that the view was opened for. */
  records(kind: Kind): Records;
  readonly instances: InstanceStore;
  /**
   * A secret of 32 bytes, created once for the deployment and equal on every instance. With `keepMs` the store forgets
   * it that long after its creation, by its clock; the next caller then creates another.
   */
  secret(name: string, keepMs?: number): MaybePromise<Uint8Array>;
  /**
   * Whether the store refuses writes of usual size for lack of room, although it may accept small ones such as leases.
   * The endpoint is then not ready. A store that refuses all writes in that case does not need it.
   */
  full?(): boolean;
  /** How much it holds, if it counts that, and how much it can hold at most. A store that cannot tell leaves it out. */
  room?(): MaybePromise<StoreRoom | undefined>;
  /** What counted records take, by share. */
  readonly kept: KeptBytes;
  /**
   * Removes all that the deployment keeps in these kinds, with its leases and secrets, in one go or in steps. For a
   * deployment that no instance serves any more. A store whose file or process goes with the deployment leaves it out.
   */
  forgetAll?(): Promise<void>;
  close(): Promise<void>;
}

export interface StoreOptions {
  /** The endpoint's option `deployment`. */
  readonly deployment: string;
  /** Views of one deployment open a kind with the same members. */
  readonly kinds: readonly Kind[];
  readonly time: TimeProvider;
  readonly random: RandomSource;
  readonly logger: Logger;
  readonly leaseMs: number;
  readonly quota?: Quota;
  /** Bytes of all logs held in this process, and of the outcomes of each kind (memory store). */
  readonly eventLogBytes: number;
  /** Ended records of each kind remembered in this process (memory store). */
  readonly tombstones: number;
}

/** What `memory()` and the other store functions return; one object may serve several endpoints of a process. */
export interface Store {
  /** e.g. `'memory'`. */
  readonly kind: string;
  /**
   * Records survive the process, and other processes may share them. Otherwise all endpoints are in this process, and
   * messages between instances are passed by reference; those of a durable store are plain JSON values.
   */
  readonly durable: boolean;
  open(options: StoreOptions): MaybePromise<OpenStore>;
}
