/**
 * Reads, through a pool: the caller's, or the store's. Statements here change nothing that needs an order, so any
 * connection will do. None of them waits forever, whatever the pool does.
 */
import { noAnswer, notAsked, type Deadlines, type Logger } from 'sojourn/store-kit';
import { connectionStatements, settingsOf } from './connection-statements.ts';
import { isFatal, standby } from './failures.ts';
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
  readonly #heard = new WeakSet<PgPoolClient>();
  readonly #failed = (err: Error): void => {
    this.#options.logger.debug({ err }, 'A connection to PostgreSQL that reads was lost');
  };
  /**
   * A pool listens for errors of idle connections only. A new connection may deliver its server's first error in the
   * same packet as its first answer, before `connect` has resolved. An error without a listener would end the process.
   */
  readonly #acquired = (client: PgPoolClient): void => {
    if (this.#heard.has(client)) return;
    this.#heard.add(client);
    client.on('error', this.#failed);
  };
  #listens = false;

  constructor(options: PostgresReaderOptions) {
    this.#options = options;
    const { pool, own } = options;
    pool.on('acquire', this.#acquired);
    if (own || pool.listenerCount('error') === 0) {
      pool.on('error', this.#failed);
      this.#listens = true;
    }
  }

  get place(): string {
    return this.#options.place;
  }

  query(statement: Statement, values: readonly Value[]): Promise<PgResult> {
    const { pool, deadlines, place } = this.#options;
    let client: PgPoolClient | undefined;
    let late: Error | undefined;
    // A connection goes back to its pool once. With an error the pool closes it.
    const giveBack = (error?: Error): void => {
      client?.release(error);
      client = undefined;
    };
    const ask = async (): Promise<PgResult> => {
      const borrowed = await pool.connect();
      client = borrowed;
      try {
        if (late !== undefined) throw late;
        const prepares = this.#prepares.get(borrowed) ?? (await this.#prepare(borrowed));
        return await borrowed.query(queryOf(statement, values, prepares));
      } catch (error) {
        // Other errors of the server leave the connection usable.
        if (error !== late && isFatal(error)) giveBack(error as Error);
        throw error;
      } finally {
        giveBack();
      }
    };
    return deadlines.limit(ask(), () => {
      late = client === undefined ? notAsked(place, deadlines.limitMs) : noAnswer(place, deadlines.limitMs);
      giveBack(late);
      return late;
    });
  }

  async close(): Promise<void> {
    const { pool, own, deadlines, place } = this.#options;
    if (!own) pool.off('acquire', this.#acquired);
    // Connections of the store's pool may fail after `end` has resolved, so its listener stays.
    if (own) await deadlines.alive(pool.end(), () => noAnswer(place, deadlines.limitMs)).catch(() => undefined);
    else if (this.#listens) pool.off('error', this.#failed);
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
