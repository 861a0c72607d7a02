/**
 * The event log. An append is part of a script call that checks the fence and the position in the stream, then adds an
 * element to the session's log. The appends of one session in one turn are one call (`append-batches.ts`).
 */
import type { EventRetention } from '../../types.ts';
import type { AppendRequest, EventStore, Marker, OpenStreamInfo, ReplayOutcome, WriteOutcome } from '../store.ts';
import type { SessionWriter } from './session-writer.ts';
import { replayOutcome } from '../shared/replay-outcome.ts';
import { pack, storedAppends } from './log-elements.ts';
import { fieldsOf, markerField } from './records.ts';
import { OPEN_STREAMS, REPLAY } from './session-scripts.ts';

export class RedisEvents implements EventStore {
  readonly #writer: SessionWriter;
  readonly #retention: EventRetention | false;

  constructor(writer: SessionWriter) {
    this.#writer = writer;
    this.#retention = writer.retention;
  }

  append(request: AppendRequest): Promise<WriteOutcome> {
    const { sessionId, fence, stream, from, events, complete, requests = '', mark, unmark } = request;
    const { text, bytes } = pack(events);
    const more = requests !== '' || mark !== undefined || unmark !== undefined || bytes !== '';
    const args = [stream, `${from} ${events.length} ${complete === true ? 1 : 0}${more ? 1 : 0}`, text];
    if (more) {
      const [written, removed] = [mark, unmark === undefined ? undefined : { request: unmark, stream }].map(fieldOf);
      args.push(requests, written ?? '', removed ?? '', bytes);
    }
    return this.#writer.append(sessionId, fence, args, text.length + requests.length);
  }

  async replay(sessionId: string, stream: string, after: number): Promise<ReplayOutcome> {
    const retention = this.#retention;
    if (retention === false) return { found: false, why: 'unknown' };
    const [head, , , open, , log] = this.#writer.keys.session(sessionId);
    const args = [...this.#writer.kept, stream, String(after)];
    const reply = (await this.#writer.run(REPLAY, [head, open, log], args)) as ReplayReply | null;
    if (reply === null) return { found: false, why: 'unknown' };
    const [now, length, ...elements] = reply;
    const openNext = length === null ? undefined : Number(length);
    const appends = storedAppends(elements, retention.ttlMs, Number(now));
    return replayOutcome(appends, retention, openNext, after);
  }

  async open(sessionId: string): Promise<readonly OpenStreamInfo[]> {
    const [head, , , open] = this.#writer.keys.session(sessionId);
    const reply = await this.#writer.run(OPEN_STREAMS, [head, open], []);
    const streams: OpenStreamInfo[] = [];
    for (const [field, value] of fieldsOf(reply)) {
      if (!field.startsWith('s')) continue;
      const end = value.indexOf('\n');
      const [next, requests] = end === -1 ? [value, null] : [value.slice(0, end), value.slice(end + 1)];
      streams.push({ stream: field.slice(1), next: Number(next), requests });
    }
    return streams;
  }

  /** Keys of old logs expire by themselves. */
  trim(): void {}
}

type ReplayReply = readonly [now: string, length: string | null, ...elements: string[]];

const fieldOf = (marker: Marker | undefined): string | undefined => marker && markerField(marker);
