/**
 * Reads, through a pool: the caller's, or the store's. Statements here change nothing that needs an order, so any
 * connection will do. None of them waits forever, whatever the pool does.
 */
import { afterTurn, noAnswer, notAsked, type Deadlines, type Logger } from 'sojourn/store-kit';
import { connectionStatements, settingsOf } from './connection-statements.ts';
import { isFatal, standby, storeFailure } from './failures.ts';
import { queryOf, type PgPool, type PgPoolClient, type PgResult, type Statement, type Value } from './pg.ts';

export interface PostgresReaderOptions {
  readonly pool: PgPool;
  /** The store made the pool, so it closes it. */
  readonly own: boolean;
  readonly place: string;
  readonly deadlines: Deadlines;
  readonly logger: Logger;
}

export class PostgresReader {
  readonly #options: PostgresReaderOptions;
  /**
   * Whether statements may stay prepared on a connection; they may not where a pooler can switch the server process.
   */
  readonly #prepares = new WeakMap<PgPoolClient, boolean>();
  readonly #failed = (err: Error): void => {
    this.#options.logger.debug({ err }, 'A connection to PostgreSQL that reads was lost');
  };
  /**
   * A pool stops listening for errors of a connection when it hands it out. A new connection may deliver its server's
   * first error in the same packet as its first answer, before the caller can listen. Without this listener that would
   * end the process.
   */
  readonly #listenOnAcquire = (client: PgPoolClient): void => {
    client.on('error', this.#failed);
    afterTurn(() => client.off('error', this.#failed));
  };
  #listens = false;

  constructor(options: PostgresReaderOptions) {
    this.#options = options;
    const { pool, own } = options;
    pool.on('acquire', this.#listenOnAcquire);
    // An error event without a listener would end the process.
    if (own || pool.listenerCount('error') === 0) {
      pool.on('error', this.#failed);
      this.#listens = true;
    }
  }

  get place(): string {
    return this.#options.place;
  }

  async query(statement: Statement, values: readonly Value[]): Promise<PgResult> {
    const { deadlines, place } = this.#options;
    const borrowed = new BorrowedClient(this.#failed);
    return deadlines.limit(this.#ask(borrowed, statement, values), () => {
      const late =
        borrowed.client === undefined ? notAsked(place, deadlines.limitMs) : noAnswer(place, deadlines.limitMs);
      // If the pool delivers a connection later, it goes back unused.
      borrowed.end(late);
      return late;
    });
  }

  async close(): Promise<void> {
    const { pool, own, deadlines, place } = this.#options;
    if (!own) pool.off('acquire', this.#listenOnAcquire);
    // Connections of the store's pool may fail after `end` has resolved, so its listener stays.
    if (own) await deadlines.alive(pool.end(), () => noAnswer(place, deadlines.limitMs)).catch(() => undefined);
    else if (this.#listens) pool.off('error', this.#failed);
  }

  async #ask(borrowed: BorrowedClient, statement: Statement, values: readonly Value[]): Promise<PgResult> {
    const { pool, place, deadlines } = this.#options;
    const client = await pool.connect().catch((error: unknown) => {
      throw storeFailure(place, error);
    });
    if (!borrowed.begin(client)) throw notAsked(place, deadlines.limitMs);
    try {
      const prepares = this.#prepares.get(client) ?? (await this.#prepare(client));
      const result = await client.query(queryOf(statement, values, prepares));
      borrowed.end();
      return result;
    } catch (error) {
      // Other errors of the server leave the connection usable.
      borrowed.end(isFatal(error) ? (error as Error) : undefined);
      throw error;
    }
  }

  /** Checks a new connection: whether its statements stay prepared. */
  async #prepare(client: PgPoolClient): Promise<boolean> {
    const { own, place, deadlines } = this.#options;
    const { setUp, serverState } = connectionStatements;
    const [pid, recovering] = (await client.query(queryOf(serverState, [], false))).rows[0] ?? [];
    if (recovering === 't') throw standby(place);
    const prepares = Number(pid) === client.processID;
    // Connections of the caller keep their settings, and so do those that a pooler lends to other programs.
    if (own && prepares) await client.query(queryOf(setUp, settingsOf(deadlines.limitMs, true), false));
    this.#prepares.set(client, prepares);
    return prepares;
  }
}

/** A connection of the pool, from the moment it is handed out until it goes back, once. */
class BorrowedClient {
  readonly #failed: (err: Error) => void;
  client: PgPoolClient | undefined;
  #over = false;

  constructor(failed: (err: Error) => void) {
    this.#failed = failed;
  }

  /** `false`: the caller has given up. */
  begin(client: PgPoolClient): boolean {
    if (this.#over) client.release();
    else {
      this.client = client;
      // The pool listens for errors of idle connections only.
      client.on('error', this.#failed);
    }
    return !this.#over;
  }

  /** With a failure the pool closes the connection. */
  end(failure?: Error): void {
    if (this.#over) return;
    this.#over = true;
    this.client?.off('error', this.#failed);
    this.client?.release(failure);
  }
}
