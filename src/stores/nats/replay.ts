/**
 * Replays a stream. The log of a record is read from its end, because retention counts from there: an event is kept if
 * it and all later events fit the limits. Every message names earlier ones, so one step reads several at once. The walk
 * stops as soon as it has all events that the caller needs.
 */
import type { EventRetention } from '../../types.ts';
import type { LoggedEvent, ReplayOutcome } from '../store.ts';
import type { LogMessage } from './log-message.ts';
import type { LogTail, NatsReader } from './reader.ts';

/** How many messages the first step and the later steps read. Most clients that resume have missed little. */
const FEW = 3;
const MANY = 16;

interface Kept {
  readonly offset: number;
  readonly data: Buffer;
}

export interface ReplayRequest {
  readonly id: string;
  readonly birth: string;
  readonly stream: string;
  readonly after: number;
  readonly now: number;
  readonly deadline: number;
}

/** The kept events of one stream, newest first. */
class Walk {
  readonly #request: ReplayRequest;
  readonly #retention: EventRetention;
  readonly kept: Kept[] = [];
  /** The end of the stream, according to its own messages. */
  next: number | undefined = undefined;
  /** The number of events after the next one. An event of any size is kept until retention's `bytes` came after it. */
  #events = 0;
  #bytes = 0;

  constructor(request: ReplayRequest, retention: EventRetention) {
    this.#request = request;
    this.#retention = retention;
  }

  /** `false`: no older event is kept or needed. */
  take(message: LogMessage): boolean {
    const { birth, stream, after, now } = this.#request;
    if (message.birth !== birth || message.at + this.#retention.ttlMs <= now) return false;
    let end = message.data.length;
    for (const { s, f = 0, l: lengths = [] } of [...message.ops].reverse()) {
      if (s === stream) this.next ??= f + lengths.length;
      for (let n = lengths.length - 1; n >= 0; n--) {
        const length = lengths[n] ?? 0;
        if (this.#events >= this.#retention.events || this.#bytes >= this.#retention.bytes) return false;
        this.#events += 1;
        this.#bytes += length;
        end -= length;
        if (s !== stream) continue;
        this.kept.push({ offset: f + n, data: message.data.subarray(end, end + length) });
        if (f + n <= after + 1) return false;
      }
    }
    return true;
  }
}

export class Replayer {
  readonly #reader: NatsReader;
  readonly #retention: EventRetention;

  constructor(reader: NatsReader, retention: EventRetention) {
    this.#reader = reader;
    this.#retention = retention;
  }

  async replay(request: ReplayRequest, log: LogTail, newest: LogMessage | undefined): Promise<ReplayOutcome> {
    const { stream, after } = request;
    const openNext = log.state.nextOf(stream);
    if (openNext === undefined && !log.state.isDone(stream)) return { found: false, why: 'unknown' };
    const walk = new Walk(request, this.#retention);
    if (openNext === undefined || after + 1 < openNext) await this.#walk(request, walk, newest);
    if (openNext === undefined && walk.kept.length === 0) return { found: false, why: 'unknown' };
    const next = openNext ?? walk.next ?? 0;
    const events: LoggedEvent[] = walk.kept
      .filter(({ offset }) => offset > after)
      .reverse()
      .map(({ offset, data }) => ({ offset, data: data.toString() }));
    // Messages that the server lost also leave a gap.
    let first = next;
    for (const { offset } of events.toReversed()) {
      if (offset !== first - 1) break;
      first = offset;
    }
    if (first > after + 1) return { found: false, why: 'gap', first };
    return { found: true, events, next, complete: openNext === undefined };
  }

  async #walk({ id, deadline }: ReplayRequest, walk: Walk, newest: LogMessage | undefined): Promise<void> {
    let messages: readonly (LogMessage | undefined)[] = [newest];
    for (let atOnce = FEW; ; atOnce = MANY) {
      let oldest: LogMessage | undefined;
      for (const message of messages) {
        // A missing message was dropped, with all messages before it.
        if (message === undefined || !walk.take(message)) return;
        oldest = message;
      }
      const before = oldest?.previous.slice(0, atOnce) ?? [];
      if (before.length === 0) return;
      messages = await Promise.all(before.map((seq) => this.#reader.message(id, seq, deadline)));
    }
  }
}
