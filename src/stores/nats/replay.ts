/**
 * Replays a stream. The log of a record is read from its end, because retention counts from there: an event is kept if
 * it and all later events fit the limits. Every message names earlier ones, so one step reads several at once. The walk
 * stops as soon as it has all events that the caller needs.
 */
import type { EventRetention } from '../../types.ts';
import { replayOutcome, type StoredAppend } from '../shared/replay-outcome.ts';
import type { ReplayOutcome } from '../store.ts';
import type { StoredLogMessage } from './log-message.ts';
import type { LogTail, NatsReader } from './reader.ts';

/** How many messages the first step and the later steps read. Most clients that resume have missed little. */
const FEW = 3;
const MANY = 16;

export interface ReplayRequest {
  readonly id: string;
  readonly birth: string;
  readonly stream: string;
  readonly after: number;
  readonly now: number;
}

export class Replayer {
  readonly #reader: Pick<NatsReader, 'message'>;
  readonly #retention: EventRetention;

  constructor(reader: Pick<NatsReader, 'message'>, retention: EventRetention) {
    this.#reader = reader;
    this.#retention = retention;
  }

  async replay(request: ReplayRequest, log: LogTail, newest: StoredLogMessage | undefined): Promise<ReplayOutcome> {
    const { stream, after } = request;
    const openNext = log.state.nextOf(stream);
    if (openNext === undefined && !log.state.isDone(stream)) return { found: false, why: 'unknown' };
    const walk = new Walk(request, this.#retention);
    if (openNext === undefined || after + 1 < openNext) {
      for await (const message of this.#messages(request, newest)) if (!walk.take(message)) break;
    }
    const [last] = walk.appends;
    // The server has lost the end of the log, so there is a gap after these appends.
    const lost = openNext !== undefined && last !== undefined && last.from + last.events.length < openNext;
    return replayOutcome(lost ? [] : walk.appends, this.#retention, openNext, after);
  }

  /** The messages of the log, newest first, down to the first that is missing: it was dropped, with all before it. */
  async *#messages({ id }: ReplayRequest, newest: StoredLogMessage | undefined): AsyncGenerator<StoredLogMessage> {
    let messages: readonly (StoredLogMessage | undefined)[] = [newest];
    for (let atOnce = FEW; messages.length > 0; atOnce = MANY) {
      let oldest: StoredLogMessage | undefined;
      for (const message of messages) {
        if (message === undefined) return;
        yield message;
        oldest = message;
      }
      const before = oldest?.previous.slice(0, atOnce) ?? [];
      messages = await Promise.all(before.map((seq) => this.#reader.message(id, seq)));
    }
  }
}

/** Collects the appends to one stream, newest first, and counts all that the log has after them. */
class Walk {
  readonly appends: StoredAppend[] = [];
  readonly #request: ReplayRequest;
  readonly #retention: EventRetention;
  #later = 0;
  #laterBytes = 0;

  constructor(request: ReplayRequest, retention: EventRetention) {
    this.#request = request;
    this.#retention = retention;
  }

  /** `false`: no older event is kept or needed. */
  take(message: StoredLogMessage): boolean {
    const { birth, stream, after, now } = this.#request;
    const { events: most, bytes: mostBytes, ttlMs } = this.#retention;
    if (message.birth !== birth || message.at + ttlMs <= now) return false;
    let end = message.data.length;
    for (const { s, f: from = 0, l: lengths = [] } of [...message.ops].reverse()) {
      const bytes = lengths.reduce((sum, length) => sum + length, 0);
      end -= bytes;
      if (s === stream) {
        let at = end;
        const events = lengths.map((length) => message.data.toString('utf8', at, (at += length)));
        this.appends.push({ from, young: true, later: this.#later, laterBytes: this.#laterBytes, events });
        if (events.length > 0 && from <= after + 1) return false;
      }
      this.#later += lengths.length;
      this.#laterBytes += bytes;
      if (this.#later >= most || this.#laterBytes >= mostBytes) return false;
    }
    return true;
  }
}
