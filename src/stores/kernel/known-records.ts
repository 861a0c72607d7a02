/**
 * What this process knows of the records that it writes: the row that it has stored last, and the log. A log is folded
 * from the stored entries once, and then it follows what is written. All of this is a hint. The store refuses what is
 * out of date, and then this process forgets it.
 */
import { BoundedMap } from '../../base/bounded-map.ts';
import { after } from '../shared/after.ts';
import type { Deadlines } from '../shared/deadlines.ts';
import type { RecordQueues } from '../shared/record-queues.ts';
import type {
  AppendRequest,
  BytesInHand,
  Kind,
  MaybePromise,
  Quota,
  ReplayOutcome,
  StoredRecord,
  WriteOutcome,
} from '../store.ts';
import type { EventRetention, Logger } from '../../base/types.ts';
import type { Backend, LogEntry, Row } from './backend.ts';
import { entriesBytes, entryBytes, requestBytes } from './counted-bytes.ts';
import { cutOf, isStored, LogState, replayOf } from './log-state.ts';
import { fits, recordOf } from './row-value.ts';
import type { Writes } from './turn-writes.ts';

export interface Known {
  readonly id: string;
  /** Its record has not ended. */
  row: Row;
  /** `undefined`: the first append reads it. */
  readonly log: LogState | undefined;
  /** When its log was read or trimmed last. */
  trimmedAt: number;
  /** The bytes in hand of its user. `undefined`: nothing limits it. */
  readonly user: BytesInHand | undefined;
}

/** A kind without events keeps no entry but those that say which marks there are. */
const MARKS_ALONE: EventRetention = { maxAgeMs: Infinity, events: 64, bytes: Infinity };
/** Records that this process writes. */
const MOST = 20_000;
/** In characters. No place of an instance bounds how many records it writes that have no owner. */
const SMALL = 4_096;

const EMPTY = new LogState();

/** What all parts of a kernel share: one kind of records on one backend. */
export interface KernelParts {
  readonly kind: Kind;
  readonly backend: Backend;
  readonly writes: Writes;
  /**
   * The backend is in this process and has no other kernel for this kind. So what is known is always true, rows are
   * known that have a log, and all logs that are not empty are known: the store may drop entries.
   */
  readonly isAlone: boolean;
  readonly logger: Logger;
  readonly quota?: Quota | undefined;
  /** How long a step waits for the earlier ones of its record. Absent: for ever. */
  readonly deadlines?: Deadlines | undefined;
}

export class KnownRecords {
  readonly #parts: KernelParts;
  readonly #queues: RecordQueues;
  readonly #retention: EventRetention;
  /** In the order in which their logs were read or trimmed. */
  readonly #known: BoundedMap<string, Known>;
  /** The last append of each log that is not answered yet. */
  readonly #underWay = new Map<string, Promise<boolean>>();

  constructor(parts: KernelParts, queues: RecordQueues) {
    this.#parts = parts;
    this.#queues = queues;
    const { log } = parts.kind;
    this.#retention = log === false ? MARKS_ALONE : log;
    this.#known = new BoundedMap(parts.isAlone ? Infinity : MOST);
  }

  get(id: string): Known | undefined {
    return this.#known.get(id);
  }

  /** This process has stored a row of a living record. `isNew`: its log is empty. */
  stored(row: Row, now: number, isNew: boolean): void {
    const known = this.#known.get(row.id);
    if (this.#parts.isAlone) {
      if (isNew) this.delete(row.id);
      else if (known !== undefined) known.row = row;
      return;
    }
    const isOwned = recordOf(row)?.owner !== null;
    if (!isOwned && isLarge(row)) return this.delete(row.id);
    // The log of a released record gets no more events, until another claim reads it.
    const kept = isOwned ? known?.log : undefined;
    const log = isNew ? new LogState() : kept;
    if (known !== undefined && known.log === log) known.row = row;
    else this.#know(row, log, now);
  }

  delete(id: string): void {
    this.#known.delete(id);
  }

