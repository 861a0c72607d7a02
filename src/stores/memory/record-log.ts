/**
 * The events of one record, oldest first, in a ring of parallel arrays. An append allocates only the table entry of a
 * new stream, and dropping an event moves one index. The events of a stream are dropped in order, so its first retained
 * offset is enough to detect gaps.
 */
import { entryOf } from '../../base/entry-list.ts';
import { SmallMap } from '../../base/small-map.ts';
import type { AppendRequest, LoggedEvent, OpenStream, ReplayOutcome } from '../store.ts';

/** Slots of the ring at the first event; the ring doubles as needed. A call logs two events. */
const FIRST_SLOTS = 4;

/**
 * Charged to `eventLogBytes` besides the data. Measured: 95 bytes of heap for each event of a long log (ring slots,
 * half a stream of two events), and 700 for a log with a single event.
 */
export const EVENT_OVERHEAD_BYTES = 100;
export const LOG_OVERHEAD_BYTES = 700;

const NO_EVENTS: readonly string[] = [];

/** Refers to the log. An empty log removes this reference. */
export interface LogHolder {
  log: RecordLog | undefined;
}

/** Offsets below `first` were dropped; `next` is the offset of the next event. */
class LoggedStream {
  readonly key: string;
  first = 0;
  next = 0;
  complete = false;
  /** The text of its first append, until it is complete. */
  note: string | null = null;

  constructor(key: string) {
    this.key = key;
  }
}

/** The logs of a deployment: a log reports to them what it holds. */
export interface LogTotals {
  added(log: RecordLog, bytes: number): void;
  dropped(log: RecordLog, bytes: number, events?: number): void;
  unlink(log: RecordLog): void;
}

export class RecordLog {
  /** The neighbours in the order of last writes, and the number of the last write. */
  older: RecordLog | undefined = undefined;
  newer: RecordLog | undefined = undefined;
  written = 0;
  /** When the newest event was written. */
  writtenAt = 0;
  /** The user whose share of the bytes it counts in. */
  readonly share: string;
  /** Its place among the logs of that user. */
  readonly ofShare = entryOf<RecordLog>(this);

  readonly #holder: LogHolder;
  readonly #logs: LogTotals;
  readonly #streams = new SmallMap<string, LoggedStream>();
  #data: string[] = [];
  #stream: Array<LoggedStream | undefined> = [];
  #bytes: number[] = [];
  #at: number[] = [];
  #head = 0;
  #size = 0;
  #totalBytes = 0;

  constructor(holder: LogHolder, logs: LogTotals, share = '') {
    this.share = share;
    this.#holder = holder;
    this.#logs = logs;
    holder.log = this;
  }

  get size(): number {
    return this.#size;
  }

  /** UTF-8 bytes of the retained data. */
  get bytes(): number {
    return this.#totalBytes;
  }

  /** The bytes after the oldest event. An event of any size is kept until retention's `bytes` came after it. */
  get laterBytes(): number {
    return this.#size === 0 ? 0 : this.#totalBytes - (this.#bytes[this.#head] ?? 0);
  }

  /** `false`: another writer appended (`from` is not the next offset), or the stream is complete. */
  append(
    key: string,
    { from = 0, events = NO_EVENTS, complete = false, note }: Omit<AppendRequest, 'id' | 'fence'>,
    now: number,
  ): boolean {
    let stream = this.#streams.get(key);
    if (stream === undefined) {
      if (from !== 0) {
        this.#detachIfEmpty();
        return false;
      }
      stream = new LoggedStream(key);
      this.#streams.set(key, stream);
    } else if (stream.complete || stream.next !== from) return false;
    for (let i = 0; i < events.length; i++) this.#push(stream, events[i] ?? '', now);
    if (complete) {
      stream.complete = true;
      stream.note = null;
      this.#deleteIfDropped(stream);
      this.#detachIfEmpty();
    } else if (note !== undefined) stream.note ??= note;
    return true;
  }

