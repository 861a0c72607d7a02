/**
 * Subjects of which the newest message is the value, and whoever writes names the value that it replaces or continues.
 *
 * A stream that one server keeps refuses a message that names another one than the last. A stream with replicas does so too,
 * but not safely: servers before 2.9.21 let several through that come at the same moment, and later ones may when their leader
 * changes. What holds everywhere is that messages get one order. So there every message counts that names the one before it that
 * counts, and no other: the first of several does. Whoever has written looks whether one was faster, and whoever reads
 * whether the newest message counts.
 */
import { contended } from './failures.ts';
import type { JetStream, Stored } from './jetstream.ts';
import type { StreamKey } from './names.ts';
import type { Streams } from './streams.ts';

/** Where a value stands. */
export interface Spot {
  /** The message that counts; 0: there is none. */
  readonly seq: number;
  /** The newest message, which may be one that does not count. */
  readonly end: number;
}

export const NOWHERE: Spot = { seq: 0, end: 0 };

export interface Read {
  readonly stored: Stored;
  readonly spot: Spot;
}

/** Subjects whose newest message is known to count. */
const SETTLED = 20_000;

export class Registers {
  readonly jetstream: JetStream;
  readonly #streams: Streams;
  readonly #settled = new Map<string, number>();

  constructor(jetstream: JetStream, streams: Streams) {
    this.jetstream = jetstream;
    this.#streams = streams;
  }

  async read(stream: StreamKey, subject: string, deadline: number): Promise<Read | undefined> {
    const stored = await this.jetstream.last(stream, subject, deadline);
    if (stored === undefined) return undefined;
    const { seq, after } = stored;
    const counts = !this.#streams.replicated(stream) || after === undefined || this.#settled.get(subject) === seq;
    return counts ? { stored, spot: { seq, end: seq } } : this.#walk(stream, subject, stored, deadline);
  }

  /** Where the new value stands; `undefined`: another one than that of `before` was there. */
  async write(
    stream: StreamKey,
    subject: string,
    body: Uint8Array,
    before: Spot,
    deadline: number,
  ): Promise<Spot | undefined> {
    const expected = { expect: before.end, after: before.seq };
    const seq = await this.jetstream.publish(subject, body, deadline, expected);
    if (seq === undefined) return undefined;
    if (!this.#streams.replicated(stream)) return { seq, end: seq };
    if (!(await this.#first(stream, subject, before, seq, deadline))) return undefined;
    this.#settle(subject, seq);
    return { seq, end: seq };
  }

  /** Takes away what was read, and not what has come since. */
  async erase(stream: StreamKey, subject: string, { seq, end }: Spot, deadline: number): Promise<void> {
    if (this.#streams.keepsOne(stream)) await this.jetstream.remove(stream, seq, deadline);
    else await this.jetstream.purge(stream, subject, end + 1, deadline);
  }

  /** From the message that the newest one names on, those that count. */
  async #walk(stream: StreamKey, subject: string, newest: Stored, deadline: number): Promise<Read> {
    let counts = newest.after ?? 0;
    let [stored, end] = [newest, newest.seq];
    for (let from = counts + 1; from <= newest.seq; from = end + 1) {
      const next = await this.jetstream.next(stream, subject, from, deadline);
      if (next === undefined) break;
      end = next.seq;
      if (next.after !== undefined && next.after !== counts) continue;
      counts = next.seq;
      stored = next;
    }
    if (counts === end) this.#settle(subject, counts);
    return { stored, spot: { seq: stored.seq, end } };
  }

  /** Whether no other message has taken the place of `before`. */
  async #first(stream: StreamKey, subject: string, before: Spot, seq: number, deadline: number): Promise<boolean> {
    for (let from = before.end + 1; ;) {
      const next = await this.jetstream.next(stream, subject, from, deadline);
      if (next?.seq === seq) return true;
      // So many have come since that it cannot be told any more.
      if (next === undefined || next.seq > seq) throw contended(this.jetstream.link.where, subject);
      if (next.after === undefined || next.after === before.seq) return false;
      from = next.seq + 1;
    }
  }

  #settle(subject: string, seq: number): void {
    if (this.#settled.size >= SETTLED) this.#settled.clear();
    this.#settled.set(subject, seq);
  }
}
