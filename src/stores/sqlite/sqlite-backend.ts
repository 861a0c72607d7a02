/** Rows and logs in the file. Each write is a step of a transaction, and the writes of one turn are one transaction. */
import {
  type Backend,
  type DuePlace,
  type Entry,
  isRowWrite,
  type LogWrite,
  type Row,
  type RowWrite,
  type Write,
} from '../kernel/backend.ts';
import { entryOfTexts, entryTexts, rowOf, textsOf } from '../kernel/row-texts.ts';
import type { Kind, MaybePromise } from '../store.ts';
import type { StoreClock } from './clock.ts';
import type { Value } from './libsql.ts';
import { SQL } from './statements.ts';
import type { StoreFile } from './store-file.ts';

/** What a backend knows of a kind. */
export interface SqliteSpace {
  readonly no: number;
  readonly clock: Pick<StoreClock, 'wall'>;
}

type RowColumns = readonly [
  id: string,
  version: number,
  fence: string | null,
  wakeAt: number | null,
  body: string,
  data: string,
];
type EntryColumns = readonly [no: number, stream: string, head: string, data: string | null];

export class SqliteBackend implements Backend {
  readonly #file: StoreFile;
  readonly #spaces: ReadonlyMap<string, SqliteSpace>;

  /** `spaces`: of each kind, by its name. */
  constructor(file: StoreFile, spaces: ReadonlyMap<string, SqliteSpace>) {
    this.#file = file;
    this.#spaces = spaces;
  }

  get where(): string {
    return this.#file.path;
  }

  now(kind: Kind): number {
    return this.#space(kind).clock.wall();
  }

  /** One write; the file gathers those of a turn. */
  store(write: Write): Promise<boolean> {
    if (isRowWrite(write)) {
      const texts = write.row === null ? undefined : textsOf(write.row);
      return this.#file.write(() => this.#put(write, texts));
    }
    const entries = write.entries.map(entryTexts);
    return this.#file.write(() => this.#append(write, entries));
  }

  write(writes: readonly Write[]): Promise<readonly boolean[]> {
    return Promise.all(writes.map((write) => this.store(write)));
  }

  read(kind: Kind, id: string): MaybePromise<Row | undefined> {
    return this.#file.read(() => this.#rows(SQL.row, [this.#space(kind).no, id])[0]);
  }

  log(kind: Kind, id: string, stream: string | null): MaybePromise<readonly Entry[]> {
    const { database } = this.#file;
    const values = [this.#space(kind).no, id, stream];
    return this.#file.read(() =>
      database.all<EntryColumns>(SQL.log, values).map(([no, of, head, data]) => {
        return entryOfTexts({ no, stream: of, head, data: data ?? '' }, data !== null);
      }),
    );
  }

  list(kind: Kind, after: string, before: string, limit: number): MaybePromise<readonly Row[]> {
    return this.#file.read(() => this.#rows(SQL.listRows, [this.#space(kind).no, after, before, limit]));
  }

  due(kind: Kind, [time, id]: DuePlace, until: number, limit: number): MaybePromise<readonly Row[]> {
    return this.#file.read(() => this.#rows(SQL.dueRows, [this.#space(kind).no, time, id, until, limit]));
  }

  count(kind: Kind, after: string, before: string): MaybePromise<number> {
    const { database } = this.#file;
    return this.#file.read(
      () => database.one<[number]>(SQL.countRows, [this.#space(kind).no, after, before])?.[0] ?? 0,
    );
  }

  #put({ kind, id, was, row, clear }: RowWrite, texts: ReturnType<typeof textsOf> | undefined): boolean {
    const { database } = this.#file;
    const space = this.#space(kind).no;
    if (clear || row === null) database.run(SQL.clearLog, [space, id, was]);
    if (row === null || texts === undefined) return database.change(SQL.deleteRow, [space, id, was]).changes === 1;
    const { version, fence, wakeAt } = row;
    const values = [version, fence, wakeAt, texts.data];
    if (was === 0) return database.change(SQL.insertRow, [space, id, ...values, texts.body]).changes === 1;
    if (clear) return database.change(SQL.replaceRow, [...values, texts.body, space, id, was]).changes === 1;
    return database.change(SQL.updateRow, [...values, space, id, was]).changes === 1;
  }

  #append({ kind, id, fence, cut }: LogWrite, entries: readonly ReturnType<typeof entryTexts>[]): boolean {
    const { database } = this.#file;
    const space = this.#space(kind).no;
    for (const { no, stream, head, data } of entries)
      if (database.change(SQL.append, [space, id, fence, no, stream, head, data]).changes === 0) return false;
    if (cut > 0) database.run(SQL.cutLog, [space, id, fence, cut]);
    return entries.length > 0 || database.one(SQL.fencedRow, [space, id, fence]) !== undefined;
  }

  #rows(sql: string, values: readonly Value[]): Row[] {
    const { database, path } = this.#file;
    return database
      .all<RowColumns>(sql, values)
      .map(([id, version, fence, wakeAt, body, data]) => rowOf({ id, version, fence, wakeAt, body, data }, path));
  }

  #space({ name }: Kind): SqliteSpace {
    return this.#spaces.get(name) as SqliteSpace;
  }
}
