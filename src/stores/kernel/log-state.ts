/**
 * The meaning of a log. Each entry is one append: the events, whether they complete their stream, its note, the marks.
 * The owner folds the entries into a `LogState` once and then keeps it up to date by itself.
 *
 * Entries are only ever removed from the oldest on. If a removed entry says something that is still true, the owner
 * writes a state entry first, which says it again.
 */
import type { AppendRequest, LoggedEvent, Mark, OpenStream, ReplayOutcome } from '../store.ts';
import { SmallMap } from '../../base/small-map.ts';
import type { EventRetention } from '../../base/types.ts';
import type { LogEntry, EntryHead, HeadMore } from './backend.ts';

const NO_EVENTS: readonly string[] = Object.freeze([]);

/** The stream of entries that hold marks alone, or a state. */
const NO_STREAM = '';

/** `now`: the store's clock. */
export function entryOf(no: number, request: AppendRequest, now: number): LogEntry {
  const { stream, from = 0, events = NO_EVENTS } = request;
  let bytes = 0;
  for (const event of events) bytes += event === '' ? 0 : Buffer.byteLength(event);
  const more = moreOf(request);
  const head: EntryHead =
    more === undefined
      ? [from, events.length, bytes, now]
      : [from, events.length, bytes, now, more];
  return {
    no,
    stream: stream ?? NO_STREAM,
    head,
    events: events.length === 0 ? NO_EVENTS : events.slice(),
  };
}

const DONE: HeadMore = Object.freeze({ done: true });

function moreOf({ complete, note, mark, unmark }: AppendRequest): HeadMore | undefined {
  // Most appends of a call are of these two kinds.
  if (note === undefined && mark === undefined && unmark === undefined)
    return complete === true ? DONE : undefined;
  return {
    ...(complete === true && { done: complete }),
    ...(note !== undefined && { note }),
    ...(mark !== undefined && { mark: { name: mark.name, stream: mark.stream } }),
    ...(unmark !== undefined && { unmark: { name: unmark.name, stream: unmark.stream } }),
  };
}

interface StreamState {
  readonly stream: string;
  /** The offset of its next event. */
  next: number;
  note: string | null;
  isComplete: boolean;
  /** The entry without which an open stream would be unknown; of a complete one, its last entry. */
  entry: number;
}

interface KnownMark {
  readonly mark: Mark;
  readonly entry: number;
}

export class LogState {
  /** The number of the next entry. */
  next = 1;
  /** Open streams, and complete streams that may still have entries. */
  readonly #streams = new SmallMap<string, StreamState>();
  #marks: Map<string, KnownMark> | undefined = undefined;
  /** Since the last trim. */
  #events = 0;
  #bytes = 0;

  static of(entries: readonly LogEntry[]): LogState {
    const state = new LogState();
    for (const entry of entries) state.take(entry);
    return state;
  }

  /** The entry that stores a request. It counts as stored from now on. `undefined`: its stream does not take it. */
  accept(request: AppendRequest, now: number): LogEntry | undefined {
    const { stream, from = 0 } = request;
    const known = stream === null ? undefined : this.#streams.get(stream);
    // A stream that is not known begins; a complete one takes nothing.
    if (
      stream !== null &&
      (known === undefined ? from !== 0 : known.isComplete || known.next !== from)
    )
      return undefined;
    const entry = entryOf(this.next, request, now);
    this.#fold(entry, known);
    return entry;
  }

  /** `undefined`: the stream is complete or unknown. */
  lengthOf(stream: string): number | undefined {
    const known = this.#streams.get(stream);
    return known?.isComplete === false ? known.next : undefined;
  }