  /** Another process may have written the record. */
  forget(id: string): void {
    if (!this.#parts.isAlone) this.delete(id);
  }

  /** The record with its log, which is read unless it is known. */
  load(row: Row, now: number): MaybePromise<Known> {
    const known = this.#known.get(row.id);
    return known?.log !== undefined
      ? known
      : after(this.#answered(row.id), () => this.#read(row, now));
  }

  #read(row: Row, now: number): MaybePromise<Known> {
    return after(this.#entries(row.id), (entries) => this.#know(row, LogState.of(entries), now));
  }

  /** The log for an owner that has just claimed the record: nothing of an earlier owner is stored any more. */
  claimed(row: Row, now: number): MaybePromise<LogState> {
    if (this.#parts.isAlone) return this.#known.get(row.id)?.log ?? EMPTY;
    this.delete(row.id);
    return after(this.load(row, now), ({ log }) => log ?? EMPTY);
  }

  /**
   * An append that rests on what is known, while no step runs that may change it. `undefined`: a
   * step looks at what is stored, because the record or its log is not known, or another writer was
   * faster; or its room is waited for. The next append may follow at once: it has the next number,
   * whatever becomes of this one.
   */
  append(request: AppendRequest): MaybePromise<'written' | undefined> {
    const { id, fence } = request;
    const known = this.#known.get(id);
    if (known?.log === undefined || this.#queues.last.has(id)) return undefined;
    const now = this.#parts.backend.now();
    const record = known.row.value as StoredRecord;
    const { expiresAt } = record;
    if (typeof now !== 'number' || !fits(record, fence) || (expiresAt !== null && expiresAt <= now))
      return undefined;
    const { user } = known;
    const bytes = requestBytes(request);
    const taken = isLimited(request) ? bytes : 0;
    if (user !== undefined && user.inHand < taken) return undefined;
    const entry = known.log.accept(request, now);
    if (entry === undefined) return undefined;
    if (user !== undefined) user.inHand -= taken;
    return this.#add(known, entry, bytes, now);
  }

  /**
   * An append in a step that has just looked at the fence. If its answer was lost it may be stored:
   * a caller that tries again finds it in the log. No later step may change the log before that,
   * and what it has dropped was the owner's.
   */
  appendInStep(
    known: Known,
    request: AppendRequest,
    now: number,
  ): MaybePromise<WriteOutcome | undefined> {
    const { id, stream } = request;
    const { log } = known;
    if (log === undefined) return undefined;
    const bytes = requestBytes(request);
    return after(isLimited(request) ? this.#take(known.row, bytes) : 0, (over) => {
      const entry = log.accept(request, now);
      if (entry !== undefined) {
        return after(this.#add(known, entry, bytes, now), (done) => {
          const makesRoom = over > 0 && done === 'written';
          return makesRoom ? after(this.#drop(known, over, now, entry.no), () => done) : done;
        });
      }
      return after(this.#answered(id), () =>
        after(this.#entries(id, stream), (entries) => {
          const open = this.#lengthOf(id, stream ?? '', entries);
          return isStored(entries, request, open, this.#retention, now) ? 'written' : 'fenced';
        }),
      );
    });
  }

  /** How much its log should lose for it. */
  #take({ share }: Row, bytes: number): MaybePromise<number> {
    const { kind, quota } = this.#parts;
    if (kind.counted !== true || share === null || quota === undefined) return 0;
    if (kind.evicts !== false) return quota.takeForLog(share, bytes);
    return after(quota.take(share, bytes), () => 0);
  }

  #add(
    known: Known,
    entry: LogEntry,
    bytes: number,
    now: number,
  ): MaybePromise<'written' | undefined> {
    const sent = this.#send(known, [entry], bytes, 0);
    const trims = known.log?.trimIsDue(this.#retention) === true;
    if (!(sent instanceof Promise)) return this.#sent(known, sent, trims, now);
    return sent.then((done) => this.#sent(known, done, trims, now));
  }

  /** The entries are looked at in the turn that answers them: those of memory are the log itself, which may change. */
  replay(id: string, stream: string, from: number, now: number): MaybePromise<ReplayOutcome> {
    return after(this.#entries(id, stream), (entries) => {
      return replayOf(
        entries,
        stream,
        this.#lengthOf(id, stream, entries),
        from,
        this.#retention,
        now,
      );
    });
  }

  /** `undefined`: the stream is complete or unknown. */
  #lengthOf(id: string, stream: string, entries: readonly LogEntry[]): number | undefined {
    // A store that is alone may have dropped what says how long an open stream is.
    const log = this.#parts.isAlone ? this.#known.get(id)?.log : LogState.of(entries);
    return log?.lengthOf(stream);
  }

  /**
   * Removes events that are too old. A log is read once in the time that events are kept, so an event is removed before
   * it is twice that old. A record whose log has no events is forgotten.
   */
  async trimOld(now: number): Promise<void> {
    for (;;) {
      const { oldest } = this.#known;
      if (oldest === undefined || oldest.trimmedAt + this.#retention.maxAgeMs > now) return;
      oldest.trimmedAt = now;
      this.#known.use(oldest.id);
      const keepsNone = await this.#trim(oldest, now);
      const isEmpty = this.#parts.isAlone ? oldest.log?.isEmpty === true : keepsNone;
      // Another record may have taken the id while the store was asked.
      if (isEmpty && this.get(oldest.id) === oldest) this.delete(oldest.id);
    }
  }

  /** Removes events that are too old, of a log that this process may not own. The fence is new, so the log is at rest. */
  async trimAtRest(row: Row, now: number): Promise<true> {
    await this.#trim(await this.#read(row, now), now);
    this.delete(row.id);
    return true;
  }

  /** The same for events of any age, the oldest first, that count so many bytes. Returns what goes. */
  dropAtRest(row: Row, bytes: number, now: number): MaybePromise<number> {
    const { isAlone } = this.#parts;
    const known = isAlone ? this.#known.get(row.id) : this.#read(row, now);
    return after(known, (found) =>
      after(found === undefined ? 0 : this.#drop(found, bytes, now), (freed) => {
        if (!isAlone) this.delete(row.id);
        return freed;
      }),
    );
  }

  /** `before`: entries from this one on stay. */
  #drop(known: Known, bytes: number, now: number, before = Infinity): MaybePromise<number> {
    const { id, log } = known;
    return after(this.#entries(id), (entries) => {
      let [freed, cut] = [0, 0];
      for (const entry of entries) {
        if (freed >= bytes || entry.no >= before) break;
        freed += entryBytes(entry);
        cut = entry.no;
      }
      // A last entry without events says what is open.
      if (log === undefined || cut === 0 || entries.every(({ head }) => head[1] === 0)) return 0;
      log.trimmed((entries[0]?.no ?? log.next) - 1);
      return after(this.#cut(known, log, cut, now), () => freed);
    });
  }

