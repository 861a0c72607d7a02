/** The event log in this process. Every call appends, so `append` answers at once and makes no promise. */
import type { AppendRequest, EventStore, OpenStreamInfo, ReplayOutcome, WriteOutcome } from '../store.ts';
import type { MemorySessionTable } from './session-table.ts';
import type { RetainedLogs } from './retained-logs.ts';
import { SessionLog } from './session-log.ts';

export class MemoryEvents implements EventStore {
  readonly #table: MemorySessionTable;
  /** Undefined: this deployment keeps no events. */
  readonly #logs: RetainedLogs | undefined;

  constructor(table: MemorySessionTable, logs: RetainedLogs | undefined) {
    this.#table = table;
    this.#logs = logs;
  }

  append(request: AppendRequest): WriteOutcome {
    const { sessionId, fence, stream, from, events, complete = false } = request;
    const now = this.#table.now();
    const session = this.#table.writable(sessionId, fence, now);
    if (session === undefined) return 'fenced';
    const logs = this.#logs;
    if (logs === undefined) return 'written';
    const log = session.log ?? new SessionLog(session, logs);
    if (!log.append(stream, from, events, complete, now)) return 'fenced';
    if (request.requests !== undefined && !complete) log.describe(stream, request.requests);
    if (request.mark !== undefined) session.mark(request.mark);
    if (request.unmark !== undefined) session.unmark({ request: request.unmark, stream });
    logs.wrote(log, now);
    return 'written';
  }

  replay(sessionId: string, stream: string, after: number): ReplayOutcome {
    const log = this.#log(sessionId);
    if (log === undefined) return { found: false, why: 'unknown' };
    this.#logs?.retain(log, this.#table.now());
    return log.replay(stream, after);
  }

  open(sessionId: string): readonly OpenStreamInfo[] {
    return this.#log(sessionId)?.open() ?? [];
  }

  trim(): void {
    this.#logs?.trim(this.#table.now());
  }

  forget(sessionId: string, stream: string): void {
    this.#log(sessionId)?.forget(stream);
  }

  #log(sessionId: string): SessionLog | undefined {
    return this.#table.living(sessionId)?.log;
  }
}
