/** The event log in the file. An append looks at the fence and at the stream in one statement, then adds its row. */
import { afterTurn } from '../../system.ts';
import type { EventRetention } from '../../types.ts';
import type { AppendRequest, Await, EventStore, OpenStreamInfo, ReplayOutcome, WriteOutcome } from '../store.ts';
import { eventRows, keptEvents, type NewRow, type ReplayRow } from './event-rows.ts';
import type { Ledger } from './ledger.ts';
import { SQL } from './statements.ts';
import type { StoreFile } from './store-file.ts';

/**
 * One append of so many looks whether its session holds more than it keeps: that walks the session's log, so its cost is
 * spread over as many appends. Until then the file holds some more than is kept.
 */
const TRIM_EVERY = 64;
/** A row of this part of the bytes that are kept looks at once. */
const LARGE_PART = 16;
/** Rows deleted in one transaction by the sweep: about a millisecond. */
const TRIM_BATCH = 256;

export class SqliteEvents implements EventStore {
  readonly #file: StoreFile;
  readonly #ledger: Ledger;
  readonly #retention: EventRetention | false;

  constructor(file: StoreFile, ledger: Ledger, retention: EventRetention | false) {
    this.#file = file;
    this.#ledger = ledger;
    this.#retention = retention;
  }

  append(request: AppendRequest): Promise<WriteOutcome> {
    const rows = this.#retention === false ? [] : eventRows(request.from, request.events);
    return this.#file.write(() => (this.#append(request, rows) ? 'written' : 'fenced'));
  }

  replay(sessionId: string, stream: string, after: number): Await<ReplayOutcome> {
    const { database } = this.#ledger;
    return this.#file.read(() => database.snapshot(() => this.#replay(sessionId, stream, after)));
  }

  open(sessionId: string): Await<readonly OpenStreamInfo[]> {
    const { database, deployment, clock } = this.#ledger;
    return this.#file.read(() =>
      database
        .all<[string, number, string | null]>(SQL.openStreams, [deployment, sessionId, clock.wall()])
        .map(([stream, next, requests]) => ({ stream, next, requests })),
    );
  }

  /** Of all deployments of the file; what others write meanwhile goes between the batches. */
  async trim(): Promise<void> {
    for (const statement of [SQL.trimEvents, SQL.trimEnded]) {
      while ((await this.#file.write(() => this.#trimBatch(statement))) === TRIM_BATCH) {
        await new Promise<void>((next) => afterTurn(next));
      }
    }
  }

  #trimBatch(statement: string): number {
    return this.#ledger.database.run(statement, [this.#ledger.clock.wall(), TRIM_BATCH]).changes;
  }

  #append(request: AppendRequest, rows: readonly NewRow[]): boolean {
    const { sessionId, fence, stream, from, events, complete = false } = request;
    const { database, deployment, clock } = this.#ledger;
    const retention = this.#retention;
    const now = clock.wall();
    const values = [deployment, sessionId, fence.epoch, fence.owner, now, stream];
    const found = database.one<[session: number, openNext: number | null, known: number]>(SQL.appendable, values);
    if (found === undefined) return false;
    const [session, openNext, known] = found;
    if (retention !== false) {
      // A stream that is known and not open is complete: it takes no more.
      if (openNext === null ? known === 1 || from !== 0 : from !== openNext) return false;
      for (const row of rows) this.#add(session, stream, row, retention, now);
      if (!complete) database.run(SQL.growStream, [session, stream, from + events.length, request.requests ?? null]);
      else if (openNext !== null) database.run(SQL.completeStream, [session, stream]);
    }
    if (request.mark !== undefined) this.#ledger.mark(session, request.mark);
    if (request.unmark !== undefined) this.#ledger.unmark(session, { request: request.unmark, stream });
    return true;
  }

  #add(session: number, stream: string, row: NewRow, retention: EventRetention, now: number): void {
    const { database } = this.#ledger;
    const { position, n, bytes, data } = row;
    const dropAt = now + retention.ttlMs;
    const { lastInsertRowid } = database.run(SQL.addEvents, [session, stream, position, n, bytes, dropAt, data]);
    if (bytes * LARGE_PART < retention.bytes && !isChosen(lastInsertRowid)) return;
    database.run(SQL.trimSession, [session, retention.events, retention.bytes]);
  }

  #replay(sessionId: string, stream: string, after: number): ReplayOutcome {
    const { database, deployment, clock } = this.#ledger;
    const retention = this.#retention;
    const now = clock.wall();
    const values = [deployment, sessionId, now, stream];
    const found = database.one<[session: number, next: number | null]>(SQL.streamOf, values);
    if (found === undefined || retention === false) return { found: false, why: 'unknown' };
    const [session, openNext] = found;
    const rows = database.all<ReplayRow>(SQL.replay, [session, stream]);
    const kept = keptEvents(rows, retention, now);
    const first = kept[0]?.offset;
    if (first === undefined && openNext === null) return { found: false, why: 'unknown' };
    const next = openNext ?? (kept.at(-1)?.offset ?? 0) + 1;
    if ((first ?? next) > after + 1) return { found: false, why: 'gap' };
    const events = kept.filter(({ offset }) => offset > after);
    return { found: true, events, next, complete: openNext === null };
  }
}

/** One of `TRIM_EVERY`, spread so that no session of several that write in turns is passed over for ever. */
const isChosen = (no: number): boolean => Math.imul(no, 0x9e3779b1) >>> 0 < 2 ** 32 / TRIM_EVERY;
