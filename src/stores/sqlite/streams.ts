/**
 * Accepts appends: it checks the fence and the offset, and stores the stream's length, its requests and the markers.
 *
 * The usual appends open a stream, extend it, or complete it with its first marker. Each is one statement that applies
 * only if everything matches. All other appends go step by step. The one statement needs the row number of the session,
 * which is remembered and checked by the statement.
 */
import { BoundedMap } from '../../bounded-map.ts';
import type { SqliteSessionTable } from './session-table.ts';
import type { PendingAppend } from './pending-append.ts';
import { SQL } from './statements.ts';

/** How many row numbers of sessions are remembered. All are forgotten when there are more. */
const MAX_ROWS = 10_000;

export class StreamTable {
  readonly #table: SqliteSessionTable;
  readonly #rows = new BoundedMap<string, number>(MAX_ROWS);

  constructor(table: SqliteSessionTable) {
    this.#table = table;
  }

  /** The row number of the session; undefined: the fence or the offset does not match. */
  accept(request: PendingAppend): number | undefined {
    if (request.from < 0) return undefined;
    return this.#acceptInOneStatement(request) ?? this.#acceptStepByStep(request);
  }

  /** For deployments that keep no log. */
  markOnly(request: PendingAppend): boolean {
    const session = this.#table.fenced(request.sessionId, request.fence);
    if (session !== undefined) this.#mark(session, request);
    return session !== undefined;
  }

  #acceptInOneStatement(request: PendingAppend): number | undefined {
    const { sessionId, fence, stream, from, events, complete, requests = null, mark, unmark } = request;
    const { database } = this.#table;
    const fenced = this.#table.fence(sessionId, fence);
    if (complete && from === 0) {
      const session = database.one<[number]>(SQL.newStream, [...fenced, stream])?.[0];
      if (session !== undefined) this.#mark(session, request);
      return session;
    }
    const session = this.#rows.get(sessionId);
    if (session === undefined) return undefined;
    const place = [session, ...fenced, stream];
    if (complete) {
      if (mark !== undefined) return undefined;
      const { changes } = database.change(SQL.completeAtOnce, [...place, from, unmark ?? null]);
      return changes === 1 ? session : undefined;
    }
    const next = from + events.length;
    if (from > 0) {
      if (database.change(SQL.growAtOnce, [...place, from, next, requests]).changes === 0) return undefined;
      this.#mark(session, request);
      return session;
    }
    if (unmark !== undefined || (mark !== undefined && mark.stream !== stream)) return undefined;
    const { changes } = database.change(SQL.openAtOnce, [...place, next, requests, mark?.request ?? null]);
    return changes === 1 ? session : undefined;
  }

  #acceptStepByStep(request: PendingAppend): number | undefined {
    const { sessionId, fence, stream, from, events, complete, requests = null } = request;
    const { database } = this.#table;
    const session = this.#table.fenced(sessionId, fence);
    if (session === undefined) return undefined;
    this.#remember(sessionId, session);
    const [next, kept, known] = database.one<StreamRow>(SQL.stream, [session, stream]) ?? [null, null, 0];
    // A known stream that is not open is complete and takes no more events.
    if (next === null ? known === 1 || from !== 0 : from !== next) return undefined;
    if (!complete) database.run(SQL.setStream, [session, stream, from + events.length, requests]);
    else if (next !== null) {
      database.run(SQL.completeStream, [session, stream]);
      if (kept !== null) this.#table.mark(session, { request: kept, stream });
    }
    this.#mark(session, request);
    return session;
  }

  #mark(session: number, { stream, mark, unmark }: PendingAppend): void {
    if (mark !== undefined) this.#table.mark(session, mark);
    if (unmark !== undefined) this.#table.unmark(session, { request: unmark, stream });
  }

  #remember(sessionId: string, session: number): void {
    this.#rows.set(sessionId, session);
  }
}

/** A row of `SQL.stream`. */
type StreamRow = readonly [next: number | null, mark: string | null, known: number];
