/** The event log in this process. `append` is on the way of every call: no promise, nothing to wait for. */
import type { AppendRequest, EventStore, OpenStreamInfo, ReplayOutcome, WriteOutcome } from '../store.ts';
import type { Ledger } from './ledger.ts';
import type { Logbook } from './logbook.ts';
import { SessionLog } from './session-log.ts';

export class MemoryEvents implements EventStore {
  readonly #ledger: Ledger;
  /** Undefined: nothing is kept. */
  readonly #logbook: Logbook | undefined;

  constructor(ledger: Ledger, logbook: Logbook | undefined) {
    this.#ledger = ledger;
    this.#logbook = logbook;
  }

  append(request: AppendRequest): WriteOutcome {
    const { sessionId, fence, stream, from, events, complete = false } = request;
    const now = this.#ledger.now();
    const session = this.#ledger.writable(sessionId, fence, now);
    if (session === undefined) return 'fenced';
    const logbook = this.#logbook;
    if (logbook === undefined) return 'written';
    const log = session.log ?? new SessionLog(session, logbook);
    if (!log.append(stream, from, events, complete, now)) return 'fenced';
    if (request.requests !== undefined && !complete) log.describe(stream, request.requests);
    if (request.mark !== undefined) session.mark(request.mark);
    if (request.unmark !== undefined) session.unmark({ request: request.unmark, stream });
    logbook.wrote(log, now);
    return 'written';
  }

  replay(sessionId: string, stream: string, after: number): ReplayOutcome {
    const log = this.#log(sessionId);
    if (log === undefined) return { found: false, why: 'unknown' };
    this.#logbook?.retain(log, this.#ledger.now());
    return log.replay(stream, after);
  }

  open(sessionId: string): readonly OpenStreamInfo[] {
    return this.#log(sessionId)?.open() ?? [];
  }

  trim(): void {
    this.#logbook?.trim(this.#ledger.now());
  }

  #log(sessionId: string): SessionLog | undefined {
    return this.#ledger.living(sessionId)?.log;
  }
}
