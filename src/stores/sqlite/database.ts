/**
 * One connection to one file. Everything is synchronous: a transaction begins and ends within one turn of the event
 * loop, so two transactions of this process never overlap.
 */
import type { LibsqlConnection, LibsqlStatement, SqliteValue } from './libsql.ts';

export class SqliteDatabase {
  readonly path: string;
  readonly #connection: LibsqlConnection;
  /** Prepared statements by their text. */
  readonly #statements = new Map<string, LibsqlStatement>();

  constructor(path: string, connection: LibsqlConnection) {
    this.path = path;
    this.#connection = connection;
  }

  /** The first row, as its columns in order. */
  one<R extends readonly SqliteValue[]>(
    sql: string,
    values: readonly SqliteValue[] = [],
  ): R | undefined {
    return this.#with(sql, (statement) => statement.get(values)) as R | undefined;
  }

  all<R extends readonly SqliteValue[]>(sql: string, values: readonly SqliteValue[] = []): R[] {
    return this.#with(sql, (statement) => statement.all(values)) as unknown as R[];
  }

  /** Returns the number of changed rows. */
  run(sql: string, values: readonly SqliteValue[] = []): number {
    return this.#with(sql, (statement) => statement.run(values)).changes;
  }

  /** Any number of statements without parameters. */
  execute(sql: string): void {
    this.#connection.exec(sql);
  }

  /**
   * Stores everything that `work` writes, or nothing. Throws a busy error before `work` runs, while another process
   * writes.
   *
   * `BEGIN` is not a prepared statement. A refused prepared statement stays active and libsql does not reset it. Until
   * it is collected, the connection would see an old state of the file and would find it locked.
   */
  transaction<T>(work: () => T): T {
    this.execute('BEGIN IMMEDIATE');
    try {
      const result = work();
      this.execute('COMMIT');
      return result;
    } catch (error) {
      // After a full or failed disk SQLite has rolled back already.
      if (this.#connection.inTransaction) this.execute('ROLLBACK');
      throw error;
    }
  }

  /** libsql closes the file only when its statements are collected. The log must be empty by then. */
  close(): void {
    this.#statements.clear();
    this.#connection.close();
  }

  #with<T>(sql: string, use: (statement: LibsqlStatement) => T): T {
    try {
      return use(this.#statement(sql));
    } catch (error) {
      // A statement that was refused for a lock is still active (see `transaction`). Dropping it lets it be collected.
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
