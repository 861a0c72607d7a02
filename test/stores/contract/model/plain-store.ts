/**
 * The store contract again, as simple as possible: nothing is deleted, lists are only filtered. Random operations on a
 * real store are compared with it.
 */
import {
  type AddOutcome,
  type CreateOutcome,
  type EndOutcome,
  type FoundRecord,
  isEnded,
} from '../../../../src/stores/store.ts';
import type {
  AppendRequest,
  ClaimOutcome,
  DueRecord,
  EndedRecord,
  Mark,
  OpenStream,
  Ownership,
  RecordChange,
  RecordPage,
  ReplayOutcome,
  SaveOutcome,
  Seen,
  SeenLiving,
  StoredRecord,
  WriteOutcome,
} from '../../../../src/stores/store.ts';
import type { EventRetention } from '../../../../src/base/types.ts';

interface PlainEvent {
  stream: string;
  offset: number;
  data: string;
  at: number;
  /** The append that wrote it. */
  by: AppendRequest;
  dropped: boolean;
}

interface PlainSession {
  record: StoredRecord;
  marks: Mark[];
  /** Every event, in the order of writing. */
  events: PlainEvent[];
  streams: Array<{ key: string; note: string | null }>;
  complete: string[];
}

interface PlainEnd {
  readonly value: EndedRecord;
  readonly forgetAt: number;
  readonly share: string | null;
}

export interface PlainStoreOptions {
  now: () => number;
  keepMs: number;
  log: EventRetention;
}

export class PlainStore {
  readonly #options: PlainStoreOptions;
  #sessions: PlainSession[] = [];
  #ended: PlainEnd[] = [];

  constructor(options: PlainStoreOptions) {
    this.#options = options;
  }

