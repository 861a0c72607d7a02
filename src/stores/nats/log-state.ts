/** What a session's log says at its end: the streams that are open, those that are complete, and the markers. */
import type { Marker, OpenStreamInfo } from '../store.ts';
import { DoneStreams, type DoneEntry } from './done-streams.ts';

/** One append or mark, as it stands in a message of the log. */
export interface LogOp {
  /** Stream, the offset of its first event, and the bytes of each event. */
  readonly s?: string;
  readonly f?: number;
  readonly l?: readonly number[];
  /** The stream is complete. */
  readonly c?: true;
  /** What the stream answers. */
  readonly r?: string;
  /** A marker: written, and then another one removed. */
  readonly m?: MarkerPair;
  readonly u?: MarkerPair;
}

export type MarkerPair = readonly [request: string, stream: string];

/** The whole state. */
export interface LogSummary {
  readonly o?: readonly (readonly [stream: string, next: number, requests: string | null])[];
  readonly d?: readonly DoneEntry[];
  readonly m?: readonly MarkerPair[];
}

interface Open {
  next: number;
  readonly requests: string | null;
}

export class LogState {
  readonly #open: Map<string, Open>;
  readonly #done: DoneStreams;
  readonly #marks: Map<string, MarkerPair>;

  constructor({ o = [], d = [], m = [] }: LogSummary = {}) {
    this.#open = new Map(o.map(([stream, next, requests]) => [stream, { next, requests }]));
    this.#done = new DoneStreams(d);
    this.#marks = new Map(m.map((pair) => [key(pair), pair]));
  }

  /** Whether nothing needs to be known of it any more. */
  get idle(): boolean {
    return this.#open.size === 0 && this.#marks.size === 0;
  }

  get markers(): Marker[] {
    return [...this.#marks.values()].map(([request, stream]) => ({ request, stream }));
  }

  get openStreams(): OpenStreamInfo[] {
    return [...this.#open].map(([stream, { next, requests }]) => ({ stream, next, requests }));
  }

  /** `undefined`: there is no such stream, or it is complete. */
  nextOf(stream: string): number | undefined {
    return this.#open.get(stream)?.next;
  }

  isDone(stream: string): boolean {
    return this.#done.has(stream);
  }

  /** `false`: it is not the stream's place; nothing is changed. */
  apply({ s: stream, f: from = 0, l: lengths = [], c: complete, r: requests, m: mark, u: unmark }: LogOp): boolean {
    if (stream !== undefined) {
      const open = this.#open.get(stream);
      if (from !== (open?.next ?? 0) || (open === undefined && this.#done.has(stream))) return false;
      if (complete === true) {
        this.#open.delete(stream);
        this.#done.add(stream);
      } else if (open === undefined)
        this.#open.set(stream, { next: from + lengths.length, requests: requests ?? null });
      else open.next += lengths.length;
    }
    if (mark !== undefined) this.#marks.set(key(mark), mark);
    if (unmark !== undefined) this.#marks.delete(key(unmark));
    return true;
  }

  summary(): LogSummary {
    return {
      ...(this.#open.size > 0 && {
        o: [...this.#open].map(([stream, { next, requests }]) => [stream, next, requests]),
      }),
      ...(this.#done.size > 0 && { d: this.#done.entries() }),
      ...(this.#marks.size > 0 && { m: [...this.#marks.values()] }),
    };
  }
}

const key = (pair: MarkerPair): string => JSON.stringify(pair);
