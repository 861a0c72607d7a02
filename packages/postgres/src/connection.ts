/**
 * One connection of the store to the server: for writes, or for notifications.
 *
 *     connecting ──▶ open ──close | lost | no answer──▶ closed
 *
 * Statements are sent without waiting for each other. The server runs and answers them in order. A statement without an
 * answer in time closes the connection: then every pending statement has an unknown outcome. This class never retries.
 */
import { connectionStatements, settingsOf } from './connection-statements.ts';
import { PendingReplies, noAnswer, type Deadlines } from 'sojourn/store-kit';
import { connectionLost, notUtf8, readOnlyByDefault, standby, storeFailure, tooOld } from './failures.ts';
import { queryOf, type Pg, type PgClient, type PgConfig, type PgResult, type Statement, type Value } from './pg.ts';

/** 13 is the oldest version in use. */
const MIN_VERSION = 130_000;
/** How often the server checks, in ms, that a client with a running statement is still connected. */
const CHECK_INTERVAL_MS = 500;

/** Silence before the operating system probes the connection. */
export const KEEP_ALIVE_MS = 10_000;

/** How a store makes its connections. */
export interface Connector {
  readonly pg: Pg;
  readonly config: PgConfig;
  readonly deadlines: Deadlines;
  /** The name of the server in errors. */
  readonly place: string;
}

/** The name of the server in errors, without user and password. */
export function placeOf(pg: Pg, config: PgConfig): string {
  const { host, port, database } = new pg.Client(config);
  return `PostgreSQL at ${host}:${port}/${database ?? ''}`;
}

/** What differs between the two uses of a connection. */
export interface ConnectionUse {
  /** The server waits for its disk before it answers. */
  readonly durable: boolean;
  /**
   * Queries only: leaves the session settings unchanged, because a pooler may lend the server process to another
   * program.
   */
  readonly asIs?: boolean;
  /** Called for each notification on a channel of this connection. */
  notified?(payload: string): void;
  /** Called once when an open connection is lost; not by `close`. */
  lost?(error: Error): void;
}

export class Connection {
  readonly place: string;
  readonly deadlines: Deadlines;
  readonly #client: PgClient;
  readonly #use: ConnectionUse;
  readonly #pending: PendingReplies;
  #closed: Error | undefined;
  #pid = 0;
  #opened = false;

  private constructor({ pg, config, deadlines, place }: Connector, use: ConnectionUse) {
    this.place = place;
    this.deadlines = deadlines;
    this.#use = use;
    this.#pending = new PendingReplies(deadlines, () => this.destroy(noAnswer(place, deadlines.limitMs)));
    const { query_timeout: _query, statement_timeout: _statement, ...own } = config;
    this.#client = new pg.Client({
      fallback_application_name: 'sojourn',
      ...own,
      keepAlive: true,
      keepAliveInitialDelayMillis: KEEP_ALIVE_MS,
      pipeline: true,
      binary: false,
      // A pool makes its password non-enumerable, so the spread above does not copy it.
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

  /** The id of the server process. */
  get pid(): number {
    return this.#pid;
  }

  get closed(): boolean {
    return this.#closed !== undefined;
  }

  /** Rejects with the server's error, or with the reason for the lost connection. */
  async query(statement: Statement, values: readonly Value[] = []): Promise<PgResult> {
    if (this.#closed !== undefined) throw this.#closed;
    if (this.#pending.sent() === 1) this.#client.ref();
    try {
      return await this.#client.query(queryOf(statement, values, true));
    } catch (error) {
      throw this.#closed ?? error;
    } finally {
      // An idle connection does not keep the process alive. A closed socket would add a listener at each call.
      if (this.#pending.received() === 0 && this.#closed === undefined) this.#client.unref();
    }
  }

  /** Pending statements are still answered, if the server answers. */
  async close(): Promise<void> {
    if (this.#closed !== undefined) return;
    this.#closed = connectionLost(this.place);
    const ended = this.#client.end();
    await this.deadlines.alive(ended, () => noAnswer(this.place, this.deadlines.limitMs)).catch(() => undefined);
    this.#end(this.#closed);
  }

  /** Closes at once: pending statements have an unknown outcome. */
  destroy(error: Error): void {
    if (this.#closed !== undefined) return;
    this.#end(error);
    if (this.#opened) this.#use.lost?.(error);
  }

  async #open(): Promise<void> {
    const { limitMs } = this.deadlines;
    await this.deadlines.answered(this.place, this.#client.connect());
    const { asIs = false, durable } = this.#use;
    const { setUp, serverState } = connectionStatements;
    const { rows } = await (asIs ? this.query(serverState) : this.query(setUp, settingsOf(limitMs, durable)));
    const [pid, recovering, number, version, encoding, interval, readOnly] = rows[0] ?? [];
    this.#pid = Number(pid);
    if (Number(number) < MIN_VERSION) throw tooOld(this.place, version ?? '');
    if (encoding !== 'UTF8') throw notUtf8(this.place, encoding ?? '');
    if (recovering === 't') throw standby(this.place);
    if (readOnly === 'on') throw readOnlyByDefault(this.place);
    if (asIs || interval === null) return;
    // Exists since PostgreSQL 14, and not on every system. Later statements come after it: no need to wait.
    this.query(connectionStatements.checkInterval, [String(CHECK_INTERVAL_MS)]).catch(() => undefined);
  }

  #end(error: Error): void {
    this.#closed ??= error;
    this.#pending.stop();
    this.#client.connection.stream.destroy();
  }
}
