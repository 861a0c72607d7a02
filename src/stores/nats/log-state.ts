/**
 * The state at the end of a record's log: open streams, complete streams and marks. The one-letter fields are the
 * stored format (docs/internals/nats.md).
 */
import type { Mark, OpenStream } from '../store.ts';
import { CompletedStreams, type CompletedEntry } from './completed-streams.ts';

/** One append or mark in a message of the log. */
export interface LogOp {
  /** The stream. */
  readonly s?: string;
  /** The offset of the first event. */
  readonly f?: number;
  /** The bytes of each event. */
  readonly l?: readonly number[];
  /** The append completes the stream. */
  readonly c?: true;
  /** The note of the stream. */
  readonly r?: string;
  /** A mark to write, before another one is removed. */
  readonly m?: MarkPair;
  /** A mark to remove. */
  readonly u?: MarkPair;
}

export type MarkPair = readonly [name: string, stream: string];

/** The whole state. */
export interface LogSummary {
  /** Open streams. */
  readonly o?: readonly (readonly [stream: string, next: number, note: string | null])[];
  /** Complete streams. */
  readonly d?: readonly CompletedEntry[];
  /** Markers. */
  readonly m?: readonly MarkPair[];
}

interface Open {
  next: number;
  readonly note: string | null;
}

export class LogState {
  readonly #open: Map<string, Open>;
  readonly #done: CompletedStreams;
  readonly #marks: Map<string, MarkPair>;

  constructor({ o = [], d = [], m = [] }: LogSummary = {}) {
    this.#open = new Map(o.map(([stream, next, note]) => [stream, { next, note }]));
    this.#done = new CompletedStreams(d);
    this.#marks = new Map(m.map((pair) => [key(pair), pair]));
  }

  /** Whether the log has nothing that must outlive its age. */
  get idle(): boolean {
    return this.#open.size === 0 && this.#marks.size === 0;
  }

  get marks(): Mark[] {
    return [...this.#marks.values()].map(([name, stream]) => ({ name, stream }));
  }

  get openStreams(): OpenStream[] {
    return [...this.#open].map(([stream, { next, note }]) => ({ stream, next, note }));
  }

  /** `undefined`: the stream is unknown or complete. */
  nextOf(stream: string): number | undefined {
    return this.#open.get(stream)?.next;
  }

  isDone(stream: string): boolean {
    return this.#done.has(stream);
  }

  /** `false`: the offset does not match the stream, and nothing changed. */
  apply({ s: stream, f: from = 0, l: lengths = [], c: complete, r: note, m: mark, u: unmark }: LogOp): boolean {
    if (stream !== undefined) {
      const open = this.#open.get(stream);
      if (from !== (open?.next ?? 0) || (open === undefined && this.#done.has(stream))) return false;
      if (complete === true) {
        this.#open.delete(stream);
        this.#done.add(stream);
      } else if (open === undefined) this.#open.set(stream, { next: from + lengths.length, note: note ?? null });
      else open.next += lengths.length;
    }
    if (mark !== undefined) this.#marks.set(key(mark), mark);
    if (unmark !== undefined) this.#marks.delete(key(unmark));
    return true;
  }

  summary(): LogSummary {
    return {
      ...(this.#open.size > 0 && {
        o: [...this.#open].map(([stream, { next, note }]) => [stream, next, note]),
      }),
      ...(this.#done.size > 0 && { d: this.#done.entries() }),
      ...(this.#marks.size > 0 && { m: [...this.#marks.values()] }),
    };
  }
}

const key = (pair: MarkPair): string => JSON.stringify(pair);
