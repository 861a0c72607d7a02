/**
 * The event log. An append is part of a script call that checks the fence and the position in the stream, then adds an
 * element to the record's log. The appends of one record in one turn are one call (`append-batches.ts`). The keys of
 * old logs, and those of records that are not listed, expire by themselves.
 */
import type { EventRetention } from '../../types.ts';
import type { AppendRequest, Mark, ReplayOutcome, WriteOutcome } from '../store.ts';
import type { RecordWriter } from './record-writer.ts';
import { replayOutcome } from '../shared/replay-outcome.ts';
import { pack, storedAppends } from './log-elements.ts';
import { markField } from './record-values.ts';
import { REPLAY } from './record-scripts.ts';

export class RedisLog {
  readonly #writer: RecordWriter;
  readonly #retention: EventRetention | false;

  constructor(writer: RecordWriter) {
    this.#writer = writer;
    this.#retention = writer.kind.log;
  }

  append(request: AppendRequest): Promise<WriteOutcome> {
    const { id, fence, stream, from, events, complete, note = '', mark, unmark } = request;
    const { text, bytes } = pack(events);
    const more = note !== '' || mark !== undefined || unmark !== undefined || bytes !== '';
    const args = [stream, `${from} ${events.length} ${complete === true ? 1 : 0}${more ? 1 : 0}`, text];
    if (more) {
      const [written, removed] = [mark, unmark === undefined ? undefined : { name: unmark, stream }].map(fieldOf);
      args.push(note, written ?? '', removed ?? '', bytes);
    }
    return this.#writer.append(id, fence, args, text.length + note.length);
  }

  async replay(id: string, stream: string, after: number): Promise<ReplayOutcome> {
    const retention = this.#retention;
    if (retention === false) return { found: false, why: 'unknown' };
    const [head, , , open, , log] = this.#writer.keys.record(id);
    const args = [...this.#writer.kept, stream, String(after)];
    const reply = (await this.#writer.run(REPLAY, [head, open, log], args)) as ReplayReply | null;
    if (reply === null) return { found: false, why: 'unknown' };
    const [now, length, ...elements] = reply;
    const openNext = length === null ? undefined : Number(length);
    const appends = storedAppends(elements, retention.ttlMs, Number(now));
    return replayOutcome(appends, retention, openNext, after);
  }
}

type ReplayReply = readonly [now: string, length: string | null, ...elements: string[]];

const fieldOf = (mark: Mark | undefined): string | undefined => mark && markField(mark);
