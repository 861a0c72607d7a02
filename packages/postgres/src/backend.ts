/** Rows and logs in PostgreSQL: one statement for the writes of a trip, however many these are. */
import {
  SojournError,
  countedIn,
  entryOfTexts,
  entryTexts,
  findsNoRoom,
  isRowWrite,
  rowOfColumns,
  textsOf,
  type Backend,
  type DuePlace,
  type LogEntry,
  type KeptByAll,
  type Kind,
  type MaybePromise,
  type Row,
  type Write,
  type Written,
} from 'sojourn/internal';
import type { PostgresDatabase } from './database.ts';
import type { PgResult, PgValue } from './pg.ts';
import { APART, type Statements } from './statements.ts';
import { TurnReads } from './turn-reads.ts';

type ReadStatement = Pick<
  Statements,
  'read' | 'log' | 'list' | 'due' | 'count' | 'oldest' | 'endedOf'
>;

interface AskedRow {
  readonly kind: Kind;
  readonly id: string;
}

/** A number of a share: how many rows of the kind it has, or how many bytes these count. */
interface AskedNumber {
  readonly kind: Kind;
  readonly share: string;
  readonly of: 'rows' | 'bytes';
}

export class PostgresBackend implements Backend {
  readonly where: string;
  readonly #database: PostgresDatabase;
  readonly #spaces: ReadonlyMap<Kind, string>;
  readonly #isOfLeases: boolean;
  readonly #reads = new TurnReads((asked: readonly AskedRow[]) => this.#readAll(asked));
  readonly #numbers = new TurnReads((asked: readonly AskedNumber[]) => this.#numbersOf(asked));

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
    try {
      return await this.#send(writes);
    } catch (error) {
      if (
        error instanceof SojournError &&
        error.code === 'STORE_UNAVAILABLE' &&
        !findsNoRoom(error)
      )
        throw error;
      // The server refused what one of them holds, and has changed nothing.
      if (writes.length === 1) return [error as Error];
      const alone: Written[] = [];
      for (const write of writes) alone.push(...(await this.write([write])));
      return alone;
    }
  }

  read(kind: Kind, id: string): Promise<Row | undefined> {
    return this.#reads.ask({ kind, id });
  }

  async log(kind: Kind, id: string, stream: string | null): Promise<LogEntry[]> {
    const { rows } = await this.#ask('log', kind, [id, stream]);
    return rows.map(([no, of, head, data]) =>
      entryOfTexts(
        { no: Number(no), stream: of ?? '', head: head ?? '', data: data ?? '' },
        of === stream,
      ),
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

  countOf(kind: Kind, share: string): Promise<number> {
    return this.#numbers.ask({ kind, share, of: 'rows' });
  }

  async oldest(kind: Kind, share: string, most: number): Promise<string[]> {
    return (await this.#ask('oldest', kind, [share, most])).rows.map(([id]) => String(id));
  }

  async endedOf(kind: Kind, share: string): Promise<string[]> {
    return (await this.#ask('endedOf', kind, [share])).rows.map(([id]) => String(id));
  }

  kept(kinds: readonly Kind[], share: string): Promise<readonly number[]> {
    return Promise.all(kinds.map((kind) => this.#numbers.ask({ kind, share, of: 'bytes' })));
  }

  async recount(kinds: readonly Kind[], share: string): Promise<readonly number[]> {
    const spaces = kinds.map((kind) => this.#space(kind));
    await this.#database.write(this.#database.statements.recount, [
      spaces,
      share,
      this.#database.writer,
    ]);
    return this.kept(kinds, share);
  }

  async keptByAll(kinds: readonly Kind[], most: number): Promise<KeptByAll> {
    const spaces = kinds.map((kind) => this.#space(kind));
    const { rows } = await this.#database.query(this.#database.statements.keptByAll, [
      spaces,
      Math.max(1, most),
    ]);
    const shares = rows
      .slice(0, most)
      .map(([share, bytes]) => ({ share: share ?? '', bytes: Number(bytes) }));
    return { bytes: Number(rows[0]?.[2] ?? 0), shares };
  }

  #space(kind: Kind): string {
    return this.#spaces.get(kind) ?? '';
  }

  #ask(what: keyof ReadStatement, kind: Kind, values: readonly PgValue[]): Promise<PgResult> {
    return this.#database.query(this.#database.statements[what], [this.#space(kind), ...values]);
  }

  async #rows(
    what: 'read' | 'list' | 'due',
    kind: Kind,
    values: readonly PgValue[],
  ): Promise<Row[]> {
    return (await this.#ask(what, kind, values)).rows.map((columns) =>
      rowOfColumns(columns, this.where),
    );
  }

  async #readAll(asked: readonly AskedRow[]): Promise<ReadonlyArray<Row | undefined>> {
    const [first] = asked;
    if (asked.length === 1 && first !== undefined)
      return this.#rows('read', first.kind, [first.id]);
    const { rows } = await this.#database.query(this.#database.statements.readAll, [
      asked.map(({ kind }) => this.#space(kind)),
      asked.map(({ id }) => id),
    ]);
    const found: Array<Row | undefined> = asked.map(() => undefined);
    for (const columns of rows) found[Number(columns[6]) - 1] = rowOfColumns(columns, this.where);
    return found;
  }

  async #numbersOf(asked: readonly AskedNumber[]): Promise<readonly number[]> {
    const { rows } = await this.#database.query(this.#database.statements.numbersOf, [
      asked.map(({ kind }) => this.#space(kind)),
      asked.map(({ share }) => share),
      asked.map(({ of }) => String(of === 'rows')),
    ]);
    return rows.map(([number]) => Number(number));
  }

  async #send(writes: readonly Write[]): Promise<readonly Written[]> {
    const database = this.#database;
    // Two texts: `pg` takes seconds to quote the texts of an array of some MB, and nothing else runs then.
    const texts: string[] = [];
    const place = (data: string): number => texts.push(data);
    const trip = JSON.stringify(
      writes.map((write, n) => ({
        ord: n,
        space: this.#space(write.kind),
        ...partsOf(write, place),
      })),
    );
    const values = [trip, texts.join(APART), database.writer];
    // A locked row of another record could delay leases for longer than they last.
    const { rows } = await (this.#isOfLeases
      ? database.tell(database.statements.write, values)
      : database.write(database.statements.write, values));
    const done = new Set(rows.map(([n]) => Number(n)));
    return writes.map((_, n) => done.has(n));
  }
}

/** What the function knows of a write (`statements.ts`). `place`: of a text among the others. */
function partsOf(write: Write, place: (data: string) => number): object {
  const { id } = write;
  if (!isRowWrite(write)) {
    const { fence, entries, cut, bytes } = write;
    const texts = entries.map(entryTexts).map((entry) => ({ ...entry, data: place(entry.data) }));
    return {
      id,
      fence,
      entries: texts,
      first: entries[0]?.no,
      cut,
      number: write.share ?? undefined,
      more: bytes,
    };
  }
  const { was, row, clear, bytes } = write;
  const number = write.share === null ? undefined : { number: write.share, more: write.more };
  if (row === null) return { id, was, clear, ...number };
  const { version, fence, wakeAt: wake } = row;
  const { body, data } = textsOf(row);
  const [share, stamp] = countedIn(write);
  const counted = share === null ? undefined : { share, stamp };
  const texts = { body: clear ? body : undefined, data: place(data) };
  return { id, was, version, fence, wake, ...texts, clear, bytes, ...counted, ...number };
}
