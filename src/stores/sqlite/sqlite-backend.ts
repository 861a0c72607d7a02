/** Rows and logs in the file. The writes of a trip are one transaction. */
import {
  type Backend,
  type DuePlace,
  type LogEntry,
  isRowWrite,
  type LogWrite,
} from '../kernel/backend.ts';
import type { Row, RowWrite, Write, Written } from '../kernel/backend.ts';
import {
  countedIn,
  entryOfTexts,
  entryTexts,
  type RowColumns,
  rowOfColumns,
  textsOf,
} from '../kernel/row-texts.ts';
import type { KeptByAll, Kind, MaybePromise } from '../store.ts';
import { refusesAll } from './failures.ts';
import type { SqliteValue } from './libsql.ts';
import { SQL } from './statements.ts';
import type { StoreFile } from './store-file.ts';

type EntryColumns = readonly [no: number, stream: string, head: string, data: string | null];

/** `record`: the number of the row. `last`: that of the last entry; null: the log is empty. */
type LogColumns = readonly [record: number, fence: string | null, last: number | null];

export class SqliteBackend implements Backend {
  readonly #file: StoreFile;
  readonly #spaces: ReadonlyMap<Kind, number>;
  readonly now: () => number;

  /** `now`: ms since 1970, by the clock of these records. */
  constructor(file: StoreFile, spaces: ReadonlyMap<Kind, number>, now: () => number) {
    this.#file = file;
    this.#spaces = spaces;
    this.now = now;
  }

  get where(): string {
    return this.#file.path;
  }

  /** What fails has changed nothing: a transaction that fails is rolled back. */
  async write(writes: readonly Write[]): Promise<readonly Written[]> {
    try {
      return await this.#file.write(() => this.#store(writes));
    } catch (cause) {
      if (refusesAll(cause) || writes.length === 1) return writes.map(() => cause as Error);
    }
    // One of them was refused for what it holds.
    const alone: Written[] = [];
    for (const write of writes) alone.push(...(await this.write([write])));
    return alone;
  }

  read(kind: Kind, id: string): MaybePromise<Row | undefined> {
    return this.#file.read(() => this.#rows(SQL.row, [this.#space(kind), id])[0]);
  }

  log(kind: Kind, id: string, stream: string | null): MaybePromise<readonly LogEntry[]> {
    const { database } = this.#file;
    const values = [this.#space(kind), id, stream];
    return this.#file.read(() =>
      database
        .all<EntryColumns>(SQL.log, values)
        .map(([no, of, head, data]) =>
          entryOfTexts({ no, stream: of, head, data: data ?? '' }, data !== null),
        ),
    );
  }

