/**
 * One connection to one file. Everything here is synchronous: a transaction begins and ends within one turn, so no two
 * of this process ever meet.
 */
import type { LibsqlConnection, LibsqlStatement, Value } from './libsql.ts';

export interface Changed {
  readonly changes: number;
  readonly lastInsertRowid: number;
}

export class Database {
  readonly path: string;
  readonly #connection: LibsqlConnection;
  /** By their text. */
  readonly #statements = new Map<string, LibsqlStatement>();

  constructor(path: string, connection: LibsqlConnection) {
    this.path = path;
    this.#connection = connection;
  }

  /** The first row, as its columns in order. */
  one<R extends readonly Value[]>(sql: string, values: readonly Value[] = []): R | undefined {
    return this.#with(sql, (statement) => statement.get(values)) as R | undefined;
  }

  all<R extends readonly Value[]>(sql: string, values: readonly Value[] = []): R[] {
    return this.#with(sql, (statement) => statement.all(values)) as unknown as R[];
  }

  /** Without its outcome, which libsql takes half a microsecond to tell. */
  run(sql: string, values: readonly Value[] = []): void {
    this.#with(sql, (statement) => statement.get(values));
  }

  change(sql: string, values: readonly Value[] = []): Changed {
    return this.#with(sql, (statement) => statement.run(values));
  }

  /** Any number of statements, without values. */
  execute(sql: string): void {
    this.#connection.exec(sql);
  }

  /**
   * All that `work` writes, or nothing. Throws busy, before `work` ran, while another process writes.
   *
   * `BEGIN` is executed anew each time: a prepared statement that was refused stays active, libsql does not reset it, and
   * until it is collected this connection would see the file as it was then, and find it locked for ever.
   */
  transaction<T>(work: () => T): T {
    this.execute('BEGIN IMMEDIATE');
    return this.#finish(work);
  }

  /** All that `work` reads is of one moment. */
  snapshot<T>(work: () => T): T {
    this.execute('BEGIN');
    return this.#finish(work);
  }

  #finish<T>(work: () => T): T {
    try {
      const result = work();
      this.execute('COMMIT');
      return result;
    } catch (error) {
      // A full disk or a failed one rolls back by itself.
      if (this.#connection.inTransaction) this.execute('ROLLBACK');
      throw error;
    }
  }

  /** libsql lets go of the file when its statements are collected, and no sooner: nothing may be left in the log. */
  close(): void {
    this.#statements.clear();
    this.#connection.close();
  }

  #with<T>(sql: string, use: (statement: LibsqlStatement) => T): T {
    try {
      return use(this.#statement(sql));
    } catch (error) {
      // One that was refused for the lock is still active, see above: it is collected the sooner.
      this.#statements.delete(sql);
      throw error;
    }
  }

  #statement(sql: string): LibsqlStatement {
    const known = this.#statements.get(sql);
    if (known !== undefined) return known;
    const statement = this.#connection.prepare(sql);
    if (statement.reader) statement.raw(true);
    this.#statements.set(sql, statement);
    return statement;
  }
}
