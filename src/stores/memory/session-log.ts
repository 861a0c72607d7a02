/**
 * The events of one session, oldest first, in a ring of parallel arrays: an append allocates nothing but a stream's first
 * entry in the table, a drop moves one index. A stream's events are dropped in its own order, so the first retained offset
 * of a stream is all that gap detection needs.
 */
import type { LoggedEvent, OpenStreamInfo, ReplayOutcome } from '../store.ts';
import type { Logbook } from './logbook.ts';

/** Ring slots of a session's first event; doubles as needed. A call logs two events. */
const FIRST_SLOTS = 4;

/**
 * Charged to `eventLogBytes` besides the data, as measured: 95 bytes of heap for each event of a long log (ring slots, half
 * a stream of two events), and what a log with a single event takes.
 */
export const EVENT_OVERHEAD_BYTES = 100;
export const LOG_OVERHEAD_BYTES = 600;

/** Where the log hangs; a log with nothing to say takes itself off. */
export interface LogHolder {
  log: SessionLog | undefined;
}

/** Offsets below `first` were dropped, `next` is to come. */
class LoggedStream {
  readonly key: string;
  first = 0;
  next = 0;
  complete = false;
  /** What it answers, while it is not complete. */
  requests: string | null = null;

  constructor(key: string) {
    this.key = key;
  }
}

export class SessionLog {
  /** Neighbours in the logbook's order of last writes, and the write that put it there. */
  older: SessionLog | undefined = undefined;
  newer: SessionLog | undefined = undefined;
  written = 0;
  /** Of the newest event. */
  writtenAt = 0;

  readonly #holder: LogHolder;
  readonly #logbook: Logbook;
  readonly #streams = new Map<string, LoggedStream>();
  #data: string[] = [];
  #stream: Array<LoggedStream | undefined> = [];
  #bytes: number[] = [];
  #at: number[] = [];
  #head = 0;
  #size = 0;
  #totalBytes = 0;

  constructor(holder: LogHolder, logbook: Logbook) {
    this.#holder = holder;
    this.#logbook = logbook;
    holder.log = this;
  }

  get size(): number {
    return this.#size;
  }

  /** UTF-8 bytes of the retained data. */
  get bytes(): number {
    return this.#totalBytes;
  }

  /** `false`: not the stream's next offset, or the stream is complete: somebody else wrote. */
  append(key: string, from: number, events: readonly string[], complete: boolean, now: number): boolean {
    let stream = this.#streams.get(key);
    if (stream === undefined) {
      if (from !== 0) {
        this.#leave();
        return false;
      }
      stream = new LoggedStream(key);
      this.#streams.set(key, stream);
    } else if (stream.complete || stream.next !== from) return false;
    for (let i = 0; i < events.length; i++) this.#push(stream, events[i] ?? '', now);
    if (complete) {
      stream.complete = true;
      stream.requests = null;
      this.#forget(stream);
      this.#leave();
    }
    return true;
  }

  describe(key: string, requests: string): void {
    const stream = this.#streams.get(key);
    if (stream !== undefined && stream.requests === null) stream.requests = requests;
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

  open(): readonly OpenStreamInfo[] {
    const open: OpenStreamInfo[] = [];
    for (const { key, next, complete, requests } of this.#streams.values()) {
      if (!complete) open.push({ stream: key, next, requests });
    }
    return open;
  }

  /** The time of the oldest event; Infinity: there is none. */
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
    this.#logbook.dropped(bytes);
    if (stream !== undefined) {
      stream.first++;
      this.#forget(stream);
    }
    if (this.#size === 0) this.#emptied();
  }

  /** The session ended: everything goes at once. */
  drop(): void {
    this.#logbook.dropped(this.#totalBytes, this.#size);
    this.#streams.clear();
    this.#size = 0;
    this.#totalBytes = 0;
    this.#emptied();
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
    this.#logbook.added(bytes);
  }

  /** Nothing is left to say of a complete stream without events. */
  #forget(stream: LoggedStream): void {
    if (stream.complete && stream.first === stream.next) this.#streams.delete(stream.key);
  }

  #emptied(): void {
    this.#logbook.unlink(this);
    this.#head = 0;
    this.#data = [];
    this.#stream = [];
    this.#bytes = [];
    this.#at = [];
    this.#leave();
  }

  #leave(): void {
    if (this.#size === 0 && this.#streams.size === 0) this.#holder.log = undefined;
  }

  /** The lengths are powers of two: an index wraps by a mask. */
  #grow(): void {
    const slots = Math.max(FIRST_SLOTS, this.#data.length * 2);
    this.#data = unrolled(this.#data, this.#head, slots, '');
    this.#stream = unrolled(this.#stream, this.#head, slots, undefined);
    this.#bytes = unrolled(this.#bytes, this.#head, slots, 0);
    this.#at = unrolled(this.#at, this.#head, slots, 0);
    this.#head = 0;
  }
}

/** The ring from its head on, filled up to `slots`; made at its size, because an array that is pushed to has slack. */
function unrolled<T>(ring: readonly T[], head: number, slots: number, empty: T): T[] {
  const next = Array.from({ length: slots }, () => empty);
  for (let i = 0; i < ring.length; i++) next[i] = ring[(head + i) & (ring.length - 1)] ?? empty;
  return next;
}
