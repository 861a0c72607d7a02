/**
 * The store contract again, as simple as possible: nothing is deleted, lists are only filtered. Random operations on a
 * real store are compared with it.
 */
import { isEnded } from '../../stores/store.ts';
import { changedFields } from '../../stores/shared/record-change.ts';
import type {
  AppendRequest,
  ClaimOutcome,
  EndedSession,
  ExpiredSession,
  Fence,
  Marker,
  OpenStreamInfo,
  Ownership,
  RecordChange,
  ReplayOutcome,
  StoredRecord,
  WriteOutcome,
} from '../../stores/store.ts';
import type { EndReason, EventRetention } from '../../types.ts';

interface PlainEvent {
  stream: string;
  offset: number;
  data: string;
  at: number;
  dropped: boolean;
}

interface PlainSession {
  record: StoredRecord;
  markers: Marker[];
  /** Every event, in the order of writing. */
  events: PlainEvent[];
  streams: Array<{ key: string; requests: string | null }>;
  complete: string[];
}

export interface PlainStoreOptions {
  now: () => number;
  tombstoneMs: number;
  retention: EventRetention;
}

export class PlainStore {
  readonly #options: PlainStoreOptions;
  #sessions: PlainSession[] = [];
  #ended: EndedSession[] = [];

  constructor(options: PlainStoreOptions) {
    this.#options = options;
  }

  create(given: StoredRecord, expiresInMs: number | null): 'created' | 'exists' {
    const record = { ...given, expiresAt: this.#after(expiresInMs) };
    if (this.read(record.id) !== undefined) return 'exists';
    this.#sessions = this.#sessions.filter((session) => session.record.id !== record.id);
    this.#sessions.push({ record, markers: [], events: [], streams: [], complete: [] });
    return 'created';
  }

  read(id: string): StoredRecord | EndedSession | undefined {
    const session = this.#held(id);
    if (session !== undefined && !this.#expired(session)) return session.record;
    const ended = session === undefined ? this.#ended.find((value) => value.id === id) : endedAtExpiry(session.record);
    return ended !== undefined && ended.at + this.#options.tombstoneMs > this.#options.now() ? ended : undefined;
  }

  claim(id: string, from: Ownership, me: string): ClaimOutcome {
    const session = this.#living(id);
    if (session === undefined) return { claimed: false, current: this.read(id) };
    const { epoch, owner } = session.record;
    if (fits(session, from)) {
      session.record = { ...session.record, epoch: epoch + 1, owner: me };
    } else if (epoch !== from.epoch + 1 || owner !== me) return { claimed: false, current: session.record };
    const { record, markers } = session;
    const expiresInMs = record.expiresAt === null ? null : record.expiresAt - this.#options.now();
    return { claimed: true, record, markers, expiresInMs };
  }

  save(id: string, fence: Fence, change: RecordChange): WriteOutcome {
    return this.#write(id, fence, (session) => {
      const { expiresInMs, fields: changes = {}, ...rest } = change;
      const fields = changedFields(session.record.fields, changes);
      const expiresAt = expiresInMs === undefined ? session.record.expiresAt : this.#after(expiresInMs);
      session.record = { ...session.record, ...rest, fields, expiresAt };
    });
  }

  release(id: string, fence: Fence, change: RecordChange): WriteOutcome {
    const outcome = this.save(id, fence, change);
    // A change may let the session expire; the session is released all the same.
    const session = this.#held(id);
    if (outcome === 'written' && session !== undefined) session.record = { ...session.record, owner: null };
    return outcome;
  }