  create(given: StoredRecord, expiresInMs: number | null, dueInMs: number | null): CreateOutcome {
    const record = { ...given, expiresAt: this.#after(expiresInMs), dueAt: this.#after(dueInMs) };
    if (this.read(record.id) !== undefined) return 'exists';
    this.#sessions = this.#sessions.filter((session) => session.record.id !== record.id);
    this.#sessions.push({ record, marks: [], events: [], streams: [], complete: [] });
    return 'created';
  }

  read(id: string): FoundRecord {
    const session = this.#held(id);
    if (session !== undefined && !this.#expired(session)) return session.record;
    const ended =
      session === undefined
        ? this.#ended.find(({ value }) => value.id === id)
        : this.#endedAtExpiry(session.record);
    return ended !== undefined && ended.forgetAt > this.#options.now() ? ended.value : undefined;
  }

  claim(id: string, from: Ownership, me: string): ClaimOutcome {
    const session = this.#living(id);
    if (session === undefined) return { claimed: false, current: this.read(id) };
    const { epoch, owner } = session.record;
    if (fits(session, from)) {
      session.record = { ...session.record, epoch: epoch + 1, owner: me };
    } else if (epoch !== from.epoch + 1 || owner !== me)
      return { claimed: false, current: session.record };
    const { record, marks } = session;
    const expiresInMs = record.expiresAt === null ? null : record.expiresAt - this.#options.now();
    return { claimed: true, record, marks, streams: this.#open(id), expiresInMs };
  }

  save(id: string, fence: SeenLiving, change: RecordChange): SaveOutcome {
    const stamp = this.#living(id)?.record.stamp;
    if (stamp !== (fence.atStamp ?? stamp)) return 'fenced';
    let rang = false;
    const outcome = this.#write(id, fence, (session) => {
      const { release, expiresInMs, due, fields: changes = {}, ...rest } = change;
      const { record } = session;
      const owner = release === true ? null : record.owner;
      const fields = changedFields(record.fields, changes);
      const expiresAt = expiresInMs === undefined ? record.expiresAt : this.#after(expiresInMs);
      rang = due !== undefined && due.seen !== record.rung;
      const dueAt = due === undefined ? record.dueAt : this.#after(rang ? 0 : due.inMs);
      session.record = { ...record, ...rest, owner, fields, expiresAt, dueAt };
    });
    return outcome === 'written' && rang ? 'rung' : outcome;
  }

  add(id: string, field: string, text: string): AddOutcome {
    const session = this.#living(id);
    if (session === undefined) return 'gone';
    const { fields, rung, dueAt } = session.record;
    if (Object.hasOwn(fields, field)) return 'exists';
    const now = this.#options.now();
    const added = changedFields(fields, { [field]: text });
    session.record = {
      ...session.record,
      fields: added,
      rung: rung + 1,
      dueAt: Math.min(dueAt ?? now, now),
    };
    return 'added';
  }

  end(id: string, from: Seen, outcome: string, keepMs = this.#options.keepMs): EndOutcome {
    const session = this.#held(id);
    if (session === undefined)
      return 'at' in from ? this.#changeEnded(id, from.at, outcome) : 'gone';
    const { stamp } = session.record;
    if ('at' in from || !fits(session, from) || stamp !== (from.atStamp ?? stamp)) return 'fenced';
    const at = this.#options.now();
    const ended = this.#expired(session)
      ? this.#endedAtExpiry(session.record)
      : { value: { id, outcome, at }, forgetAt: at + keepMs, share: session.record.share };
    this.#sessions = this.#sessions.filter((other) => other !== session);
    this.#ended = [...this.#ended.filter(({ value }) => value.id !== id), ended];
    return 'ended';
  }

  #changeEnded(id: string, endedAt: number, outcome: string): EndOutcome {
    const ended = this.read(id);
    if (ended === undefined || !isEnded(ended) || ended.at !== endedAt) return 'gone';
    this.#ended = this.#ended.flatMap((one) => {
      if (one.value.id !== id) return one;
      return outcome === '' ? [] : { ...one, value: { id, outcome, at: endedAt }, share: null };
    });
    return 'ended';
  }

  /** One page. Ids are ASCII. */
  list(_limit: number, _cursor?: string, group?: string): RecordPage {
    const living = this.#sessions
      .filter((session) => !this.#expired(session))
      .map(({ record }) => record);
    const records = living.filter(({ id }) => group === undefined || id.startsWith(`${group}.`));
    return { records: records.toSorted((a, b) => (a.id < b.id ? -1 : 1)) };
  }

  /** With those that have expired and are not ended. */
  count(group?: string): number {
    if (group === undefined) return this.#sessions.length;
    return this.#sessions.filter(({ record }) => record.id.startsWith(`${group}.`)).length;
  }

  countOf(share: string): number {
    return this.oldest(share, Infinity).length;
  }

  oldest(share: string, most: number): string[] {
    const own = this.#sessions
      .map(({ record }) => record)
      .filter((record) => record.share === share);
    own.sort((a, b) => a.stamp - b.stamp || (a.id < b.id ? -1 : 1));
    return own.slice(0, most).map(({ id }) => id);
  }

  endedOf(share: string): string[] {
    return this.#ended.filter((one) => one.share === share).map(({ value }) => value.id);
  }

  due(): RecordPage<DueRecord> {
    const records = this.#sessions.flatMap((session) => {
      const { id, epoch, owner, dueAt } = session.record;
      const expired = this.#expired(session);
      return expired || (dueAt !== null && dueAt <= this.#options.now())
        ? [{ id, epoch, owner, expired }]
        : [];
    });
    return { records };
  }

  append(request: AppendRequest): WriteOutcome {
    const { id, fence, stream, mark, unmark } = request;
    const session = this.#living(id);
    if (session === undefined || !fits(session, fence)) return 'fenced';
    if (stream !== null && !this.#log(session, stream, request))
      return this.#isStored(session, request) ? 'written' : 'fenced';
    if (mark !== undefined) session.marks = [...without(session.marks, mark), mark];
    if (unmark !== undefined) session.marks = without(session.marks, unmark);
    this.#retain(session);
    return 'written';
  }

  #log(session: PlainSession, stream: string, request: AppendRequest): boolean {
    const { from = 0, events = [], complete = false, note = null } = request;
    const length = session.events.filter((event) => event.stream === stream).length;
    if (from !== length || session.complete.includes(stream)) return false;
    const at = this.#options.now();
    const added = events.map((data, n) => ({
      stream,
      offset: from + n,
      data,
      at,
      by: request,
      dropped: false,
    }));
    session.events.push(...added);
    const first = !session.streams.some(({ key }) => key === stream);
    if (first) session.streams.push({ key: stream, note });
    if (complete) session.complete.push(stream);
    return true;
  }

  /** An append that is tried again hears that it is stored, also where retention has dropped it of an open stream. */
  #isStored(
    session: PlainSession,
    { stream, from = 0, events = [], complete = false }: AppendRequest,
  ): boolean {
    this.#retain(session);
    const all = session.events.filter((event) => event.stream === stream);
    const isWhole = session.complete.includes(`${stream}`) && all.length === from + events.length;
    if (complete ? !isWhole : events.length === 0) return false;
    const isOpen = !session.complete.includes(`${stream}`);
    return events.every((data, n) => {
      const event = all[from + n];
      return event?.dropped === true ? isOpen : event?.data === data;
    });
  }

  /** `gone`: a complete stream whose events are all dropped; a store may call it a gap or unknown. */
  replay(id: string, stream: string, after: number): ReplayOutcome | 'gone' {
    const session = this.#living(id);
    if (session === undefined || !session.streams.some(({ key }) => key === stream))
      return { found: false, why: 'unknown' };
    this.#retain(session);
    const all = session.events.filter((event) => event.stream === stream);
    const complete = session.complete.includes(stream);
    if (complete && all.every(({ dropped }) => dropped)) return 'gone';
    const later = all.filter(({ offset }) => offset > after);
    const dropped = later.findLast((event) => event.dropped);
    if (dropped !== undefined) return { found: false, why: 'gap', first: dropped.offset + 1 };
    return {
      found: true,
      events: later.map(({ offset, data }) => ({ offset, data })),
      next: all.length,
      complete,
    };
  }

  #open(id: string): OpenStream[] {
    const session = this.#living(id);
    const open = session?.streams.filter(({ key }) => !session.complete.includes(key)) ?? [];
    return open.map(({ key, note }) => ({ stream: key, next: this.length(id, key), note }));
  }

  /** How many events a stream has had. */
  length(id: string, stream: string): number {
    return this.#held(id)?.events.filter((event) => event.stream === stream).length ?? 0;
  }

  record(id: string): StoredRecord | undefined {
    const value = this.read(id);
    return value === undefined || isEnded(value) ? undefined : value;
  }

  #retain(session: PlainSession): void {
    const { maxAgeMs, events, bytes } = this.#options.log;
    for (;;) {
      const kept = session.events.filter(({ dropped }) => !dropped);
      const [oldest] = kept;
      if (oldest === undefined) return;
      // The events of an append are kept, whatever their size, until so many came after it.
      const later = kept.filter(({ by }) => by !== oldest.by);
      const size = later.reduce((sum, { data }) => sum + Buffer.byteLength(data), 0);
      if (later.length < events && size < bytes && oldest.at + maxAgeMs > this.#options.now())
        return;
      for (const event of kept) event.dropped ||= event.by === oldest.by;
    }
  }

  #write(id: string, fence: Ownership, change: (session: PlainSession) => void): WriteOutcome {
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

  #endedAtExpiry({ id, expiresAt, share }: StoredRecord): PlainEnd {
    const at = expiresAt ?? 0;
    return { value: { id, outcome: '', at }, forgetAt: at + this.#options.keepMs, share };
  }

  #after(ms: number | null): number | null {
    return ms === null ? null : this.#options.now() + ms;
  }
}

type Fields = StoredRecord['fields'];

/** A spread keeps `__proto__` as the name that it is. */
const changedFields = (fields: Fields, changes: Readonly<Record<string, string | null>>): Fields =>
  Object.fromEntries(
    Object.entries({ ...fields, ...changes }).flatMap(([name, text]) =>
      text === null ? [] : [[name, text]],
    ),
  );

const without = (marks: readonly Mark[], { name, stream }: Mark): Mark[] =>
  marks.filter((mark) => mark.name !== name || mark.stream !== stream);

const fits = ({ record }: PlainSession, { epoch, owner }: Ownership): boolean =>
  record.epoch === epoch && record.owner === owner;
