/**
 * How much of a session's log is more than is kept. A replay judges that exactly, event by event; here it is counted in
 * segments, to know from where on the server may forget. Only what was written here is counted: what earlier owners wrote
 * is older, and goes with the first purge.
 */
import type { EventRetention } from '../../types.ts';
import type { LogOp } from './log-state.ts';

/** Of what is kept, a segment. */
const SEGMENT = 1 / 8;
/** A purge is worth it when so many times as much as is kept can go. */
const WORTH = 4;

interface Segment {
  /** Of its first message, and of the one before that. */
  readonly seq: number;
  readonly after: number;
  events: number;
  bytes: number;
}

export type Kept = Pick<Segment, 'seq' | 'after'>;

export class Overflow {
  readonly #retention: EventRetention;
  /** The oldest first. */
  readonly #segments: Segment[] = [];
  #total = { events: 0, bytes: 0 };
  #dropped = { events: 0, bytes: 0 };

  constructor(retention: EventRetention) {
    this.#retention = retention;
  }

  /** A message was written after another one. Returns the first message that is kept, when a purge is worth it. */
  add(seq: number, after: number, ops: readonly LogOp[]): Kept | undefined {
    const { events: mostEvents, bytes: mostBytes } = this.#retention;
    const last = this.#segments.at(-1);
    const full = last === undefined || last.events > mostEvents * SEGMENT || last.bytes > mostBytes * SEGMENT;
    const segment = full ? { seq, after, events: 0, bytes: 0 } : last;
    if (full) this.#segments.push(segment);
    for (const { l: lengths = [] } of ops) {
      const bytes = lengths.reduce((sum, length) => sum + length, 0);
      for (const counted of [segment, this.#total]) {
        counted.events += lengths.length;
        counted.bytes += bytes;
      }
    }
    this.#drop();
    if (this.#dropped.events < WORTH * mostEvents && this.#dropped.bytes < WORTH * mostBytes) return undefined;
    this.#dropped = { events: 0, bytes: 0 };
    return this.#segments[0];
  }

  /** Segments after which as much comes as is kept. */
  #drop(): void {
    for (let first = this.#segments[0]; first !== undefined && this.#segments.length > 1; first = this.#segments[0]) {
      const events = this.#total.events - first.events;
      const bytes = this.#total.bytes - first.bytes;
      if (events < this.#retention.events && bytes < this.#retention.bytes) return;
      this.#segments.shift();
      this.#total = { events, bytes };
      this.#dropped = { events: this.#dropped.events + first.events, bytes: this.#dropped.bytes + first.bytes };
    }
  }
}
