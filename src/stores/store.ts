/**
 * What a store is: `sessions` (records, compare-and-set), `events` (the log of what was sent), `instances`
 * (leases, mailboxes, the bus). Every store passes the contract suite of `sojourn/testing`.
 *
 * Ownership in one paragraph: a record names its `owner` (an instance id) and its `epoch`. `claim` is the only way to
 * become owner and raises the epoch. Every later write names both; the store refuses it (`'fenced'`) unless both equal
 * what it holds. An ended session is a value of its record and stays for its tombstone time; nothing brings it back.
 * A missing record proves no end. "Dead" is what the instance directory says (no lease), judged by the store's clock.
 *
 * The writes of one view take effect in the order in which they were asked for, also those whose caller has given up: one
 * that is tried again must not undo a later one.
 *
 * A method may answer at once or with a promise ({@link MaybePromise}): the memory store answers at once, which is what keeps
 * a call on a live session free of waiting. Failures are thrown or rejected as `StoreAway`: the store could not be
 * asked, so nothing is known.
 */
import type { ClientCapabilities, Implementation } from '@modelcontextprotocol/server';
import type { RandomSource } from '../options/system.ts';
import type { EndReason, EventRetention, Logger, TimeProvider } from '../types.ts';

/** A value now or later. */
export type MaybePromise<T> = T | Promise<T>;

/** The format of records; a reader refuses a higher one. */
export const RECORD_VERSION = 1;

/** The `initialize` parameters as they came, kept to be told again. */
export interface Handshake {
  readonly protocolVersion: string;
  readonly capabilities: ClientCapabilities;
  readonly clientInfo: Implementation;
  readonly [key: string]: unknown;
}

/** The durable form of a session. */
export interface SessionRecord {
  readonly v: number;
  readonly id: string;
  /** 1 when created; each new owner adds 1. */
  readonly epoch: number;
  /** The instance where the session is live; `null`: nowhere. */
  readonly owner: string | null;
  /** The user binding (an opaque key); `null`: opened by nobody in particular, and only they may use it. */
  readonly user: string | null;
  /** Negotiated protocol version. */
  readonly version: string;
  readonly handshake: Handshake;
  /** JSON of the server's `initialize` result (capabilities, serverInfo, instructions), to notice that a deploy changed it. */
  readonly answer: string;
  /** Whether `notifications/initialized` came. */
  readonly initialized: boolean;
  readonly logLevel: string | null;
  /** Resource URIs the client subscribed to. */
  readonly subscriptions: readonly string[];
  /** `session.state`: key → JSON text. */
  readonly state: Readonly<Record<string, string>>;
  /** Whether a GET stream was ever primed: messages for it are logged from then on. */
  readonly getStream: boolean;
  /** ms since 1970, the store's clock. */
  readonly createdAt: number;
  /** ms since 1970, coarse. */
  readonly activeAt: number;
  /** ms since 1970; `null`: never. Past it the session *is* ended (`idle`), whoever reads it first writes that. */
  readonly expiresAt: number | null;
}

/** A session that ended: a value, kept for `tombstoneMs`, with nothing secret in it. */
export interface EndedSession {
  readonly v: number;
  readonly id: string;
  readonly ended: EndReason;
  /** ms since 1970. */
  readonly at: number;
}

export function isEnded(value: SessionRecord | EndedSession): value is EndedSession {
  return 'ended' in value;
}

/** The right to write: both must equal what the store holds. */
export interface Fence {
  readonly epoch: number;
  readonly owner: string;
}

/** What an owner may change; `state` maps keys to JSON text, `null` deletes. Absent members stay. */
export interface RecordPatch {
  readonly version?: string;
  readonly answer?: string;
  readonly initialized?: boolean;
  readonly logLevel?: string | null;
  readonly subscriptions?: readonly string[];
  readonly state?: Readonly<Record<string, string | null>>;
  readonly getStream?: boolean;
  readonly activeAt?: number;
  readonly expiresAt?: number | null;
}

/** A non-repeatable request that was dispatched, written before it ran. */
export interface Marker {
  /** The client's JSON-RPC id, as JSON text (`1` and `"1"` differ). */
  readonly request: string;
  readonly stream: string;
}

