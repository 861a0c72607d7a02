/**
 * Where an append goes: the fence, the place in the stream, what the stream answers and the markers that come with it.
 *
 * What is usual (a stream begins, goes on, ends with the marker that it began with) is one statement that does it if all
 * is as it must be, and else nothing; whatever it did not do is judged step by step. The statement needs the row of the
 * session: it is remembered, and part of what must be so.
 */
import { bundlePlace } from './bundle-rows.ts';
import type { Ledger } from './ledger.ts';
import type { PendingAppend } from './pending-append.ts';
import { SQL } from './statements.ts';

/** Sessions whose rows are remembered; forgotten all at once when there are more. */
const REMEMBERED = 10_000;

export class Streams {
  readonly #ledger: Ledger;
  readonly #rows = new Map<string, number>();

  constructor(ledger: Ledger) {
    this.#ledger = ledger;
  }

  /** The row of the session; undefined: it is fenced, or the place is another's. */
  place(request: PendingAppend): number | undefined {
    if (request.from < 0) return undefined;
    return this.#placeAtOnce(request) ?? this.#placeInSteps(request);
  }

  /** Where no log is kept. */
  markOnly(request: PendingAppend): boolean {
    const session = this.#ledger.fenced(request.sessionId, request.fence);
    if (session !== undefined) this.#mark(session, request);
    return session !== undefined;
  }

  #placeAtOnce(request: PendingAppend): number | undefined {
    const { sessionId, fence, stream, from, events, complete, requests = null, mark, unmark } = request;
    const { database } = this.#ledger;
    const fenced = this.#ledger.fence(sessionId, fence);
    if (complete && from === 0) {
      const session = database.one<[number]>(SQL.newStream, [...fenced, stream, ...bundled(stream)])?.[0];
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
    const { changes } = database.change(SQL.openAtOnce, [
      ...place,
      next,
      requests,
      mark?.request ?? null,
      ...bundled(stream),
    ]);
    return changes === 1 ? session : undefined;
  }

  #placeInSteps(request: PendingAppend): number | undefined {
    const { sessionId, fence, stream, from, events, complete, requests = null } = request;
    const { database } = this.#ledger;
    const session = this.#ledger.fenced(sessionId, fence);
    if (session === undefined) return undefined;
    this.#remember(sessionId, session);
    const [next, kept, known] = database.one<StreamRow>(SQL.stream, [session, stream, ...bundled(stream)]) ?? [
      null,
      null,
      0,
    ];
    // A stream that is known and not open is complete: it takes no more.
    if (next === null ? known === 1 || from !== 0 : from !== next) return undefined;
    if (!complete) database.run(SQL.setStream, [session, stream, from + events.length, requests]);
    else if (next !== null) {
      database.run(SQL.completeStream, [session, stream]);
      if (kept !== null) this.#ledger.mark(session, { request: kept, stream });
    }
    this.#mark(session, request);
    return session;
  }

  #mark(session: number, { stream, mark, unmark }: PendingAppend): void {
    if (mark !== undefined) this.#ledger.mark(session, mark);
    if (unmark !== undefined) this.#ledger.unmark(session, { request: unmark, stream });
  }

  #remember(sessionId: string, session: number): void {
    if (this.#rows.size >= REMEMBERED) this.#rows.clear();
    this.#rows.set(sessionId, session);
  }
}

function bundled(stream: string): readonly [string, number] {
  const { name, number } = bundlePlace(stream);
  return [name, number];
}

/** `SQL.stream`. */
type StreamRow = readonly [next: number | null, mark: string | null, known: number];
