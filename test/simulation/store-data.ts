/**
 * What a store holds, in memory and at once, and what the checker wants to know of it: every claim, every end, every
 * event ever written. Nothing of it is a fault; those come between an instance and this (`sim-store.ts`).
 */
import type {
  AddOutcome,
  AppendRequest,
  ClaimOutcome,
  CreateOutcome,
  DropOutcome,
  DueRecord,
  EndedRecord,
  EndOutcome,
  Fence,
  FoundRecord,
  Kind,
  LoggedEvent,
  Mark,
  NewRecord,
  OpenStream,
  Ownership,
  RecordChange,
  RecordPage,
  ReplayOutcome,
  SaveOutcome,
  Seen,
  StoredRecord,
  WriteOutcome,
} from '../../src/stores/store.ts';
import { changedRecord, newRecord, rungRecord, saved } from '../../src/stores/shared/record-change.ts';
import { groupOf, rangeOf } from '../../src/stores/shared/groups.ts';
import { checkDroppable } from '../../src/stores/shared/kinds.ts';
import type { EndReason } from '../../src/types.ts';
import { endReasonOf } from '../../src/session/record/session-record.ts';
import { Leases } from './leases.ts';
import type { StoreRules } from './store-rules.ts';

interface Row extends LoggedEvent {
  readonly stream: string;
  readonly at: number;
  readonly bytes: number;
}

interface HeldStream {
  next: number;
  complete: boolean;
  requests: string | null;
  /** The highest offset that retention dropped. */
  dropped: number;
}

interface HeldSession {
  record: StoredRecord;
  markers: Mark[];
  streams: Map<string, HeldStream>;
  /** Oldest first. */
  rows: Row[];
  /** Of the rows. */
  bytes: number;
}

/** Everything that rolls back together. */
interface Held {
  readonly sessions: Map<string, HeldSession>;
  readonly ended: Map<string, EndedRecord & { readonly forgetAt: number }>;
}

export interface DataOptions {
  now(): number;
  readonly kind: Kind;
  readonly leaseMs: number;
  readonly rules: StoreRules;
}

/** What happened to a session, for the checker of a run. */
export interface Happened {
  readonly kind: 'created' | 'claimed' | 'released' | 'ended';
  readonly at: number;
  readonly id: string;
  readonly epoch?: number;
  readonly owner?: string | null;
  readonly reason?: EndReason;
}

export interface StoredEvent {
  readonly data: string;
  readonly at: number;
}

export class StoreData {
  readonly happened: Happened[] = [];
  onHappened: (what: Happened) => void = () => undefined;
  /** Session → stream → offset → event, of everything that was ever stored. */
  readonly everStored = new Map<string, Map<string, Map<number, StoredEvent>>>();
  /** Streams of calls, and which processes opened them. `requests`: as it was stored. */
  readonly opened: Array<{ readonly id: string; readonly requests: string; readonly process: string }> = [];
  readonly replays: Array<{
    readonly at: number;
    readonly id: string;
    readonly stream: string;
    readonly after: number;
  }> = [];
  /** When a session was last written to. */
  readonly writtenAt = new Map<string, number>();
  readonly leases: Leases;
  readonly #options: DataOptions;
  #held: Held = { sessions: new Map(), ended: new Map() };

  constructor(options: DataOptions) {
    this.#options = options;
    this.leases = new Leases(options);
  }

  // ——— sessions ———

