/**
 * The event log. An append is part of a script call that checks the fence and the position in the stream, then adds an
 * element to the record's log. The appends of one record in one turn are one call (`append-batches.ts`). The keys of
 * old logs, and those of records that are not listed, expire by themselves.
 */
import type { EventRetention } from '../../types.ts';
import type { AppendRequest, Mark, ReplayOutcome, WriteOutcome } from '../store.ts';
import type { RecordWriter } from './record-writer.ts';
import { isListed, packEvents, unpackEvents } from '../shared/packed-events.ts';
import { replayOutcome, type StoredAppend } from '../shared/replay-outcome.ts';
import { markField } from './record-values.ts';
import { MARK, REPLAY } from './log-scripts.ts';

export class RedisLog {
  readonly #writer: RecordWriter;
  readonly #retention: EventRetention | false;

  constructor(writer: RecordWriter) {
    this.#writer = writer;
    this.#retention = writer.kind.log;
  }

  append(request: AppendRequest): Promise<WriteOutcome> {
    const { id, fence, stream, from = 0, events = [], complete, note = '' } = request;
    const [mark, unmark] = [fieldOf(request.mark), fieldOf(request.unmark)];
    if (stream === null || this.#retention === false) {
      const [head, , , open] = this.#writer.keys.record(id);
      return this.#writer.fenced(MARK, id, [head, open], fence, [mark, unmark], this.#writer.outcome);
    }
    const text = packEvents(events);
    // Empty: the length of the text without its separators.
    const bytes = isListed(text) ? String(events.reduce((sum, data) => sum + Buffer.byteLength(data), 0)) : '';
    const more = note !== '' || mark !== '' || unmark !== '' || bytes !== '';
    const args = [stream, `${from} ${events.length} ${complete === true ? 1 : 0}${more ? 1 : 0}`, text];
    if (more) args.push(note, mark, unmark, bytes);
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
    return replayOutcome(storedAppends(elements, Number(now) - retention.ttlMs), retention, openNext, after);
  }
}

type ReplayReply = readonly [now: string, length: string | null, ...elements: string[]];

/** Values per element in the answer of `REPLAY`. */
const MEMBERS = 6;

/** The elements in the answer of `REPLAY`, newest first. */
function* storedAppends(flat: readonly string[], oldest: number): Iterable<StoredAppend> {
  for (let n = 0; n < flat.length; n += MEMBERS) {
    const [from = 0, count = 0, at = 0, later = 0, laterBytes = 0] = flat.slice(n, n + MEMBERS - 1).map(Number);
    const events = unpackEvents(flat[n + MEMBERS - 1] ?? '', count);
    yield { from, young: at > oldest, later, laterBytes, events };
  }
}

const fieldOf = (mark: Mark | undefined): string => (mark === undefined ? '' : markField(mark));