export type ClaimOutcome =
  | { readonly claimed: true; readonly record: SessionRecord; readonly markers: readonly Marker[] }
  /** `current`: what stands there instead; undefined: no record. */
  | { readonly claimed: false; readonly current: SessionRecord | EndedSession | undefined };

export type WriteOutcome = 'written' | 'fenced';

export interface SessionPage {
  readonly records: readonly SessionRecord[];
  readonly nextCursor?: string;
}

export interface SessionStore {
  /** Atomic: `'exists'` when there is a record or a tombstone of that id, which then is unchanged. */
  create(record: SessionRecord): MaybePromise<'created' | 'exists'>;
  /**
   * Authoritative (primary, leader). A record past its expiry comes back as ended (`idle`), and is so from then on; `end`
   * still tells one caller that it ended it, so that somebody calls `onSessionEnded`.
   */
  read(id: string): MaybePromise<SessionRecord | EndedSession | undefined>;
  /**
   * Atomic: succeeds when the stored epoch is `expectedEpoch` and the owner is none, dead, or `me` (a claim whose reply
   * was lost: the epoch is then `expectedEpoch + 1` already and stays so). Afterwards owner = me, epoch = expected + 1.
   */
  claim(id: string, expectedEpoch: number, me: string): MaybePromise<ClaimOutcome>;
  /** Fenced. Never creates. */
  save(id: string, fence: Fence, patch: RecordPatch): MaybePromise<WriteOutcome>;
  /** Fenced: owner = none, epoch kept, patch applied. */
  release(id: string, fence: Fence, patch?: RecordPatch): MaybePromise<WriteOutcome>;
  /**
   * Compare-and-set to the ended value; the log and markers go at once. With a fence: by the owner. Without: only a
   * record whose owner is none or dead. `'gone'`: it was ended or missing before.
   */
  end(id: string, fence: Fence | null, reason: EndReason): MaybePromise<'ended' | 'fenced' | 'gone'>;
  /** Fenced; idempotent. `clear` removes it once the request is answered. */
  mark(id: string, fence: Fence, marker: Marker, clear?: boolean): MaybePromise<WriteOutcome>;
  /** Sessions that have not ended, in a stable order; a cursor from another page size still works. */
  list(limit: number, cursor?: string): MaybePromise<SessionPage>;
  count(): MaybePromise<number>;
  /** Ids of ownerless (or dead-owned) sessions past their expiry, at most `limit`. */
  expired(limit: number): MaybePromise<readonly string[]>;
}

/** A stream's place in the log: the owner gives offsets, 0, 1, 2 … per stream and epoch-crossing. */
export interface LoggedEvent {
  readonly offset: number;
  /** JSON text of one message; `''` is a priming event. */
  readonly data: string;
}

export interface AppendRequest {
  readonly sessionId: string;
  readonly fence: Fence;
  readonly stream: string;
  /** The offset of the first event; equals the stream's length so far (else `'fenced'`: somebody else wrote). */
  readonly from: number;
  readonly events: readonly string[];
  /** The stream is complete with these. */
  readonly complete?: boolean;
  /**
   * JSON text about the requests this stream answers, for whoever must end it when its owner is gone. Set with a stream's
   * first append, kept until it is complete.
   */
  readonly requests?: string;
  /** Written, or removed, in the same write: `SessionStore.mark` where an append is due anyway. */
  readonly mark?: Marker;
  /** The `request` of the marker to remove. */
  readonly unmark?: string;
}

export type ReplayOutcome =
  | { readonly found: true; readonly events: readonly LoggedEvent[]; readonly next: number; readonly complete: boolean }
  /**
   * Retention dropped events after that offset. `first`: the oldest offset from which on every event is kept, or the length of
   * an open stream of which nothing is kept. Without it a reader is refused that could otherwise have the rest.
   */
  | { readonly found: false; readonly why: 'gap'; readonly first?: number }
  /** There is no such stream (any more). */
  | { readonly found: false; readonly why: 'unknown' };

/** One open (not complete) stream of a session, for its next owner. */
export interface OpenStreamInfo {
  readonly stream: string;
  readonly next: number;
  /** As given with its first append; `null`: nothing was. */
  readonly requests: string | null;
}

