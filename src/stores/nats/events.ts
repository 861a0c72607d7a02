/** The event log. Appends go through the session's write queue; everything else is read from the end of the log. */
import type { EventRetention } from '../../types.ts';
import type { AppendRequest, EventStore, OpenStreamInfo, ReplayOutcome, WriteOutcome } from '../store.ts';
import type { NatsDeadlines } from './deadlines.ts';
import type { ServerClock } from './clock.ts';
import type { NatsSessionTable } from './session-table.ts';
import type { WriteQueues } from './write-queues.ts';
import type { LogOp } from './log-state.ts';
import type { LogRefresher } from './log-refresher.ts';
import type { NatsReader } from './reader.ts';
import { Replayer } from './replay.ts';

const UNKNOWN: ReplayOutcome = { found: false, why: 'unknown' };

export interface NatsEventsOptions {
  readonly table: NatsSessionTable;
  readonly queues: WriteQueues;
  readonly reader: NatsReader;
  readonly clock: ServerClock;
  readonly deadlines: NatsDeadlines;
  readonly refresher: LogRefresher;
  readonly retention: EventRetention | false;
}

export class NatsEvents implements EventStore {
  readonly #options: NatsEventsOptions;
  readonly #replayer: Replayer | undefined;

  constructor(options: NatsEventsOptions) {
    const { reader, retention } = options;
    this.#options = options;
    this.#replayer = retention === false ? undefined : new Replayer(reader, retention);
  }

  append(request: AppendRequest): Promise<WriteOutcome> {
    const { sessionId, fence, stream, from, requests, complete, mark, unmark } = request;
    const marks: LogOp = {
      ...(mark !== undefined && { m: [mark.request, mark.stream] }),
      ...(unmark !== undefined && { u: [unmark, stream] }),
    };
    const { queues } = this.#options;
    // Markers are kept even if events are not.
    if (this.#replayer === undefined) return queues.log(sessionId, { ...fence }, marks, []);
    const events = request.events.map((data) => Buffer.from(data));
    const op: LogOp = {
      s: stream,
      f: from,
      l: events.map(({ length }) => length),
      ...(complete === true && { c: true }),
      ...(requests !== undefined && complete !== true && { r: requests }),
      ...marks,
    };
    return queues.log(sessionId, { ...fence }, op, events);
  }

  async replay(sessionId: string, stream: string, after: number): Promise<ReplayOutcome> {
    const { table, reader, clock, deadlines } = this.#options;
    if (this.#replayer === undefined) return UNKNOWN;
    const deadline = deadlines.deadline();
    const [status, end] = await Promise.all([table.look(sessionId, deadline), reader.end(sessionId, deadline)]);
    if (status.is !== 'living') return UNKNOWN;
    const { value } = status.held;
    const [log, now] = await Promise.all([reader.tail(sessionId, value, end, deadline), clock.now(deadline)]);
    const request = { id: sessionId, birth: value.birth, stream, after, now, deadline };
    return this.#replayer.replay(request, log, end?.message);
  }

  async open(sessionId: string): Promise<readonly OpenStreamInfo[]> {
    const { table, reader, deadlines } = this.#options;
    const deadline = deadlines.deadline();
    const [status, end] = await Promise.all([table.look(sessionId, deadline), reader.end(sessionId, deadline)]);
    if (status.is !== 'living') return [];
    return (await reader.tail(sessionId, status.held.value, end, deadline)).state.openStreams;
  }

  trim(): Promise<void> {
    return this.#options.refresher.keep();
  }
}
