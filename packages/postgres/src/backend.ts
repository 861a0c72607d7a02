/** Rows and logs in PostgreSQL: three statements for the writes of a trip, however many these are. */
import {
  OVER,
  SojournError,
  entryOfTexts,
  entryTexts,
  findsNoRoom,
  isRowWrite,
  rowOf,
  textsOf,
  type Backend,
  type DuePlace,
  type Entry,
  type Kind,
  type LogWrite,
  type MaybePromise,
  type Row,
  type RowWrite,
  type ServerClock,
  type Write,
  type Written,
} from 'sojourn/store-kit';
import type { PgResult, Row as Columns, Statement, Value } from './pg.ts';
import type { RowStatements } from './row-statements.ts';
import { textArray } from './text-array.ts';

/** Statements of a trip. */
type Sort = 'inserts' | 'puts' | 'appends';

type Query = (statement: Statement, values: readonly Value[]) => Promise<PgResult>;

export interface PostgresBackendOptions {
  readonly where: string;
  readonly spaces: ReadonlyMap<Kind, string>;
  readonly statements: RowStatements;
  readonly clock: ServerClock;
  readonly read: Query;
  readonly write: Query;
  /** For rows of living records alone, which a crash of the server may lose; `undefined`: as all others. */
  readonly writeQuickly?: Query;
}

export class PostgresBackend implements Backend {
  readonly where: string;
  readonly #options: PostgresBackendOptions;

  constructor(options: PostgresBackendOptions) {
    this.where = options.where;
    this.#options = options;
  }

  now(): MaybePromise<number> {
    return this.#options.clock.now();
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
    const { read, statements } = this.#options;
    return this.#rowsIn(await read(statements.read, [this.#space(kind), id]))[0];
  }

  async log(kind: Kind, id: string, stream: string | null): Promise<Entry[]> {
    const { read, statements } = this.#options;
    const { rows } = await read(statements.log, [this.#space(kind), id, stream]);
    return rows.map(([no, of, head, data]) =>
      entryOfTexts({ no: Number(no), stream: of ?? '', head: head ?? '', data: data ?? '' }, of === stream),
    );
  }

  async list(kind: Kind, after: string, before: string, limit: number): Promise<Row[]> {
    const { read, statements } = this.#options;
    return this.#rowsIn(await read(statements.list, [this.#space(kind), after, before, limit]));
  }

  async due(kind: Kind, [time, id]: DuePlace, until: number, limit: number): Promise<Row[]> {
    const { read, statements } = this.#options;
    return this.#rowsIn(await read(statements.due, [this.#space(kind), time, id, until, limit]));
  }

  async count(kind: Kind, after: string, before: string): Promise<number> {
    const { read, statements } = this.#options;
    return Number((await read(statements.count, [this.#space(kind), after, before])).rows[0]?.[0]);
  }

  #space(kind: Kind): string {
    return this.#options.spaces.get(kind) ?? '';
  }

  #rowsIn({ rows }: PgResult): Row[] {
    return rows.map(([id, version, fence = null, wake, body, data]) =>
      rowOf(
        {
          id: id ?? '',
          version: Number(version),
          fence,
          wakeAt: wake === null || wake === undefined ? null : Number(wake),
          body: body ?? '',
          data: data ?? '',
        },
        this.where,
      ),
    );
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
    const { statements, write, writeQuickly = write } = this.#options;
    const texts = writes.map(({ row }) => (row === null ? undefined : { ...row, ...textsOf(row) }));
    const [spaces, ids] = [writes.map(({ kind }) => this.#space(kind)), textArray(writes.map(({ id }) => id))];
    const versions = texts.map((row) => row?.version ?? null);
    const fences = textArray(texts.map((row) => row?.fence ?? null));
    const wakes = texts.map((row) => row?.wakeAt ?? null);
    const bodies = textArray(writes.map(({ clear }, n) => (clear ? (texts[n]?.body ?? '') : '')));
    const data = textArray(texts.map((row) => row?.data ?? null));
    const living = writes.every(({ row }) => row !== null && row.fence !== null && row.fence !== OVER);
    const query = living ? writeQuickly : write;
    const { rows } =
      sort === 'inserts'
        ? await query(statements.insert, [spaces, ids, versions, fences, wakes, bodies, data])
        : await query(statements.put, [
            spaces,
            ids,
            writes.map(({ was }) => was),
            versions,
            fences,
            wakes,
            bodies,
            data,
            writes.map(({ clear }) => clear),
          ]);
    const done = new Set(rows.map(keyOf));
    return writes.map(({ id }, n) => done.has(`${spaces[n]} ${id}`));
  }

  async #append(writes: readonly LogWrite[]): Promise<readonly Written[]> {
    const { statements, write } = this.#options;
    const entries = writes.flatMap(({ entries: own }, n) =>
      own.map((entry) => ({ ...entryTexts(entry), write: n + 1 })),
    );
    const columns = (of: (entry: (typeof entries)[number]) => string): Value =>
      entries.length === 0 ? [] : textArray(entries.map(of));
    const { rows } = await write(statements.append, [
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