export interface EventStore {
  /**
   * Fenced, in order per stream. Resolves when it is stored. Appends of one turn may travel together. An append to a
   * complete stream is `'fenced'`; one that carries both writes its marker first and then removes the other.
   */
  append(request: AppendRequest): MaybePromise<WriteOutcome>;
  /** Events with a higher offset than `after`, in order. A complete stream of which nothing is kept is `unknown`. */
  replay(sessionId: string, stream: string, after: number): MaybePromise<ReplayOutcome>;
  /** The streams that are not complete. */
  open(sessionId: string): MaybePromise<readonly OpenStreamInfo[]>;
  /** Drops what retention no longer keeps, for sessions that are not written to; cheap, called by the sweep. */
  trim(): MaybePromise<void>;
}

/** One live instance as the others see it. A lease is passed on as it was read, with whatever else the store put in. */
export interface InstanceLease {
  readonly id: string;
  readonly state: 'serving' | 'draining';
  /** Build version, for rolling deploys. */
  readonly version: string;
  /** The store's: changes with every renewal, so that a burial notices one. */
  readonly stamp?: string;
}

/** What one instance says to another; its meaning is the cluster's. In-process stores may pass objects by reference. */
export type InstanceMessage = { readonly kind: string; readonly [key: string]: unknown };

export interface InstanceStore {
  /**
   * Takes the lease under a new id and opens the mailbox. Death is final: announcing an id twice is an error. `lost` is
   * called whenever messages to this instance may not arrive from now on (a connection closed, a socket gone), until a
   * `renew` that began after it answers `true`. A store that notices only when it renews need not call it.
   */
  announce(
    lease: InstanceLease,
    receive: (from: string, message: InstanceMessage) => void,
    lost?: () => void,
  ): MaybePromise<void>;
  /** Opens the mailbox again if it was lost, then renews. `false`: the lease is gone; the id is dead for ever. */
  renew(id: string, state: InstanceLease['state']): MaybePromise<boolean>;
  /**
   * The lease of a living instance. `undefined` is for ever: whoever gets it never asks again, so a lease that is found past its
   * end must not be renewed any more, not even by a renewal that is under way.
   */
  read(id: string): MaybePromise<InstanceLease | undefined>;
  list(): MaybePromise<readonly InstanceLease[]>;
  /**
   * `'suspect'`: nobody seems to listen. Suspicion is not death. `'sent'` is no receipt: to a mailbox that has just closed it may
   * be said as well, and the message is lost.
   */
  send(from: string, to: string, message: InstanceMessage): MaybePromise<'sent' | 'suspect'>;
  /** Removes the lease if it still has the value seen; then that instance is dead. */
  bury(lease: InstanceLease): MaybePromise<boolean>;
  /** Gives the lease back. */
  leave(id: string): MaybePromise<void>;
  /** To every other living instance of the deployment; at most once, no order across publishers. */
  publish(from: string, message: InstanceMessage): MaybePromise<void>;
}

/** One deployment's view of a store: everything in it stands under the endpoint's `name`. */
export interface OpenStore {
  readonly sessions: SessionStore;
  readonly events: EventStore;
  readonly instances: InstanceStore;
  /**
   * Made once for the deployment and the same on every instance, 32 bytes. With `keepMs` it is forgotten so long after it
   * was made (by the store's clock): whoever asks then makes another.
   */
  secret(name: string, keepMs?: number): MaybePromise<Uint8Array>;
  close(): Promise<void>;
}

export interface StoreOptions {
  /** The endpoint's `name`. */
  readonly name: string;
  readonly time: TimeProvider;
  readonly random: RandomSource;
  readonly logger: Logger;
  readonly leaseMs: number;
  readonly tombstoneMs: number;
  /** `false`: no event is ever appended. */
  readonly retention: EventRetention | false;
  /** Bytes of all logs held in this process (memory store). */
  readonly eventLogBytes: number;
  /** Ended sessions remembered in this process (memory store). */
  readonly tombstones: number;
}

/** What `memory()` and its like return; one object may serve several endpoints of a process. */
export interface Store {
  /** e.g. `'memory'`. */
  readonly kind: string;
  /** Whether sessions outlive the process. */
  readonly durable: boolean;
  /** Whether messages between instances are passed by reference (one process); otherwise they are plain JSON values. */
  readonly inProcess: boolean;
  open(options: StoreOptions): MaybePromise<OpenStore>;
}
