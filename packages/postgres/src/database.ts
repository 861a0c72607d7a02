/**
 * What all endpoints with one store object share in a process: the connection that writes, the connection that listens,
 * those that read, and the schema.
 */
import { Deadlines, ServerClock, answerLimitMs, type StoreOptions } from 'sojourn/store-kit';
import { Connection, placeOf, type Server } from './connection.ts';
import { isSchemaGone, storeFailure } from './failures.ts';
import { instanceStatements } from './instance-statements.ts';
import { InstanceConnection } from './instance-connection.ts';
import { loadPg, type PgConfig, type PgResult, type Statement, type Value } from './pg.ts';
import { refusePooler } from './pooler-check.ts';
import { createSchema, quoted } from './schema.ts';
import { rowStatements } from './row-statements.ts';

export interface DatabaseSettings {
  /** The configuration of each connection. */
  readonly config: PgConfig;
  readonly schema: string;
  /** For tests that move the server's clock (`ServerClockOptions.goodMs`). */
  readonly clockGoodMs?: number;
}

/** Leases in tests are shorter than a busy machine takes to answer. */
const MIN_LIMIT_MS = 1_000;
const TRIES = 5;

export type Statements = ReturnType<typeof allStatements>;

function allStatements(schema: string) {
  const s = quoted(schema);
  return { ...rowStatements(s), ...instanceStatements(s) };
}

export class PostgresDatabase {
  readonly server: Server;
  readonly statements: Statements;
  readonly clock: ServerClock;
  /** All writes but those of leases, so that those of one turn follow each other without waiting. */
  readonly #writer: Connection;
  readonly instanceConnection: InstanceConnection;
  readonly #schema: string;
  readonly #rows: Connection;
  /** A log may be large: no other read waits behind it. */
  readonly #logs: Connection;
  #repairing: Promise<void> | undefined;

  private constructor(server: Server, { schema, clockGoodMs }: DatabaseSettings, { random, time }: StoreOptions) {
    this.server = server;
    this.#schema = schema;
    this.statements = allStatements(schema);
    this.#rows = new Connection(server, { durable: true });
    this.#logs = new Connection(server, { durable: true });
    // The server may be another one, with another clock.
    this.#writer = new Connection(server, { durable: true, lost: () => this.clock.forget() });
    this.instanceConnection = new InstanceConnection({ server, random, statements: this.statements });
    // Not behind reads: a large log would delay the clock, and every lease with it.
    const ask = async (): Promise<number> => Number((await this.tell(this.statements.now, [])).rows[0]?.[0]);
    this.clock = new ServerClock({ time, ask, ...(clockGoodMs !== undefined && { goodMs: clockGoodMs }) });
  }

  /** Reports every problem with the server here, before the first request. */
  static async open(settings: DatabaseSettings, options: StoreOptions): Promise<PostgresDatabase> {
    const { config } = settings;
    const pg = await loadPg();
    const deadlines = new Deadlines(options.time, Math.max(MIN_LIMIT_MS, answerLimitMs(options.leaseMs)));
    const place = placeOf(pg, config);
    const server: Server = { pg, config, deadlines, place };
    const database = new PostgresDatabase(server, settings, options);
    try {
      await refusePooler(server);
      await database.#create(false);
      await database.instanceConnection.check();
      await database.query(database.statements.now, []);
      return database;
    } catch (error) {
      await database.close();
      throw storeFailure(place, error);
    }
  }

  /** A read, or a change that needs no order. */
  query(statement: Statement, values: readonly Value[]): Promise<PgResult> {
    const reader = statement === this.statements.log ? this.#logs : this.#rows;
    const asked = this.#repeat(() => reader.query(statement, values));
    return this.server.deadlines.answered(this.server.place, asked);
  }

  /** A write, after those that were sent before. Its outcome is unknown where this rejects with `STORE_AWAY`. */
  write(statement: Statement, values: readonly Value[]): Promise<PgResult> {
    return this.#repeat(() => this.#writer.query(statement, values));
  }

  /** A statement about instances, which waits for nothing else. */
  tell(statement: Statement, values: readonly Value[]): Promise<PgResult> {
    const told = this.#repeat(() => this.instanceConnection.query(statement, values));
    return this.server.deadlines.answered(this.server.place, told);
  }

  async close(): Promise<void> {
    await this.#writer.close();
    await this.instanceConnection.close();
    await Promise.all([this.#rows.close(), this.#logs.close()]);
  }

  /** Sends a statement again that found no tables. */
  async #repeat(ask: () => Promise<PgResult>): Promise<PgResult> {
    for (let tries = 1; ; tries++) {
      try {
        return await ask();
      } catch (error) {
        if (tries === TRIES || !isSchemaGone(error)) throw error;
        await this.#repair();
      }
    }
  }

  /**
   * The tables are missing: the server came back without its data, or they were dropped. Creates them again; their
   * contents are lost.
   */
  #repair(): Promise<void> {
    return (this.#repairing ??= this.#create(true).finally(() => (this.#repairing = undefined)));
  }

  async #create(isBroken: boolean): Promise<void> {
    const connection = new Connection(this.server, { durable: true });
    try {
      await createSchema(connection, this.#schema, isBroken);
    } catch (error) {
      throw storeFailure(this.server.place, error);
    } finally {
      await connection.close();
    }
  }
}