  replay(key: string, after: number): ReplayOutcome {
    const stream = this.#streams.get(key);
    if (stream === undefined) return { found: false, why: 'unknown' };
    if (stream.first > after + 1) return { found: false, why: 'gap', first: stream.first };
    const events: LoggedEvent[] = [];
    const mask = this.#data.length - 1;
    let offset = stream.first;
    for (let i = 0; i < this.#size && offset < stream.next; i++) {
      const slot = (this.#head + i) & mask;
      if (this.#stream[slot] !== stream) continue;
      if (offset > after) events.push({ offset, data: this.#data[slot] ?? '' });
      offset++;
    }
    return { found: true, events, next: stream.next, complete: stream.complete };
  }

  open(): readonly OpenStream[] {
    const open: OpenStream[] = [];
    for (const { key, next, complete, note } of this.#streams.values()) {
      if (!complete) open.push({ stream: key, next, note });
    }
    return open;
  }

  /** The time of the oldest event; Infinity for an empty log. */
  oldestAt(): number {
    return this.#size === 0 ? Infinity : (this.#at[this.#head] ?? Infinity);
  }

  dropOldest(): void {
    if (this.#size === 0) return;
    const slot = this.#head;
    const stream = this.#stream[slot];
    const bytes = this.#bytes[slot] ?? 0;
    this.#data[slot] = '';
    this.#stream[slot] = undefined;
    this.#head = (slot + 1) & (this.#data.length - 1);
    this.#size--;
    this.#totalBytes -= bytes;
    this.#logs.dropped(this, bytes);
    if (stream !== undefined) {
      stream.first++;
      this.#deleteIfDropped(stream);
    }
    if (this.#size === 0) this.#reset();
  }

  /** Drops a complete stream, as far as its events are the oldest of the log. */
  forget(key: string): void {
    const stream = this.#streams.get(key);
    if (stream?.complete !== true) return;
    while (this.#size > 0 && this.#stream[this.#head] === stream) this.dropOldest();
  }

  /** Drops all events at once, because the record ended. */
  drop(): void {
    this.#logs.dropped(this, this.#totalBytes, this.#size);
    this.#streams.clear();
    this.#size = 0;
    this.#totalBytes = 0;
    this.#reset();
  }

  #push(stream: LoggedStream, data: string, now: number): void {
    if (this.#size === this.#data.length) this.#grow();
    const slot = (this.#head + this.#size) & (this.#data.length - 1);
    const bytes = data === '' ? 0 : Buffer.byteLength(data);
    this.#data[slot] = data;
    this.#stream[slot] = stream;
    this.#bytes[slot] = bytes;
    this.#at[slot] = now;
    this.#size++;
    this.#totalBytes += bytes;
    stream.next++;
    this.#logs.added(this, bytes);
  }

  /** Forgets a complete stream whose events are all dropped. */
  #deleteIfDropped(stream: LoggedStream): void {
    if (stream.complete && stream.first === stream.next) this.#streams.delete(stream.key);
  }

  #reset(): void {
    this.#logs.unlink(this);
    this.#head = 0;
    this.#data = [];
    this.#stream = [];
    this.#bytes = [];
    this.#at = [];
    this.#detachIfEmpty();
  }

  #detachIfEmpty(): void {
    if (this.#size === 0 && this.#streams.size === 0) this.#holder.log = undefined;
  }

  /** Lengths are powers of two, so that a mask wraps an index. */
  #grow(): void {
    const slots = Math.max(FIRST_SLOTS, this.#data.length * 2);
    this.#data = unrolled(this.#data, this.#head, slots, '');
    this.#stream = unrolled(this.#stream, this.#head, slots, undefined);
    this.#bytes = unrolled(this.#bytes, this.#head, slots, 0);
    this.#at = unrolled(this.#at, this.#head, slots, 0);
    this.#head = 0;
  }
}

/** Copies the ring from its head on and fills it up to `slots`. An array grown by `push` would use more memory. */
function unrolled<T>(ring: readonly T[], head: number, slots: number, empty: T): T[] {
  const next = Array<T>(slots).fill(empty);
  for (let i = 0; i < ring.length; i++) next[i] = ring[(head + i) & (ring.length - 1)] ?? empty;
  return next;
}