  /** Called only where this object is alone. */
  forgetStream(id: string, stream: string): void {
    const known = this.#known.get(id);
    if (known?.log === undefined || known.log.lengthOf(stream) !== undefined) return;
    let cut = 0;
    for (const entry of this.#entries(id) as readonly LogEntry[]) {
      if (entry.stream !== stream) break;
      cut = entry.no;
    }
    if (cut > 0) void this.#cut(known, known.log, cut, 0);
  }

  #know(row: Row, log: LogState | undefined, now: number): Known {
    const { kind, quota } = this.#parts;
    const { id, share } = row;
    const user = kind.counted === true && share !== null ? quota?.inHand(share) : undefined;
    const known = { id, row, log, trimmedAt: now, user };
    this.#known.set(id, known);
    return known;
  }

  #entries(id: string, stream: string | null = null): MaybePromise<readonly LogEntry[]> {
    return this.#parts.backend.log(this.#parts.kind, id, stream);
  }

  /** Resolves once the log writes of this process that are under way are stored or refused: they are answered in order. */
  #answered(id: string): MaybePromise<unknown> {
    return this.#underWay.get(id)?.catch(() => undefined);
  }

  /** `false`: another writer was faster. After that, and without an answer, the log is read again. */
  #send(
    { id, row }: Known,
    entries: readonly LogEntry[],
    bytes: number,
    cut: number,
  ): MaybePromise<boolean> {
    const { kind, writes } = this.#parts;
    const share = kind.counted === true ? row.share : null;
    const counted = { share, bytes: share === null ? 0 : bytes };
    const sent = writes.write({ kind, id, fence: row.fence ?? '', entries, cut, ...counted });
    if (!(sent instanceof Promise)) return sent;
    this.#underWay.set(id, sent);
    const answered = (isStored: boolean): void => {
      if (this.#underWay.get(id) === sent) this.#underWay.delete(id);
      if (!isStored) this.delete(id);
    };
    sent.then(answered, () => answered(false));
    return sent;
  }

  /** A log is trimmed once the append is stored: then this process knows all of it. */
  #sent(known: Known, done: boolean, trims: boolean, now: number): 'written' | undefined {
    const trimmed = done && trims ? this.#trim(known, now) : undefined;
    // It is tried again when the next one is due.
    if (trimmed instanceof Promise) trimmed.catch(() => undefined);
    return done ? 'written' : undefined;
  }

  /** `true`: no event of the log is kept. */
  #trim(known: Known, now: number): MaybePromise<boolean> {
    const { id, log } = known;
    if (log === undefined) return true;
    return after(this.#entries(id), (entries) => {
      const last = entries.at(-1)?.no ?? 0;
      // Another process writes under this fence too.
      if (last >= log.next) {
        this.delete(id);
        return true;
      }
      // A bounded store has dropped the entries before the first one. Complete streams among them are forgotten too.
      log.trimmed((entries[0]?.no ?? log.next) - 1);
      const cut = this.#parts.kind.log === false ? last : cutOf(entries, this.#retention, now);
      return after(cut === 0 ? undefined : this.#cut(known, log, cut, now), () => cut === last);
    });
  }

  #cut(known: Known, log: LogState, cut: number, now: number): MaybePromise<void> {
    const { isAlone } = this.#parts;
    if (this.#known.get(known.id) !== known) return undefined;
    // A log that others read is never empty again: its last entry says which number is next.
    const isNeeded = log.trimmed(cut) || cut === log.next - 1;
    const entries = isNeeded && !isAlone ? [log.stateEntry(now)] : [];
    return after(this.#send(known, entries, entriesBytes(entries), cut), () => {
      if (isAlone && log.isEmpty) this.delete(known.id);
    });
  }
}

/** Marks alone are never refused. */
const isLimited = ({ events }: AppendRequest): boolean => events !== undefined && events.length > 0;

function isLarge(row: Row): boolean {
  const { body, fields } = row.value as StoredRecord;
  let length = body.length;
  for (const [name, text] of Object.entries(fields)) length += name.length + text.length;
  return length > SMALL;
}
