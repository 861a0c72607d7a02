/**
 * What all endpoints of a process share that use one store object: the connection that writes, the one that listens, the pool
 * that reads, and the schema.
 */
import type { StoreOptions } from '../store.ts';
import { Connection, KEEP_ALIVE_MS, placeOf, type Connector } from './connection.ts';
import { isSchemaGone, isTransient, storeFailure } from './failures.ts';
import { instanceStatements } from './instance-statements.ts';
import { Line } from './line.ts';
import { logStatements } from './log-statements.ts';
import { migrate } from './migrate.ts';
import { isPool, loadPg, type PgConfig, type PgPool, type PgResult, type Statement, type Value } from './pg.ts';
import { Reader } from './reader.ts';
import { refusePooler } from './self-test.ts';
import { quoted } from './schema.ts';
import { sessionStatements } from './session-statements.ts';
import { Waits } from './waits.ts';
import { Writer } from './writer.ts';

export interface DatabaseSettings {
  /** Where is read: the caller's pool, or what a pool is made of. */
  readonly reads: PgPool | PgConfig;
  /** Of the connections that write and listen. */
  readonly direct: PgConfig;
  readonly schema: string;
}

/** Connections that only read, where the pool is the store's own: a resume that reads much holds up nobody. */
const POOL_SIZE = 4;

/** A caller's pool may be set to an isolation that refuses what others have changed meanwhile. */
const TRIES = 5;

export type Statements = ReturnType<typeof allStatements>;

function allStatements(schema: string) {
  const s = quoted(schema);
  return { ...sessionStatements(s), ...logStatements(s), ...instanceStatements(s) };
}

const poolConfig = (config: PgConfig, { limitMs }: Waits): PgConfig => ({
  fallback_application_name: 'sojourn',
  max: POOL_SIZE,
  ...config,
  connectionTimeoutMillis: limitMs,
  allowExitOnIdle: true,
  binary: false,
  keepAlive: true,
  keepAliveInitialDelayMillis: KEEP_ALIVE_MS,
});

export class Database {
  readonly statements: Statements;
  readonly writer: Writer;
  readonly line: Line;
  readonly #connector: Connector;
  readonly #schema: string;
  readonly #reader: Reader;
  #repairing: Promise<void> | undefined;

  private constructor(connector: Connector, reader: Reader, schema: string, { random }: StoreOptions) {
    this.#connector = connector;
    this.#reader = reader;
    this.#schema = schema;
    this.statements = allStatements(schema);
    const parts = { connector, waits: connector.waits, random, repair: () => this.repair() };
    this.writer = new Writer({ ...parts, statements: this.statements });
    this.line = new Line({ ...parts, statements: this.statements });
  }

  /** Everything that can be wrong with the server is said here, and not at the first request. */
  static async open({ reads, direct, schema }: DatabaseSettings, options: StoreOptions): Promise<Database> {
    const pg = await loadPg();
    const waits = new Waits(options.time, options.leaseMs);
    const place = placeOf(pg, direct);
    const connector: Connector = { pg, config: direct, waits, place };
    const own = !isPool(reads);
    const pool = own ? new pg.Pool(poolConfig(reads, waits)) : reads;
    const reader = new Reader({ pool, own, place: placeOf(pg, pool.options), waits, logger: options.logger });
    const database = new Database(connector, reader, schema, options);
    try {
      await refusePooler(connector);
      const connection = await database.writer.connect();
      await migrate(connector, connection, schema);
      await database.line.test(connection);
      return database;
    } catch (error) {
      await database.close();
      throw storeFailure(place, error);
    }
  }

  get place(): string {
    return this.#connector.place;
  }

  /** A question, or a change that has no order. */
  async query(statement: Statement, values: readonly Value[], tries = TRIES): Promise<PgResult> {
    try {
      return await this.#reader.query(statement, values);
    } catch (error) {
      const again = tries > 1 && (isTransient(error) || isSchemaGone(error));
      if (!again) throw storeFailure(this.#reader.place, error);
      if (isSchemaGone(error)) await this.repair();
    }
    return this.query(statement, values, tries - 1);
  }

  /** The tables are gone: the server came back without its data, or somebody dropped them. Whatever was in them is missing. */
  repair(): Promise<void> {
    return (this.#repairing ??= this.#repair().finally(() => (this.#repairing = undefined)));
  }

  async close(): Promise<void> {
    await this.writer.close();
    await this.line.close();
    await this.#reader.close();
  }

  async #repair(): Promise<void> {
    const connection = await Connection.open(this.#connector, { durable: true });
    try {
      await migrate(this.#connector, connection, this.#schema);
    } catch (error) {
      throw storeFailure(this.place, error);
    } finally {
      await connection.close();
    }
  }
}
