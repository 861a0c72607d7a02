/** The event log: appends go into the session's line of work, everything else is read from its end. */
import type { EventRetention } from '../../types.ts';
import type { AppendRequest, EventStore, OpenStreamInfo, ReplayOutcome, WriteOutcome } from '../store.ts';
import type { Bounds } from './bounds.ts';
import type { ServerClock } from './clock.ts';
import type { Ledger } from './ledger.ts';
import type { Lines } from './lines.ts';
import type { LogOp } from './log-state.ts';
import type { LogKeeper } from './log-keeper.ts';
import type { Reader } from './reader.ts';
import { Replayer } from './replay.ts';

const UNKNOWN: ReplayOutcome = { found: false, why: 'unknown' };

export interface EventsOptions {
  readonly ledger: Ledger;
  readonly lines: Lines;
  readonly reader: Reader;
  readonly clock: ServerClock;
  readonly bounds: Bounds;
  readonly keeper: LogKeeper;
  readonly retention: EventRetention | false;
}

export class NatsEvents implements EventStore {
  readonly #options: EventsOptions;
  readonly #replayer: Replayer | undefined;

  constructor(options: EventsOptions) {
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
    const { lines } = this.#options;
    // Where no events are kept, markers are.
    if (this.#replayer === undefined) return lines.log(sessionId, { ...fence }, marks, []);
    const events = request.events.map((data) => Buffer.from(data));
    const op: LogOp = {
      s: stream,
      f: from,
      l: events.map(({ length }) => length),
      ...(complete === true && { c: true }),
      ...(requests !== undefined && complete !== true && { r: requests }),
      ...marks,
    };
    return lines.log(sessionId, { ...fence }, op, events);
  }

  async replay(sessionId: string, stream: string, after: number): Promise<ReplayOutcome> {
    const { ledger, reader, clock, bounds } = this.#options;
    if (this.#replayer === undefined) return UNKNOWN;
    const deadline = bounds.deadline();
    const [standing, end] = await Promise.all([ledger.look(sessionId, deadline), reader.end(sessionId, deadline)]);
    if (standing.is !== 'living') return UNKNOWN;
    const { value } = standing.held;
    const [log, now] = await Promise.all([reader.tail(sessionId, value, end, deadline), clock.now(deadline)]);
    const request = { id: sessionId, birth: value.birth, stream, after, now, deadline };
    return this.#replayer.replay(request, log, end?.message);
  }

  async open(sessionId: string): Promise<readonly OpenStreamInfo[]> {
    const { ledger, reader, bounds } = this.#options;
    const deadline = bounds.deadline();
    const [standing, end] = await Promise.all([ledger.look(sessionId, deadline), reader.end(sessionId, deadline)]);
    if (standing.is !== 'living') return [];
    return (await reader.tail(sessionId, standing.held.value, end, deadline)).state.openStreams;
  }

  trim(): Promise<void> {
    return this.#options.keeper.keep();
  }
}
