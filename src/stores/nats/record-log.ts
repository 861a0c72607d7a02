/** The event log. Appends go through the record's write queue; everything else is read from the end of the log. */
import type { AppendRequest, ReplayOutcome, WriteOutcome } from '../store.ts';
import type { NatsKind } from './kind.ts';
import type { NatsRecordTable } from './record-table.ts';
import type { WriteQueues } from './write-queues.ts';
import type { LogOp } from './log-state.ts';
import type { NatsReader } from './reader.ts';
import { Replayer } from './replay.ts';

const UNKNOWN: ReplayOutcome = { found: false, why: 'unknown' };

export interface NatsLogOptions extends NatsKind {
  readonly table: NatsRecordTable;
  readonly queues: WriteQueues;
  readonly reader: NatsReader;
}

export class NatsLog {
  readonly #options: NatsLogOptions;
  readonly #replayer: Replayer | undefined;

  constructor(options: NatsLogOptions) {
    const { reader, kind } = options;
    this.#options = options;
    this.#replayer = kind.log === false ? undefined : new Replayer(reader, kind.log);
  }

  append(request: AppendRequest): Promise<WriteOutcome> {
    const { id, fence, stream, from = 0, note, complete, mark, unmark } = request;
    const marks: LogOp = {
      ...(mark !== undefined && { m: [mark.name, mark.stream] }),
      ...(unmark !== undefined && { u: [unmark.name, unmark.stream] }),
    };
    const { queues } = this.#options;
    // Markers are kept even if events are not.
    if (this.#replayer === undefined || stream === null) return queues.log(id, { ...fence }, marks, []);
    const events = (request.events ?? []).map((data) => Buffer.from(data));
    const op: LogOp = {
      s: stream,
      f: from,
      l: events.map(({ length }) => length),
      ...(complete === true && { c: true }),
      ...(note !== undefined && complete !== true && { r: note }),
      ...marks,
    };
    return queues.log(id, { ...fence }, op, events);
  }

  async replay(id: string, stream: string, after: number): Promise<ReplayOutcome> {
    if (this.#replayer === undefined) return UNKNOWN;
    const { where, deadlines } = this.#options;
    return deadlines.answered(where, this.#replay(this.#replayer, id, stream, after));
  }

  async #replay(replayer: Replayer, id: string, stream: string, after: number): Promise<ReplayOutcome> {
    const { table, reader, clock } = this.#options;
    const [status, end] = await Promise.all([table.look(id), reader.end(id)]);
    if (status.is !== 'living') return UNKNOWN;
    const { value } = status.held;
    const [log, now] = await Promise.all([reader.tail(id, value, end), clock.now()]);
    const request = { id, birth: value.birth, stream, after, now };
    return replayer.replay(request, log, end?.message);
  }
}
