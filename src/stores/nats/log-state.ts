/**
 * The state at the end of a session's log: open streams, complete streams and markers. The one-letter fields are the
 * stored format (docs/stores/nats.md).
 */
import type { Marker, OpenStreamInfo } from '../store.ts';
import { CompletedStreams, type CompletedEntry } from './completed-streams.ts';

/** One append or marker in a message of the log. */
export interface LogOp {
  /** The stream. */
  readonly s?: string;
  /** The offset of the first event. */
  readonly f?: number;
  /** The bytes of each event. */
  readonly l?: readonly number[];
  /** The append completes the stream. */
  readonly c?: true;
  /** JSON text about the requests of the stream. */
  readonly r?: string;
  /** A marker to write, before another one is removed. */
  readonly m?: MarkerPair;
  /** A marker to remove. */
  readonly u?: MarkerPair;
}

export type MarkerPair = readonly [request: string, stream: string];

/** The whole state. */
export interface LogSummary {
  /** Open streams. */
  readonly o?: readonly (readonly [stream: string, next: number, requests: string | null])[];
  /** Complete streams. */
  readonly d?: readonly CompletedEntry[];
  /** Markers. */
  readonly m?: readonly MarkerPair[];
}

interface Open {
  next: number;
  readonly requests: string | null;
}

export class LogState {
  readonly #open: Map<string, Open>;
  readonly #done: CompletedStreams;
  readonly #marks: Map<string, MarkerPair>;

  constructor({ o = [], d = [], m = [] }: LogSummary = {}) {
    this.#open = new Map(o.map(([stream, next, requests]) => [stream, { next, requests }]));
    this.#done = new CompletedStreams(d);
    this.#marks = new Map(m.map((pair) => [key(pair), pair]));
  }

  /** Whether the log has nothing that must outlive its age. */
  get idle(): boolean {
    return this.#open.size === 0 && this.#marks.size === 0;
  }

  get markers(): Marker[] {
    return [...this.#marks.values()].map(([request, stream]) => ({ request, stream }));
  }

  get openStreams(): OpenStreamInfo[] {
    return [...this.#open].map(([stream, { next, requests }]) => ({ stream, next, requests }));
  }

  /** `undefined`: the stream is unknown or complete. */
  nextOf(stream: string): number | undefined {
    return this.#open.get(stream)?.next;
  }

  isDone(stream: string): boolean {
    return this.#done.has(stream);
  }

  /** `false`: the offset does not match the stream, and nothing changed. */
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