  create(record: NewRecord, expiresInMs: number | null = null, dueInMs: number | null = null): CreateOutcome {
    groupOf(this.#options.kind, record.id);
    if (this.#options.rules.createsOnce && this.read(record.id) !== undefined) return 'exists';
    const own = newRecord(record, this.#after(expiresInMs), this.#after(dueInMs));
    this.#held.sessions.set(record.id, { record: own, markers: [], streams: new Map(), rows: [], bytes: 0 });
    this.#note('created', record.id, { epoch: record.epoch, owner: record.owner });
    return 'created';
  }

  read(id: string): FoundRecord {
    const held = this.#held.sessions.get(id);
    if (held !== undefined && !this.#expired(held)) return held.record;
    if (!this.#options.rules.endedAsValue) return undefined;
    const now = this.#options.now();
    if (held === undefined) {
      const { forgetAt = now, ...ended } = this.#held.ended.get(id) ?? {};
      return forgetAt > now ? (ended as EndedRecord) : undefined;
    }
    const ended = endedAtExpiry(held.record);
    return ended.at + this.#options.kind.keepMs > now ? ended : undefined;
  }

  claim(id: string, from: Ownership, me: string): ClaimOutcome {
    const held = this.#living(id);
    if (held === undefined) return { claimed: false, current: this.read(id) };
    const { epoch, owner } = held.record;
    if (this.#fits(held, from) || !this.#options.rules.comparedClaims) {
      held.record = { ...held.record, epoch: epoch + 1, owner: me };
      this.#note('claimed', id, { epoch: epoch + 1, owner: me });
    } else if (epoch !== from.epoch + 1 || owner !== me) {
      return { claimed: false, current: held.record };
    }
    // As SQL may give them: in no order that means anything.
    const markers = held.markers.toSorted((a, b) => (a.name < b.name ? -1 : 1));
    const { record } = held;
    const expiresInMs = record.expiresAt === null ? null : record.expiresAt - this.#options.now();
    return {
      claimed: true,
      record,
      marks: this.#options.rules.markers ? markers : [],
      streams: this.#open(held),
      expiresInMs,
    };
  }

  save(id: string, fence: Fence, change: RecordChange): SaveOutcome {
    const held = this.#writable(id, fence);
    if (held === undefined) return 'fenced';
    const { record } = held;
    const { due } = change;
    const seen = this.#options.rules.comparedRings ? due?.seen : record.rung;
    const told = due === undefined || seen === undefined ? change : { ...change, due: { ...due, seen } };
    held.record = changedRecord(record, told, this.#options.now());
    this.writtenAt.set(id, this.#options.now());
    if (change.release === true) this.#note('released', id, fence);
    return saved(record, told);
  }

  add(id: string, field: string, text: string): AddOutcome {
    const held = this.#living(id);
    if (held === undefined) return 'gone';
    if (this.#options.rules.addsOnce && Object.hasOwn(held.record.fields, field)) return 'exists';
    held.record = rungRecord(held.record, field, text, this.#options.now());
    this.writtenAt.set(id, this.#options.now());
    return 'added';
  }

  end(id: string, from: Seen, outcome: string, keepMs = this.#options.kind.keepMs): EndOutcome {
    const held = this.#held.sessions.get(id);
    if (held === undefined) return this.#endAgain(id, outcome);
    const { stamp } = held.record;
    if (!this.#fits(held, from) || stamp !== (from.atStamp ?? stamp)) return 'fenced';
    const expired = this.#expired(held);
    const ended = expired ? endedAtExpiry(held.record) : { id, outcome, at: this.#options.now() };
    this.#held.sessions.delete(id);
    const forgetAt = ended.at + (expired ? this.#options.kind.keepMs : keepMs);
    this.#held.ended.set(id, { ...ended, forgetAt });
    this.#note('ended', id, { reason: endReasonOf(ended) });
    return 'ended';
  }

  /** Without the rule it overwrites how the record ended. */
  #endAgain(id: string, outcome: string): EndOutcome {
    const ended = this.#held.ended.get(id);
    if (ended === undefined || this.#options.rules.finalEnds) return 'gone';
    this.#held.ended.set(id, { ...ended, outcome });
    return 'ended';
  }

  drop(id: string, endedAt: number): DropOutcome {
    checkDroppable(this.#options.kind);
    const ended = this.#held.ended.get(id);
    if (ended?.at !== endedAt || ended.forgetAt <= this.#options.now()) return 'gone';
    this.#held.ended.delete(id);
    return 'dropped';
  }

  list(limit: number, cursor?: string, group?: string): RecordPage {
    const living = this.#in(group)
      .filter((held) => !this.#expired(held))
      .map(({ record }) => record);
    const ids = living.toSorted((a, b) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1));
    const key = ({ createdAt, id }: StoredRecord): string => `${String(createdAt).padStart(20, '0')} ${id}`;
    const from = cursor === undefined ? ids : ids.filter((record) => key(record) > cursor);
    const records = from.slice(0, limit);
    const last = records.at(-1);
    return from.length > limit && last !== undefined ? { records, nextCursor: key(last) } : { records };
  }

  count(group?: string): number {
    return this.#in(group).length;
  }

  /** Those that have expired and are not ended, too. */
  #in(group: string | undefined): HeldSession[] {
    const all = [...this.#held.sessions.values()];
    if (group === undefined) return all;
    const [after, before] = rangeOf(this.#options.kind, group);
    return all.filter(({ record: { id } }) => after < id && id < before);
  }

  /** The cursor is the last id of the page before. */
  due(limit: number, cursor = ''): RecordPage<DueRecord> {
    const now = this.#options.now();
    const due = [...this.#held.sessions.values()]
      .filter((held) => this.#expired(held) || (held.record.dueAt ?? Infinity) <= now)
      .map((held) => ({ held, expired: this.#expired(held) }))
      .toSorted((a, b) => (a.held.record.id < b.held.record.id ? -1 : 1));
    const later = due.filter(({ held }) => held.record.id > cursor);
    const records = later.slice(0, limit).map(({ held, expired }) => {
      const { id, epoch, owner } = held.record;
      return { id, epoch, owner, expired };
    });
    const last = records.at(-1);
    return later.length > limit && last !== undefined ? { records, nextCursor: last.id } : { records };
  }

  // ——— events ———

  append(request: AppendRequest, process = ''): WriteOutcome {
    const { id, fence, stream, mark, unmark } = request;
    const held = this.#writable(id, fence);
    if (held === undefined) return 'fenced';
    if (stream !== null && !this.#log(held, stream, request, process)) return 'fenced';
    if (mark !== undefined) held.markers = [...without(held.markers, mark), mark];
    if (unmark !== undefined) held.markers = without(held.markers, unmark);
    this.#retain(held);
    this.writtenAt.set(id, this.#options.now());
    return 'written';
  }

  #log(held: HeldSession, key: string, request: AppendRequest, process: string): boolean {
    const { id, from = 0, events = [], complete = false, note = null } = request;
    let stream = held.streams.get(key);
    if (stream === undefined ? from !== 0 : stream.complete || from !== stream.next) return false;
    if (stream === undefined) {
      stream = { next: 0, complete: false, requests: note, dropped: -1 };
      held.streams.set(key, stream);
      if (stream.requests !== null) this.opened.push({ id, requests: stream.requests, process });
    }
    const at = this.#options.now();
    for (const data of events) {
      const offset = stream.next++;
      const bytes = Buffer.byteLength(data);
      held.rows.push({ stream: key, offset, data, at, bytes });
      held.bytes += bytes;
      this.#everStored(id, key).set(offset, { data, at });
    }
    if (complete) stream.complete = true;
    return true;
  }

  replay(sessionId: string, key: string, after: number): ReplayOutcome {
    this.replays.push({ at: this.#options.now(), id: sessionId, stream: key, after });
    const held = this.#living(sessionId);
    const stream = held?.streams.get(key);
    if (held === undefined || stream === undefined) return { found: false, why: 'unknown' };
    this.#retain(held);
    if (!held.streams.has(key)) return { found: false, why: 'unknown' };
    if (stream.dropped > after) return { found: false, why: 'gap', first: stream.dropped + 1 };
    const events = held.rows
      .filter((row) => row.stream === key && row.offset > after)
      .map(({ offset, data }) => ({ offset, data }));
    return { found: true, events, next: stream.next, complete: stream.complete };
  }

  #open({ streams }: HeldSession): OpenStream[] {
    const open: OpenStream[] = [];
    for (const [stream, { next, complete, requests }] of streams)
      if (!complete) open.push({ stream, next, note: requests });
    return open;
  }

  trim(): void {
    for (const held of this.#held.sessions.values()) this.#retain(held);
    const now = this.#options.now();
    for (const [id, { forgetAt }] of this.#held.ended) if (forgetAt <= now) this.#held.ended.delete(id);
    const { listed, keepMs } = this.#options.kind;
    for (const [id, held] of this.#held.sessions)
      if (!listed && this.#expired(held) && (held.record.expiresAt ?? now) + keepMs <= now)
        this.#held.sessions.delete(id);
  }

  // ——— losing what was written ———

  /** Remembers what there is; calling what it returns brings that back, and tells which sessions lost something. */
  snapshot(): () => string[] {
    const takenAt = this.#options.now();
    const held = copy(this.#held);
    const restoreLeases = this.leases.snapshot();
    return () => {
      this.#held = held;
      restoreLeases();
      return [...this.writtenAt].filter(([, at]) => at >= takenAt).map(([id]) => id);
    };
  }

  /** Loses everything about a session, as an eviction or FLUSHALL does. */
  vanish(id: string): void {
    this.#held.sessions.delete(id);
  }

  /** The sessions that are there, oldest first. */
  get ids(): string[] {
    return [...this.#held.sessions.keys()];
  }

  /** For the end of a run. */
  record(id: string): FoundRecord {
    return this.#held.sessions.get(id)?.record ?? this.#held.ended.get(id);
  }

  expiryOf(id: string): number | undefined {
    return this.#held.sessions.get(id)?.record.expiresAt ?? undefined;
  }

  markers(id: string): readonly Mark[] {
    return this.#held.sessions.get(id)?.markers ?? [];
  }

  // ——— inside ———

  #everStored(sessionId: string, stream: string): Map<number, StoredEvent> {
    let streams = this.everStored.get(sessionId);
    if (streams === undefined) this.everStored.set(sessionId, (streams = new Map()));
    let stored = streams.get(stream);
    if (stored === undefined) streams.set(stream, (stored = new Map<number, StoredEvent>()));
    return stored;
  }

  #retain(held: HeldSession): void {
    const { log: retention } = this.#options.kind;
    if (retention === false) return;
    const { rows, streams } = held;
    const now = this.#options.now();
    for (let [oldest] = rows; oldest !== undefined; [oldest] = rows) {
      if (
        rows.length <= retention.events &&
        held.bytes - oldest.bytes < retention.bytes &&
        oldest.at + retention.ttlMs > now
      )
        return;
      rows.shift();
      held.bytes -= oldest.bytes;
      const stream = streams.get(oldest.stream);
      if (stream === undefined) continue;
      stream.dropped = oldest.offset;
      if (stream.complete && stream.dropped === stream.next - 1) streams.delete(oldest.stream);
    }
  }

  #note(kind: Happened['kind'], id: string, more: Omit<Happened, 'kind' | 'at' | 'id'>): void {
    const at = this.#options.now();
    const happened: Happened = { kind, id, at, ...more };
    this.happened.push(happened);
    this.onHappened(happened);
    this.writtenAt.set(id, at);
  }

  #writable(id: string, fence: Fence): HeldSession | undefined {
    const held = this.#living(id);
    return held !== undefined && this.#fits(held, fence) ? held : undefined;
  }

  readonly #toldExpired = new WeakSet<HeldSession>();

  #living(id: string): HeldSession | undefined {
    const held = this.#held.sessions.get(id);
    return held === undefined || this.#expired(held) ? undefined : held;
  }

  #after(ms: number | null): number | null {
    return ms === null ? null : this.#options.now() + ms;
  }

  #fits({ record }: HeldSession, { epoch, owner }: Ownership): boolean {
    return record.epoch === epoch && (record.owner === owner || !this.#options.rules.ownerFence);
  }

  /** Once a caller was told, it stays so: the clock may be set back. */
  #expired(held: HeldSession): boolean {
    const { expiresAt } = held.record;
    if (expiresAt !== null && expiresAt <= this.#options.now()) this.#toldExpired.add(held);
    return this.#toldExpired.has(held);
  }
}

/** Records and rows are never changed in place: what holds them is copied. */
function copy({ sessions, ended }: Held): Held {
  return {
    sessions: new Map(
      [...sessions].map(([id, { record, markers, streams, rows, bytes }]) => [
        id,
        {
          record,
          markers: [...markers],
          streams: new Map([...streams].map(([key, stream]) => [key, { ...stream }])),
          rows: [...rows],
          bytes,
        },
      ]),
    ),
    ended: new Map(ended),
  };
}

function endedAtExpiry({ id, expiresAt }: StoredRecord): EndedRecord {
  return { id, outcome: '', at: expiresAt ?? 0 };
}

const without = (marks: readonly Mark[], { name, stream }: Mark): Mark[] =>
  marks.filter((mark) => mark.name !== name || mark.stream !== stream);
