/**
 * Accepts appends: it checks the fence and the offset, and stores the stream's length, its note and the marks.
 *
 * The usual appends open a stream, extend it, or complete it with its first mark. Each is one statement that applies
 * only if everything matches. All other appends go step by step. The one statement needs the row number of the record,
 * which is remembered and checked by the statement.
 */
import { BoundedMap } from '../../base/bounded-map.ts';
import type { SqliteRecordTable } from './record-table.ts';
import type { JoinedAppend } from '../shared/joined-append.ts';
import { SQL } from './statements.ts';

/** How many row numbers of records are remembered. */
const MAX_ROWS = 10_000;

export class StreamTable {
  readonly #table: SqliteRecordTable;
  readonly #rows = new BoundedMap<string, number>(MAX_ROWS);

  constructor(table: SqliteRecordTable) {
    this.#table = table;
  }

  /** The row number of the record; undefined: the fence or the offset does not match. */
  accept(request: JoinedAppend, stream: string): number | undefined {
    if (request.from < 0) return undefined;
    return this.#acceptInOneStatement(request, stream) ?? this.#acceptStepByStep(request, stream);
  }

  /** Marks alone. */
  markOnly(request: JoinedAppend): boolean {
    const record = this.#table.fenced(request.id, request.fence);
    if (record !== undefined) this.#mark(record, request);
    return record !== undefined;
  }

  #acceptInOneStatement(request: JoinedAppend, stream: string): number | undefined {
    const { id, fence, from, events, complete, note = null, mark, unmark } = request;
    const { database } = this.#table;
    const fenced = this.#table.fence(id, fence);
    if (complete && from === 0) {
      const record = database.one<[number]>(SQL.newStream, [...fenced, stream])?.[0];
      if (record !== undefined) this.#mark(record, request);
      return record;
    }
    const record = this.#rows.get(id);
    if (record === undefined) return undefined;
    const place = [record, ...fenced, stream];
    if (complete) {
      if (mark !== undefined) return undefined;
      const { changes } = database.change(SQL.completeAtOnce, [...place, from, unmark?.name ?? null]);
      return changes === 1 ? record : undefined;
    }
    const next = from + events.length;
    if (from > 0) {
      if (database.change(SQL.growAtOnce, [...place, from, next, note]).changes === 0) return undefined;
      this.#mark(record, request);
      return record;
    }
    if (unmark !== undefined || (mark !== undefined && mark.stream !== stream)) return undefined;
    const { changes } = database.change(SQL.openAtOnce, [...place, next, note, mark?.name ?? null]);
    return changes === 1 ? record : undefined;
  }

  #acceptStepByStep(request: JoinedAppend, stream: string): number | undefined {
    const { id, fence, from, events, complete, note = null } = request;
    const { database } = this.#table;
    const record = this.#table.fenced(id, fence);
    if (record === undefined) return undefined;
    this.#rows.set(id, record);
    const [next, kept, known] = database.one<StreamRow>(SQL.stream, [record, stream]) ?? [null, null, 0];
    // A known stream that is not open is complete and takes no more events.
    if (next === null ? known === 1 || from !== 0 : from !== next) return undefined;
    if (!complete) database.run(SQL.setStream, [record, stream, from + events.length, note]);
    else if (next !== null) {
      database.run(SQL.completeStream, [record, stream]);
      if (kept !== null) this.#table.mark(record, { name: kept, stream });
    }
    this.#mark(record, request);
    return record;
  }

  #mark(record: number, { mark, unmark }: JoinedAppend): void {
    if (mark !== undefined) this.#table.mark(record, mark);
    if (unmark !== undefined) this.#table.unmark(record, unmark);
  }
}

/** A row of `SQL.stream`. */
type StreamRow = readonly [next: number | null, mark: string | null, known: number];
