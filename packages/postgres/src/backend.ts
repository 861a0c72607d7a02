/** Rows and logs in PostgreSQL: three statements for the writes of a trip, however many these are. */
import {
  OVER,
  SojournError,
  entryOfTexts,
  entryTexts,
  findsNoRoom,
  isRowWrite,
  rowOfColumns,
  textsOf,
  type Backend,
  type DuePlace,
  type Entry,
  type Kind,
  type LogWrite,
  type MaybePromise,
  type Row,
  type RowWrite,
  type Write,
  type Written,
} from 'sojourn/store-kit';
import type { PostgresDatabase } from './database.ts';
import type { PgResult, Row as Columns, Statement, Value } from './pg.ts';
import { textArray } from './text-array.ts';

/** Statements of a trip. */
type Sort = 'inserts' | 'puts' | 'appends';

export class PostgresBackend implements Backend {
  readonly where: string;
  readonly #database: PostgresDatabase;
  readonly #spaces: ReadonlyMap<Kind, string>;
  readonly #isOfLeases: boolean;

  constructor(database: PostgresDatabase, spaces: ReadonlyMap<Kind, string>, isOfLeases = false) {
    this.where = database.server.place;
    this.#database = database;
    this.#spaces = spaces;
    this.#isOfLeases = isOfLeases;
  }

  now(): MaybePromise<number> {
    return this.#database.clock.now();
  }

  async write(writes: readonly Write[]): Promise<readonly Written[]> {
    const groups: Record<Sort, Write[]> = { inserts: [], puts: [], appends: [] };
    for (const write of writes)
      groups[!isRowWrite(write) ? 'appends' : write.was === 0 ? 'inserts' : 'puts'].push(write);
    const answers = new Map<Write, Written>();
    const sent = (Object.keys(groups) as Sort[]).map(async (sort) => {
      const own = groups[sort];
      if (own.length === 0) return;
      for (const [n, answer] of (await this.#send(sort, own)).entries()) answers.set(own[n] as Write, answer);
    });
    for (const one of await Promise.allSettled(sent)) if (one.status === 'rejected') throw one.reason;
    return writes.map((write) => answers.get(write) as Written);
  }

  async read(kind: Kind, id: string): Promise<Row | undefined> {
    return (await this.#rows('read', kind, [id]))[0];
  }

  async log(kind: Kind, id: string, stream: string | null): Promise<Entry[]> {
    const { rows } = await this.#ask('log', kind, [id, stream]);
    return rows.map(([no, of, head, data]) =>
      entryOfTexts({ no: Number(no), stream: of ?? '', head: head ?? '', data: data ?? '' }, of === stream),
    );
  }

  list(kind: Kind, after: string, before: string, limit: number): Promise<Row[]> {
    return this.#rows('list', kind, [after, before, limit]);
  }

  due(kind: Kind, [time, id]: DuePlace, until: number, limit: number): Promise<Row[]> {
    return this.#rows('due', kind, [time, id, until, limit]);
  }

  async count(kind: Kind, after: string, before: string): Promise<number> {
    return Number((await this.#ask('count', kind, [after, before])).rows[0]?.[0]);
  }

  #space(kind: Kind): string {
    return this.#spaces.get(kind) ?? '';
  }

  #ask(what: 'read' | 'log' | 'list' | 'due' | 'count', kind: Kind, values: readonly Value[]): Promise<PgResult> {
    return this.#database.query(this.#database.statements[what], [this.#space(kind), ...values]);
  }

  async #rows(what: 'read' | 'list' | 'due', kind: Kind, values: readonly Value[]): Promise<Row[]> {
    return (await this.#ask(what, kind, values)).rows.map((columns) => rowOfColumns(columns, this.where));
  }

  /** `living`: the rows of living records alone. */
  #write(statement: Statement, values: readonly Value[], living = false): Promise<PgResult> {
    const database = this.#database;
    if (!this.#isOfLeases) return database.write(statement, values);
    // A locked row of another record could delay leases for longer than they last. A crash may lose those that live.
    return living ? database.tell(statement, values) : database.query(statement, values);
  }

  async #send(sort: Sort, writes: readonly Write[]): Promise<readonly Written[]> {
    try {
      return sort === 'appends'
        ? await this.#append(writes as readonly LogWrite[])
        : await this.#put(sort, writes as readonly RowWrite[]);
    } catch (error) {
      if (error instanceof SojournError && error.code === 'STORE_AWAY' && !findsNoRoom(error)) throw error;
      // The server refused what one of them holds, and has changed nothing.
      if (writes.length === 1) return [error as Error];
      const alone: Written[] = [];
      for (const write of writes) alone.push(...(await this.#send(sort, [write])));
      return alone;
    }
  }

  async #put(sort: 'inserts' | 'puts', writes: readonly RowWrite[]): Promise<readonly Written[]> {
    const { statements } = this.#database;
    const texts = writes.map(({ row }) => (row === null ? undefined : { ...row, ...textsOf(row) }));
    const [spaces, ids] = [writes.map(({ kind }) => this.#space(kind)), textArray(writes.map(({ id }) => id))];
    const versions = texts.map((row) => row?.version ?? null);
    const fences = textArray(texts.map((row) => row?.fence ?? null));
    const wakes = texts.map((row) => row?.wakeAt ?? null);
    const bodies = textArray(writes.map(({ clear }, n) => (clear ? (texts[n]?.body ?? '') : '')));
    const data = textArray(texts.map((row) => row?.data ?? null));
    const living = writes.every(({ row }) => row !== null && row.fence !== null && row.fence !== OVER);
    const columns = [versions, fences, wakes, bodies, data];
    const [were, clears] = [writes.map(({ was }) => was), writes.map(({ clear }) => clear)];
    const { rows } =
      sort === 'inserts'
        ? await this.#write(statements.insert, [spaces, ids, ...columns], living)
        : await this.#write(statements.put, [spaces, ids, were, ...columns, clears], living);
    const done = new Set(rows.map(keyOf));
    return writes.map(({ id }, n) => done.has(`${spaces[n]} ${id}`));
  }

  async #append(writes: readonly LogWrite[]): Promise<readonly Written[]> {
    const entries = writes.flatMap(({ entries: own }, n) =>
      own.map((entry) => ({ ...entryTexts(entry), write: n + 1 })),
    );
    const columns = (of: (entry: (typeof entries)[number]) => string): Value =>
      entries.length === 0 ? [] : textArray(entries.map(of));
    const { rows } = await this.#write(this.#database.statements.append, [
      writes.map(({ kind }) => this.#space(kind)),
      textArray(writes.map(({ id }) => id)),
      textArray(writes.map(({ fence }) => fence)),
      writes.map(({ entries: [first] }) => first?.no ?? null),
      writes.map(({ cut }) => cut),
      entries.map((entry) => entry.write),
      entries.map(({ no }) => no),
      columns(({ stream }) => stream),
      columns(({ head }) => head),
      columns(({ data }) => data),
    ]);
    const done = new Set(rows.map(([n]) => Number(n)));
    return writes.map((_, n) => done.has(n + 1));
  }
}

const keyOf = ([space, id]: Columns): string => `${space} ${id}`;
