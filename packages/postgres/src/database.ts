/**
 * What all endpoints with one store object share in a process: the connection that writes, the connection that listens,
 * the pool that reads, and the schema.
 */
import {
  Deadlines,
  ServerClock,
  answerLimitMs,
  backoffMs,
  elapse,
  type RandomSource,
  type StoreOptions,
} from 'sojourn/store-kit';
import { Connection, KEEP_ALIVE_MS, placeOf, type Connector } from './connection.ts';
import { isSchemaGone, isTransient, storeFailure } from './failures.ts';
import { instanceStatements } from './instance-statements.ts';
import { InstanceConnection } from './instance-connection.ts';
import { isPool, loadPg, type PgConfig, type PgPool, type PgResult, type Statement, type Value } from './pg.ts';
import { PostgresReader } from './reader.ts';
import { refusePooler } from './pooler-check.ts';
import { createSchema, quoted } from './schema.ts';
import { OwnConnection } from './own-connection.ts';
import { rowStatements } from './row-statements.ts';

export interface DatabaseSettings {
  /** For reads: the caller's pool, or the configuration of the store's pool. */
  readonly reads: PgPool | PgConfig;
  /** For the connections that write and listen. */
  readonly direct: PgConfig;
  readonly schema: string;
  /** For tests that move the server's clock (`ServerClockOptions.goodMs`). */
  readonly clockGoodMs?: number;
}

/** Leases in tests are shorter than a busy machine takes to answer. */
const MIN_LIMIT_MS = 1_000;
/** The size of the store's pool for reads: a resume that reads much delays no other read. */
const POOL_SIZE = 4;

/** A caller's pool may use an isolation level that rejects concurrent changes, so reads are retried. */
const TRIES = 5;
/**
 * The first pause before a statement that was rolled back is sent again. A deadlock comes again if the statement takes
 * its locks before the other one has noticed that they are free.
 */
const FIRST_PAUSE_MS = 10;
const LONGEST_PAUSE_MS = 100;

export type Statements = ReturnType<typeof allStatements>;

function allStatements(schema: string) {
  const s = quoted(schema);
  return { ...rowStatements(s), ...instanceStatements(s) };
}

const poolConfig = (config: PgConfig, { limitMs }: Deadlines): PgConfig => ({
  fallback_application_name: 'sojourn',
  max: POOL_SIZE,
  ...config,
  connectionTimeoutMillis: limitMs,
  allowExitOnIdle: true,
  binary: false,
  keepAlive: true,
  keepAliveInitialDelayMillis: KEEP_ALIVE_MS,
});

export class PostgresDatabase {
  readonly statements: Statements;
  readonly clock: ServerClock;
  /** All writes but those of leases, so that those of one turn follow each other without waiting. */
  readonly #writer: OwnConnection;
  readonly instanceConnection: InstanceConnection;
  readonly #connector: Connector;
  readonly #random: RandomSource;
  readonly #schema: string;
  readonly #reader: PostgresReader;
  #repairing: Promise<void> | undefined;

  private constructor(
    connector: Connector,
    reader: PostgresReader,
    { schema, clockGoodMs }: DatabaseSettings,
    { random, time }: StoreOptions,
  ) {
    this.#connector = connector;
    this.#random = random;
    this.#reader = reader;
    this.#schema = schema;
    this.statements = allStatements(schema);
    // The server may be another one, with another clock.
    this.#writer = new OwnConnection(connector, { durable: true, lost: () => this.clock.forget() });
    // After an outage both connections are lost. The first writes after a new lease need not wait for theirs.
    const opened = (): void => void this.#writer.ready().catch(() => undefined);
    this.instanceConnection = new InstanceConnection({ connector, random, statements: this.statements, opened });
    // Not through the pool: a pool without a free connection must end no lease.
    const ask = async (): Promise<number> => Number((await this.tell(this.statements.now, [])).rows[0]?.[0]);
    this.clock = new ServerClock({ time, ask, ...(clockGoodMs !== undefined && { goodMs: clockGoodMs }) });
  }

  /** Reports every problem with the server here, before the first request. */
  static async open(settings: DatabaseSettings, options: StoreOptions): Promise<PostgresDatabase> {
    const { reads, direct } = settings;
    const pg = await loadPg();
    const deadlines = new Deadlines(options.time, Math.max(MIN_LIMIT_MS, answerLimitMs(options.leaseMs)));
    const place = placeOf(pg, direct);
    const connector: Connector = { pg, config: direct, deadlines, place };
    const own = !isPool(reads);
    const pool = own ? new pg.Pool(poolConfig(reads, deadlines)) : reads;
    const reader = new PostgresReader({
      pool,
      own,
      place: placeOf(pg, pool.options),
      deadlines,
      logger: options.logger,
    });
    const database = new PostgresDatabase(connector, reader, settings, options);
    try {
      await refusePooler(connector);
      await database.#create();
      await database.instanceConnection.check();
      await database.query(database.statements.now, []);
      return database;
    } catch (error) {
      await database.close();
      throw storeFailure(place, error);
    }
  }

  get deadlines(): Deadlines {
    return this.#connector.deadlines;
  }

  get place(): string {
    return this.#connector.place;
  }

  /** A read, or a change that needs no order. */
  query(statement: Statement, values: readonly Value[]): Promise<PgResult> {
    return this.#repeat(this.#reader.place, () => this.#reader.query(statement, values));
  }

  /** A write, after those that were sent before. Its outcome is unknown where this rejects with `STORE_AWAY`. */
  write(statement: Statement, values: readonly Value[]): Promise<PgResult> {
    return this.#repeat(this.place, () => this.#writer.query(statement, values));
  }

  /** A statement about instances, which waits for nothing else. */
  tell(statement: Statement, values: readonly Value[]): Promise<PgResult> {
    const told = this.#repeat(this.place, () => this.instanceConnection.query(statement, values));
    return this.deadlines.answered(this.place, told);
  }

  async close(): Promise<void> {
    await this.#writer.close();
    await this.instanceConnection.close();
    await this.#reader.close();
  }

  /** Sends a statement again that the server has rolled back, or that found no tables. */
  async #repeat(place: string, ask: () => Promise<PgResult>): Promise<PgResult> {
    for (let tries = 1; ; tries++) {
      try {
        return await ask();
      } catch (error) {
        const isGone = isSchemaGone(error);
        if (tries === TRIES || !(isGone || isTransient(error))) throw storeFailure(place, error);
        if (isGone) await this.#repair();
        else await elapse(this.deadlines.time, backoffMs(tries - 1, FIRST_PAUSE_MS, LONGEST_PAUSE_MS, this.#random));
      }
    }
  }

  /**
   * The tables are missing: the server came back without its data, or they were dropped. Creates them again; their
   * contents are lost.
   */
  #repair(): Promise<void> {
    return (this.#repairing ??= this.#create().finally(() => (this.#repairing = undefined)));
  }

  async #create(): Promise<void> {
    const connection = await Connection.open(this.#connector, { durable: true });
    try {
      await createSchema(connection, this.#schema);
    } catch (error) {
      throw storeFailure(this.place, error);
    } finally {
      await connection.close();
    }
  }
}
