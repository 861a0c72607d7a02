/**
 * One value per subject: its newest message. Every write names the value that it replaces or continues.
 *
 * A stream on one server refuses a message that names another value than the last. A stream with replicas also refuses,
 * but not reliably: servers before 2.9.21 accept several messages that arrive at the same moment, and later ones may do
 * so when the leader changes. But messages always have one order. So in these streams a message counts only if it names
 * the last message before it that counts: of several, the first one wins. After a write, the writer checks that no
 * other message won. A reader checks that the newest message counts.
 */
import { BoundedMap } from '../../base/bounded-map.ts';
import { contended } from './failures.ts';
import type { JetStream, Stored } from './jetstream.ts';
import type { StreamKey } from './names.ts';
import type { Streams } from './jetstream-streams.ts';

/** The position of a value in its subject. */
export interface ValuePosition {
  /** The message that counts; 0 for none. */
  readonly seq: number;
  /** The newest message, even if it does not count. */
  readonly end: number;
}

export const NO_VALUE: ValuePosition = { seq: 0, end: 0 };

export interface Read {
  readonly stored: Stored;
  readonly position: ValuePosition;
}

/** How many subjects are remembered whose newest message is known to count. */
const SETTLED = 20_000;

export class KeyedValues {
  readonly jetstream: JetStream;
  readonly #streams: Streams;
  readonly #settled = new BoundedMap<string, number>(SETTLED);

  constructor(jetstream: JetStream, streams: Streams) {
    this.jetstream = jetstream;
    this.#streams = streams;
  }

  async read(stream: StreamKey, subject: string): Promise<Read | undefined> {
    const stored = await this.jetstream.last(stream, subject);
    if (stored === undefined) return undefined;
    const { seq, after } = stored;
    const counts = !this.#streams.replicated(stream) || after === undefined || this.#settled.get(subject) === seq;
    return counts ? { stored, position: { seq, end: seq } } : this.#walk(stream, subject, stored);
  }

  /** The position of the new value; `undefined`: the last value is not the one of `before`. */
  async write(
    stream: StreamKey,
    subject: string,
    body: Uint8Array,
    before: ValuePosition,
  ): Promise<ValuePosition | undefined> {
    const expected = { expect: before.end, after: before.seq };
    const seq = await this.jetstream.publish(subject, body, expected);
    if (seq === undefined) return undefined;
    if (!this.#streams.replicated(stream)) return { seq, end: seq };
    if (!(await this.#first(stream, subject, before, seq))) return undefined;
    this.#settled.set(subject, seq);
    return { seq, end: seq };
  }

  /** Removes the value that was read, but nothing newer. */
  async erase(stream: StreamKey, subject: string, { seq, end }: ValuePosition): Promise<void> {
    if (this.#streams.keepsOne(stream)) await this.jetstream.remove(stream, seq);
    else await this.jetstream.purge(stream, subject, end + 1);
  }

  /** Walks from the message that the newest one names to the last message that counts. */
  async #walk(stream: StreamKey, subject: string, newest: Stored): Promise<Read> {
    let counts = newest.after ?? 0;
    let [stored, end] = [newest, newest.seq];
    for (let from = counts + 1; from <= newest.seq; from = end + 1) {
      const next = await this.jetstream.next(stream, subject, from);
      if (next === undefined) break;
      end = next.seq;
      if (next.after !== undefined && next.after !== counts) continue;
      counts = next.seq;
      stored = next;
    }
    if (counts === end) this.#settled.set(subject, counts);
    return { stored, position: { seq: stored.seq, end } };
  }

  /** Whether this message is the first that replaces `before`. */
  async #first(stream: StreamKey, subject: string, before: ValuePosition, seq: number): Promise<boolean> {
    for (let from = before.end + 1; ;) {
      const next = await this.jetstream.next(stream, subject, from);
      if (next?.seq === seq) return true;
      // There are too many newer messages to decide.
      if (next === undefined || next.seq > seq) throw contended(this.jetstream.link.where, subject);
      if (next.after === undefined || next.after === before.seq) return false;
      from = next.seq + 1;
    }
  }
}
