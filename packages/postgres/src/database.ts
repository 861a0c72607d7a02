/**
 * What all endpoints with one store object share in a process: the connection that writes, the connection that listens,
 * those that read, and the schema.
 */
import { Deadlines, ServerClock, answerLimitMs, type StoreOptions } from 'sojourn/internal';
import { Connection, placeOf, refusePooler, type PostgresServer } from './connection.ts';
import { InstanceConnection } from './instance-connection.ts';
import type { PgResult, Statement, PgValue } from './pg.ts';
import { statementsOf, type Statements } from './statements.ts';

type DatabaseSettings = Pick<PostgresServer, 'config' | 'schema'>;

/** Leases in tests are shorter than a busy machine takes to answer. */
const MIN_LIMIT_MS = 1_000;

export class PostgresDatabase {
  readonly server: PostgresServer;
  readonly statements: Statements;
  readonly clock: ServerClock;
  /** All writes but those of leases, so that those of one turn follow each other without waiting. */
  readonly #writer: Connection;
  readonly instanceConnection: InstanceConnection;
  readonly #rows: Connection;
  /** A log may be large: no other read waits behind it. */
  readonly #logs: Connection;

  private constructor(settings: DatabaseSettings, { random, time, leaseMs }: StoreOptions) {
    const { config, schema } = settings;
    const deadlines = new Deadlines(time, Math.max(MIN_LIMIT_MS, answerLimitMs(leaseMs)));
    this.server = { config, schema, deadlines, place: placeOf(config) };
    this.statements = statementsOf(schema);
    this.#rows = new Connection(this.server);
    this.#logs = new Connection(this.server);
    // The server may be another one, with another clock.
    this.#writer = new Connection(this.server, { lost: () => this.clock.forget() });
    this.instanceConnection = new InstanceConnection(this.server, this.statements, random);
    // Not behind reads: a large log would delay the clock, and every lease with it.
    const ask = async (): Promise<number> =>
      Number((await this.tell(this.statements.now, [])).rows[0]?.[0]);
    this.clock = new ServerClock({ time, ask });
  }

  /** Whose numbers this process changes. */
  get writer(): string {
    return this.instanceConnection.key;
  }

  /** Reports every problem with the server here, before the first request. */
  static async open(settings: DatabaseSettings, options: StoreOptions): Promise<PostgresDatabase> {
    const database = new PostgresDatabase(settings, options);
    try {
      await refusePooler(database.server);
      await database.#writer.ready();
      await database.instanceConnection.check();
      await database.query(database.statements.now, []);
      return database;
    } catch (error) {
      await database.close();
      throw error;
    }
  }

  /** A read. */
  query(statement: Statement, values: readonly PgValue[]): Promise<PgResult> {
    const reader = statement === this.statements.log ? this.#logs : this.#rows;
    return this.server.deadlines.answered(this.server.place, reader.query(statement, values));
  }

  /** A write, after those that were sent before. Its outcome is unknown where this rejects with `STORE_UNAVAILABLE`. */
  write(statement: Statement, values: readonly PgValue[]): Promise<PgResult> {
    return this.#writer.query(statement, values);
  }

  /** A statement about instances, which waits for nothing else. */
  tell(statement: Statement, values: readonly PgValue[]): Promise<PgResult> {
    return this.server.deadlines.answered(
      this.server.place,
      this.instanceConnection.query(statement, values),
    );
  }

  async close(): Promise<void> {
    await this.#writer.close();
    await this.instanceConnection.close();
    await Promise.all([this.#rows.close(), this.#logs.close()]);
  }
}