  end(id: string, from: Ownership, reason: EndReason): 'ended' | 'fenced' | 'gone' {
    const session = this.#held(id);
    if (session === undefined) return 'gone';
    if (!fits(session, from)) return 'fenced';
    const ended = this.#expired(session)
      ? endedAtExpiry(session.record)
      : { v: 1, id, ended: reason, at: this.#options.now() };
    this.#sessions = this.#sessions.filter((other) => other !== session);
    this.#ended = [...this.#ended.filter((value) => value.id !== id), ended];
    return 'ended';
  }

  mark(id: string, fence: Fence, marker: Marker, clear: boolean): WriteOutcome {
    return this.#write(id, fence, (session) => {
      const same = ({ request, stream }: Marker): boolean => request === marker.request && stream === marker.stream;
      session.markers = session.markers.filter((other) => !same(other));
      if (!clear) session.markers.push(marker);
    });
  }

  list(): StoredRecord[] {
    return this.#sessions.filter((session) => !this.#expired(session)).map(({ record }) => record);
  }

  expired(): ExpiredSession[] {
    return this.#sessions
      .filter((session) => this.#expired(session))
      .map(({ record: { id, epoch, owner } }) => ({ id, epoch, owner }));
  }

  append(request: AppendRequest): WriteOutcome {
    const { sessionId, fence, stream, from, events, complete = false } = request;
    const session = this.#living(sessionId);
    if (session === undefined || !fits(session, fence) || session.complete.includes(stream)) return 'fenced';
    const length = session.events.filter((event) => event.stream === stream).length;
    if (from !== length) return 'fenced';
    const at = this.#options.now();
    const added = events.map((data, n) => ({ stream, offset: from + n, data, at, dropped: false }));
    session.events.push(...added);
    const first = !session.streams.some(({ key }) => key === stream);
    if (first) session.streams.push({ key: stream, requests: request.requests ?? null });
    if (complete) session.complete.push(stream);
    if (request.mark !== undefined) this.mark(sessionId, fence, request.mark, false);
    if (request.unmark !== undefined) this.mark(sessionId, fence, { request: request.unmark, stream }, true);
    this.#retain(session);
    return 'written';
  }

  /** `gone`: a complete stream whose events are all dropped; a store may call it a gap or unknown. */
  replay(sessionId: string, stream: string, after: number): ReplayOutcome | 'gone' {
    const session = this.#living(sessionId);
    if (session === undefined || !session.streams.some(({ key }) => key === stream))
      return { found: false, why: 'unknown' };
    this.#retain(session);
    const all = session.events.filter((event) => event.stream === stream);
    const complete = session.complete.includes(stream);
    if (complete && all.every(({ dropped }) => dropped)) return 'gone';
    const later = all.filter(({ offset }) => offset > after);
    const dropped = later.findLast((event) => event.dropped);
    if (dropped !== undefined) return { found: false, why: 'gap', first: dropped.offset + 1 };
    return { found: true, events: later.map(({ offset, data }) => ({ offset, data })), next: all.length, complete };
  }

  open(sessionId: string): OpenStreamInfo[] {
    const session = this.#living(sessionId);
    const open = session?.streams.filter(({ key }) => !session.complete.includes(key)) ?? [];
    return open.map(({ key, requests }) => ({ stream: key, next: this.length(sessionId, key), requests }));
  }

  /** How many events a stream has had. */
  length(sessionId: string, stream: string): number {
    return this.#held(sessionId)?.events.filter((event) => event.stream === stream).length ?? 0;
  }

  record(id: string): StoredRecord | undefined {
    const value = this.read(id);
    return value === undefined || isEnded(value) ? undefined : value;
  }

  #retain(session: PlainSession): void {
    const { ttlMs, events, bytes } = this.#options.retention;
    for (;;) {
      const kept = session.events.filter(({ dropped }) => !dropped);
      const size = kept.reduce((sum, { data }) => sum + Buffer.byteLength(data), 0);
      const [oldest] = kept;
      if (oldest === undefined) return;
      // An event of any size is kept until so many bytes came after it.
      const later = size - Buffer.byteLength(oldest.data);
      if (kept.length <= events && later < bytes && oldest.at + ttlMs > this.#options.now()) return;
      oldest.dropped = true;
    }
  }

  #write(id: string, fence: Fence, change: (session: PlainSession) => void): WriteOutcome {
    const session = this.#living(id);
    if (session === undefined || !fits(session, fence)) return 'fenced';
    change(session);
    return 'written';
  }

  #held(id: string): PlainSession | undefined {
    return this.#sessions.find(({ record }) => record.id === id);
  }

  #living(id: string): PlainSession | undefined {
    const session = this.#held(id);
    return session === undefined || this.#expired(session) ? undefined : session;
  }

  #expired({ record: { expiresAt } }: PlainSession): boolean {
    return expiresAt !== null && expiresAt <= this.#options.now();
  }

  #after(ms: number | null): number | null {
    return ms === null ? null : this.#options.now() + ms;
  }
}

const fits = ({ record }: PlainSession, { epoch, owner }: Ownership): boolean =>
  record.epoch === epoch && record.owner === owner;

const endedAtExpiry = ({ id, expiresAt }: StoredRecord): EndedSession => ({
  v: 1,
  id,
  ended: 'idle',
  at: expiresAt ?? 0,
});
