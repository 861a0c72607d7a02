/**
 * One connection to the server that is the store's own: the one that writes, or the one that listens.
 *
 *     connecting ──▶ open ──close | lost | no answer──▶ closed
 *
 * Statements may be sent without waiting for each other; the server does them, and answers, in the order of asking. One that
 * is not answered in time takes the connection with it: whatever was asked for has no known outcome then. Nothing is
 * ever tried again here.
 */
import { connectionStatements, settingsOf } from './connection-statements.ts';
import { connectionLost, noAnswer, notUtf8, standby, storeFailure, tooOld } from './failures.ts';
import { queryOf, type Pg, type PgClient, type PgConfig, type PgResult, type Statement, type Value } from './pg.ts';
import type { Waits } from './waits.ts';

/** 13: the oldest that is still in use. */
const LEAST_VERSION = 130_000;
/** ms between two looks of the server whether a client that waits for it is still there. */
const CHECK_INTERVAL_MS = 500;

/** Of silence, before the system asks whether the other side is there. */
export const KEEP_ALIVE_MS = 10_000;

/** How the connections of a store are made. */
export interface Connector {
  readonly pg: Pg;
  readonly config: PgConfig;
  readonly waits: Waits;
  /** What errors call the server. */
  readonly place: string;
}

/** How errors name the server that is meant: without user and password. */
export function placeOf(pg: Pg, config: PgConfig): string {
  const { host, port, database } = new pg.Client(config);
  return `PostgreSQL at ${host}:${port}/${database ?? ''}`;
}

/** What differs by use. */
export interface ConnectionUse {
  /** Waits for the disk before it answers. */
  readonly durable: boolean;
  /** Only asks: the server's side of the connection, which may be another program's next, stays as it is. */
  readonly asIs?: boolean;
  /** Somebody said something on a channel that it listens to. */
  notified?(payload: string): void;
  /** Once, after it was open; not by `close`. */
  lost?(error: Error): void;
}

export class Connection {
  readonly place: string;
  readonly #client: PgClient;
  readonly #waits: Waits;
  readonly #use: ConnectionUse;
  /** When what is not answered yet was asked for, oldest first. */
  readonly #asked: number[] = [];
  #watch: unknown;
  #closed: Error | undefined;
  #pid = 0;
  #opened = false;

  private constructor({ pg, config, waits, place }: Connector, use: ConnectionUse) {
    this.place = place;
    this.#waits = waits;
    this.#use = use;
    const { query_timeout: _query, statement_timeout: _statement, ...own } = config;
    this.#client = new pg.Client({
      fallback_application_name: 'sojourn',
      ...own,
      keepAlive: true,
      keepAliveInitialDelayMillis: KEEP_ALIVE_MS,
      pipeline: true,
      binary: false,
      // A pool hides its password from spreading.
      password: config['password'],
    });
    this.#client.on('error', (error: Error) => this.destroy(connectionLost(this.place, error)));
    this.#client.on('end', () => this.destroy(connectionLost(this.place)));
    this.#client.on('notification', ({ payload }: { payload?: string }) => this.#use.notified?.(payload ?? ''));
  }

  static async open(connector: Connector, use: ConnectionUse): Promise<Connection> {
    const connection = new Connection(connector, use);
    try {
      await connection.#open();
      connection.#opened = true;
      return connection;
    } catch (cause) {
      const error = storeFailure(connection.place, cause);
      connection.#end(error);
      throw error;
    }
  }

  /** Of the server's process. */
  get pid(): number {
    return this.#pid;
  }

  /** Something between us and the server speaks for it. */
  get pooled(): boolean {
    const { processID } = this.#client;
    return processID !== null && processID !== this.#pid;
  }

  get closed(): boolean {
    return this.#closed !== undefined;
  }

  /** Rejects with what the server says, or with what the connection was lost by. `named`: may stay prepared. */
  async query(statement: Statement, values: readonly Value[] = [], named = true): Promise<PgResult> {
    if (this.#closed !== undefined) throw this.#closed;
    if (this.#asked.push(this.#waits.now()) === 1) this.#client.ref();
    if (this.#watch === undefined) this.#watchFor(this.#waits.limitMs);
    try {
      return await this.#client.query(queryOf(statement, values, named));
    } catch (error) {
      throw this.#closed ?? error;
    } finally {
      this.#asked.shift();
      // One that waits for nothing keeps no process alive.
      if (this.#asked.length === 0) this.#client.unref();
    }
  }

  /** What was asked for is still answered, if the server answers. */
  async close(): Promise<void> {
    if (this.#closed !== undefined) return;
    this.#closed = connectionLost(this.place);
    const ended = this.#client.end();
    await this.#waits.alive(ended, () => noAnswer(this.place, this.#waits.limitMs)).catch(() => undefined);
    this.#end(this.#closed);
  }

  /** At once: what was asked for has no known outcome. */
  destroy(error: Error): void {
    if (this.#closed !== undefined) return;
    this.#end(error);
    if (this.#opened) this.#use.lost?.(error);
  }

  async #open(): Promise<void> {
    const { limitMs } = this.#waits;
    await this.#waits.limit(this.#client.connect(), () => noAnswer(this.place, limitMs));
    const { asIs = false, durable } = this.#use;
    const { setUp, whoAnswers } = connectionStatements;
    const { rows } = await (asIs ? this.query(whoAnswers) : this.query(setUp, settingsOf(limitMs, durable)));
    const [pid, recovering, number, version, encoding, interval] = rows[0] ?? [];
    this.#pid = Number(pid);
    if (Number(number) < LEAST_VERSION) throw tooOld(this.place, version ?? '');
    if (encoding !== 'UTF8') throw notUtf8(this.place, encoding ?? '');
    if (recovering === 't') throw standby(this.place);
    if (asIs || interval === null) return;
    // Since 14, and not on every system.
    await this.query(connectionStatements.checkInterval, [String(CHECK_INTERVAL_MS)]).catch(() => undefined);
  }

  /** Looks again when the oldest question would be too old: no timer for each of them. */
  #watchFor(ms: number): void {
    this.#watch = this.#waits.after(ms, () => {
      this.#watch = undefined;
      const oldest = this.#asked[0];
      if (oldest === undefined) return;
      const { limitMs } = this.#waits;
      const left = oldest + limitMs - this.#waits.now();
      if (left > 0) this.#watchFor(left);
      else this.destroy(noAnswer(this.place, limitMs));
    });
  }

  #end(error: Error): void {
    this.#closed ??= error;
    this.#waits.cancel(this.#watch);
    this.#watch = undefined;
    this.#client.connection.stream.destroy();
  }
}