  get marks(): Mark[] {
    return [...(this.#marks?.values() ?? [])].map(({ mark }) => mark);
  }

  get streams(): OpenStream[] {
    const open: OpenStream[] = [];
    for (const { stream, next, note, isComplete } of this.#streams.values())
      if (!isComplete) open.push({ stream, next, note });
    return open;
  }

  /** Nothing is known about any stream or mark. */
  get isEmpty(): boolean {
    return this.#streams.size === 0 && (this.#marks?.size ?? 0) === 0;
  }

  /** Once in as many events as are kept: a log holds up to twice as much, and a trim costs each event a constant. */
  trimIsDue({ events, bytes }: EventRetention): boolean {
    if (this.#events < events && this.#bytes < bytes) return false;
    this.#events = 0;
    this.#bytes = 0;
    return true;
  }

  /** The entries up to `cut` are removed. `true`: one of them says something that is still true. */
  trimmed(cut: number): boolean {
    let isNeeded = false;
    for (const { stream, entry, isComplete } of this.#streams.values()) {
      if (entry > cut) continue;
      if (isComplete) this.#streams.delete(stream);
      else isNeeded = true;
    }
    for (const { entry } of this.#marks?.values() ?? []) if (entry <= cut) isNeeded = true;
    return isNeeded;
  }

  /** The next entry, which says all that earlier ones say about open streams and marks. */
  stateEntry(now: number): LogEntry {
    const state = { streams: this.streams, marks: this.marks };
    const entry: LogEntry = {
      no: this.next,
      stream: NO_STREAM,
      head: [0, 0, 0, now, { state }],
      events: NO_EVENTS,
    };
    this.take(entry);
    return entry;
  }

  /** An entry that is stored. */
  take(entry: LogEntry): void {
    const state = entry.head[4]?.state;
    if (state !== undefined) this.#restore(entry.no, state);
    this.#fold(entry, this.#streams.get(entry.stream));
  }

  /** `known`: the stream of the entry. */
  #fold({ no, stream, head }: LogEntry, known: StreamState | undefined): void {
    // Destructuring takes as long as all else here until it is compiled.
    const more = head[4];
    if (stream !== NO_STREAM) this.#extend(no, stream, known, head[0] + head[1], more);
    if (more?.mark !== undefined) this.#mark(no, more.mark);
    if (more?.unmark !== undefined) this.#marks?.delete(keyOf(more.unmark));
    this.next = no + 1;
    this.#events += head[1] === 0 ? 1 : head[1];
    this.#bytes += head[2];
  }

  #mark(no: number, mark: Mark): void {
    this.#marks ??= new Map();
    this.#marks.set(keyOf(mark), { mark, entry: no });
  }

  #extend(
    no: number,
    stream: string,
    known: StreamState | undefined,
    next: number,
    more: HeadMore | undefined,
  ): void {
    const isComplete = more?.done === true;
    if (known === undefined || known.isComplete) {
      this.#streams.set(stream, { stream, next, note: more?.note ?? null, isComplete, entry: no });
      return;
    }
    known.next = next;
    known.note ??= more?.note ?? null;
    known.isComplete = isComplete;
    if (isComplete) known.entry = no;
  }

  #restore(no: number, { streams, marks }: NonNullable<HeadMore['state']>): void {
    for (const { stream, next, note } of streams)
      this.#streams.set(stream, { stream, next, note, isComplete: false, entry: no });
    this.#marks = undefined;
    for (const mark of marks) this.#mark(no, mark);
  }
}

const keyOf = ({ name, stream }: Mark): string => `${stream}\n${name}`;

/** Entries without events, such as marks, are not counted by retention. So a log has a most of entries too. */
export const mostEntries = (events: number): number => 4 * events + 256;

/**
 * The number up to which retention keeps no entry; 0: it keeps all. It follows from the later entries, so it is the same
 * while old entries wait to be removed.
 */
export function cutOf(
  entries: readonly LogEntry[],
  { events, bytes, maxAgeMs }: EventRetention,
  now: number,
): number {
  const first = entries.length - mostEntries(events);
  let [later, laterBytes] = [0, 0];
  for (let i = entries.length - 1; i >= 0; i--) {
    const { no, head } = entries[i] as LogEntry;
    const [, count, size, at] = head;
    if (later >= events || laterBytes >= bytes || at + maxAgeMs <= now || i < first) return no;
    later += count;
    laterBytes += size;
  }
  return 0;
}

/** `entries`: of the whole log; those of the stream with their events. `open`: its length if it is not complete. */
export function replayOf(
  entries: readonly LogEntry[],
  stream: string,
  open: number | undefined,
  after: number,
  retention: EventRetention,
  now: number,
): ReplayOutcome {
  const kept = eventsOf(keptOf(entries, stream, retention, now));
  const oldest = kept[0]?.offset;
  if (oldest === undefined && open === undefined) return { found: false, why: 'unknown' };
  const next = open ?? (kept.at(-1)?.offset ?? 0) + 1;
  const first = oldest ?? next;
  if (first > after + 1) return { found: false, why: 'gap', first };
  return {
    found: true,
    events: kept.filter(({ offset }) => offset > after),
    next,
    complete: open === undefined,
  };
}

/**
 * Whether an earlier try of a request was stored, and its answer was lost: the log has what it would add, at its place,
 * or has dropped what was there. `open`: the length of the stream, if the caller owns it and it is open: what was there
 * was the caller's own.
 */
export function isStored(
  entries: readonly LogEntry[],
  { stream, from = 0, events = NO_EVENTS, complete }: AppendRequest,
  open: number | undefined,
  retention: EventRetention,
  now: number,
): boolean {
  const own = keptOf(entries, stream, retention, now);
  const [first, count, , , more] = own.at(-1)?.head ?? [0, 0];
  const isWhole = more?.done === true && first + count === from + events.length;
  if (complete === true ? !isWhole : events.length === 0) return false;
  const stored = eventsOf(own);
  const oldest = stored[0]?.offset ?? open ?? 0;
  return events.every(
    (text, n) =>
      stored[from + n - oldest]?.data === text ||
      (open !== undefined && from >= 0 && from + n < oldest),
  );
}

/** The entries of a stream that retention keeps. */
function keptOf(
  entries: readonly LogEntry[],
  stream: string | null,
  retention: EventRetention,
  now: number,
): readonly LogEntry[] {
  const cut = cutOf(entries, retention, now);
  return entries.filter(({ no, stream: of }) => no > cut && of === stream);
}

/** Those of one stream have rising offsets without a gap. */
const eventsOf = (entries: readonly LogEntry[]): LoggedEvent[] =>
  entries.flatMap(({ head: [from], events }) =>
    events.map((data, n): LoggedEvent => ({ offset: from + n, data })),
  );