  list(kind: Kind, after: string, before: string, limit: number): MaybePromise<readonly Row[]> {
    return this.#file.read(() =>
      this.#rows(SQL.listRows, [this.#space(kind), after, before, limit]),
    );
  }

  due(
    kind: Kind,
    [time, id]: DuePlace,
    until: number,
    limit: number,
  ): MaybePromise<readonly Row[]> {
    return this.#file.read(() =>
      this.#rows(SQL.dueRows, [this.#space(kind), time, id, until, limit]),
    );
  }

  count(kind: Kind, after: string, before: string): MaybePromise<number> {
    const values = [this.#space(kind), after, before];
    return this.#file.read(
      () => this.#file.database.one<[number]>(SQL.countRows, values)?.[0] ?? 0,
    );
  }

  countOf(kind: Kind, share: string): MaybePromise<number> {
    const values = [this.#space(kind), share];
    return this.#file.read(
      () => this.#file.database.one<[number]>(SQL.countShare, values)?.[0] ?? 0,
    );
  }

  oldest(kind: Kind, share: string, most: number): MaybePromise<readonly string[]> {
    const values = [this.#space(kind), share, most];
    return this.#file.read(() =>
      this.#file.database.all<[string]>(SQL.oldestOfShare, values).map(([id]) => id),
    );
  }

  endedOf(kind: Kind, share: string): MaybePromise<readonly string[]> {
    const values = [this.#space(kind), share];
    return this.#file.read(() =>
      this.#file.database.all<[string]>(SQL.endedOfShare, values).map(([id]) => id),
    );
  }

  kept(kinds: readonly Kind[], share: string): MaybePromise<readonly number[]> {
    return this.#file.read(() => kinds.map((kind) => this.#kept(this.#space(kind), share)));
  }

  recount(kinds: readonly Kind[], share: string): Promise<readonly number[]> {
    const { database } = this.#file;
    return this.#file.write(() =>
      kinds.map((kind) => {
        const space = this.#space(kind);
        const bytes = database.one<[number]>(SQL.countKept, [space, share])?.[0] ?? 0;
        this.#add([space, share, bytes - this.#kept(space, share)]);
        return bytes;
      }),
    );
  }

  keptByAll(kinds: readonly Kind[], most: number): MaybePromise<KeptByAll> {
    const spaces = JSON.stringify(kinds.map((kind) => this.#space(kind)));
    return this.#file.read(() => {
      const rows = this.#file.database.all<[share: string, bytes: number, all: number]>(
        SQL.keptByAll,
        [spaces, Math.max(1, most)],
      );
      return {
        bytes: rows[0]?.[2] ?? 0,
        shares: rows.slice(0, most).map(([share, bytes]) => ({ share, bytes })),
      };
    });
  }

  #kept(space: number, share: string): number {
    return this.#file.database.one<[number]>(SQL.kept, [space, share])?.[0] ?? 0;
  }

  #add(change: readonly [space: number, share: string, more: number]): void {
    const { database } = this.#file;
    const [space, share, more] = change;
    if (more === 0) return;
    database.run(SQL.addKept, change);
    if (more < 0) database.run(SQL.dropKept, [space, share]);
  }

  #store(writes: readonly Write[]): readonly boolean[] {
    /** Each number is written once. */
    const changes = new Map<string, [space: number, share: string, more: number]>();
    const answers = writes.map((write) => {
      const space = this.#space(write.kind);
      const more = isRowWrite(write) ? this.#put(write, space) : this.#append(write, space);
      const { share } = write;
      if (more === undefined || more === 0 || share === null) return more !== undefined;
      const key = `${space} ${share}`;
      const change = changes.get(key);
      if (change === undefined) changes.set(key, [space, share, more]);
      else change[2] += more;
      return true;
    });
    for (const change of changes.values()) this.#add(change);
    return answers;
  }

  /** What its share counts more now; `undefined`: refused. */
  #put(write: RowWrite, space: number): number | undefined {
    const { id, was, row, clear, bytes, more } = write;
    const { database } = this.#file;
    const freed = clear && was !== 0 ? this.#free(SQL.clearLog, [space, id, was]) : 0;
    const change = (sql: string, values: readonly SqliteValue[]): number | undefined =>
      database.run(sql, values) === 1 ? more - freed : undefined;
    if (row === null) return change(SQL.deleteRow, [space, id, was]);
    const { body, data } = textsOf(row);
    const values = [row.version, row.fence, row.wakeAt, data, ...countedIn(write), bytes];
    if (was === 0) return change(SQL.insertRow, [space, id, ...values, body]);
    return change(SQL.updateRow, [...values, clear ? body : null, space, id, was]);
  }

  /** What entries counted that are deleted now. */
  #free(sql: string, values: readonly SqliteValue[]): number {
    return this.#file.database.all<[number]>(sql, values).reduce((sum, [bytes]) => sum + bytes, 0);
  }

  #append({ id, fence, entries, cut, bytes: added }: LogWrite, space: number): number | undefined {
    const { database } = this.#file;
    const [record, stored, last] = database.one<LogColumns>(SQL.openLog, [space, id]) ?? [];
    const [first] = entries;
    if (
      record === undefined ||
      stored !== fence ||
      (first !== undefined && first.no <= (last ?? 0))
    )
      return undefined;
    for (const entry of entries) {
      const { no, stream, head, data, bytes } = entryTexts(entry);
      database.run(SQL.append, [record, no, stream, head, data, bytes]);
    }
    return added - (cut > 0 ? this.#free(SQL.cutLog, [record, cut]) : 0);
  }

  #rows(sql: string, values: readonly SqliteValue[]): Row[] {
    const { database, path } = this.#file;
    return database.all<RowColumns>(sql, values).map((columns) => rowOfColumns(columns, path));
  }

  #space(kind: Kind): number {
    return this.#spaces.get(kind) as number;
  }
}
