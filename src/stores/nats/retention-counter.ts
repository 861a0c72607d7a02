/**
 * Counts how far a record's log exceeds its retention. A replay decides exactly, per event. This counter works in
 * segments and finds the message from which on the server must keep the log. It counts only what this process wrote;
 * messages of earlier owners are older and go with the first purge.
 */
import type { EventRetention } from '../../types.ts';
import type { LogOp } from './log-state.ts';

/** A segment's share of what retention keeps. */
const SEGMENT = 1 / 8;
/** A purge is worth its cost when it removes this many times as much as retention keeps. */
const WORTH = 4;

interface Segment {
  /** The first message of the segment, and the message before it. */
  readonly seq: number;
  readonly after: number;
  events: number;
  bytes: number;
}

export type Kept = Pick<Segment, 'seq' | 'after'>;

export class RetentionCounter {
  readonly #retention: EventRetention;
  /** Oldest first. */
  readonly #segments: Segment[] = [];
  #total = { events: 0, bytes: 0 };
  #dropped = { events: 0, bytes: 0 };

  constructor(retention: EventRetention) {
    this.#retention = retention;
  }

  /**
   * Adds a message that was written after the message `after`. Returns the first message to keep if a purge is worth
   * it.
   */
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

  /** Drops segments when the later ones reach the retention limits. */
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
