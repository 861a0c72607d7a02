/**
 * Questions, through a pool: the caller's, or one of the store's own. What is asked here changes nothing that has an order, so
 * any connection will do; and none of it may wait for ever, whatever the pool does.
 */
import { afterTurn } from '../../options/system.ts';
import type { Logger } from '../../types.ts';
import { connectionStatements, settingsOf } from './connection-statements.ts';
import { isFatal, noAnswer, notAsked, standby, storeFailure } from './failures.ts';
import { queryOf, type PgPool, type PgPoolClient, type PgResult, type Statement, type Value } from './pg.ts';
import type { Waits } from './waits.ts';

export interface ReaderOptions {
  readonly pool: PgPool;
  /** The store's own: it is closed with it. */
  readonly own: boolean;
  readonly place: string;
  readonly waits: Waits;
  readonly logger: Logger;
}

export class Reader {
  readonly #options: ReaderOptions;
  /** Whether statements may stay prepared on a connection: not where a pooler may give each another server process. */
  readonly #prepares = new WeakMap<PgPoolClient, boolean>();
  readonly #failed = (err: Error): void => {
    this.#options.logger.debug({ err }, 'A connection to PostgreSQL that reads was lost');
  };
  /**
   * A pool stops listening to a connection when it gives it away, and one that has just been made may bring its server's first
   * error in the same packet as its first answer: before whoever asked for it can listen. That would end the process.
   */
  readonly #given = (client: PgPoolClient): void => {
    client.on('error', this.#failed);
    afterTurn(() => client.off('error', this.#failed));
  };
  #listens = false;

  constructor(options: ReaderOptions) {
    this.#options = options;
    const { pool, own } = options;
    pool.on('acquire', this.#given);
    // An error that nobody listens to would end the process.
    if (own || pool.listenerCount('error') === 0) {
      pool.on('error', this.#failed);
      this.#listens = true;
    }
  }

  get place(): string {
    return this.#options.place;
  }

  async query(statement: Statement, values: readonly Value[]): Promise<PgResult> {
    const { waits, place } = this.#options;
    const loan = new Loan(this.#failed);
    return waits.limit(this.#ask(loan, statement, values), () => {
      const late = loan.client === undefined ? notAsked(place, waits.limitMs) : noAnswer(place, waits.limitMs);
      // One that the pool gives later goes back unused.
      loan.end(late);
      return late;
    });
  }

  async close(): Promise<void> {
    const { pool, own, waits, place } = this.#options;
    if (!own) pool.off('acquire', this.#given);
    // Its connections may fail after `end` has resolved.
    if (own) await waits.alive(pool.end(), () => noAnswer(place, waits.limitMs)).catch(() => undefined);
    else if (this.#listens) pool.off('error', this.#failed);
  }

  async #ask(loan: Loan, statement: Statement, values: readonly Value[]): Promise<PgResult> {
    const { pool, place, waits } = this.#options;
    const client = await pool.connect().catch((error: unknown) => {
      throw storeFailure(place, error);
    });
    if (!loan.begin(client)) throw notAsked(place, waits.limitMs);
    try {
      const prepares = this.#prepares.get(client) ?? (await this.#meet(client));
      const result = await client.query(queryOf(statement, values, prepares));
      loan.end();
      return result;
    } catch (error) {
      // What else the server says in answer leaves the connection as good as it was.
      loan.end(isFatal(error) ? (error as Error) : undefined);
      throw error;
    }
  }

  /** Of a connection that is new here: whether its statements stay prepared. */
  async #meet(client: PgPoolClient): Promise<boolean> {
    const { own, place, waits } = this.#options;
    const { setUp, whoAnswers } = connectionStatements;
    const [pid, recovering] = (await client.query(queryOf(whoAnswers, [], false))).rows[0] ?? [];
    if (recovering === 't') throw standby(place);
    const prepares = Number(pid) === client.processID;
    // The caller's connections stay as they are, and so do those that a pooler lends to others.
    if (own && prepares) await client.query(queryOf(setUp, settingsOf(waits.limitMs, true), false));
    this.#prepares.set(client, prepares);
    return prepares;
  }
}

/** A connection of the pool, from when it is given until it goes back, once. */
class Loan {
  readonly #failed: (err: Error) => void;
  client: PgPoolClient | undefined;
  #over = false;

  constructor(failed: (err: Error) => void) {
    this.#failed = failed;
  }

  /** `false`: nobody waits for it any more. */
  begin(client: PgPoolClient): boolean {
    if (this.#over) client.release();
    else {
      this.client = client;
      // The pool listens to those that are idle only.
      client.on('error', this.#failed);
    }
    return !this.#over;
  }

  /** With a failure the connection is of no more use. */
  end(failure?: Error): void {
    if (this.#over) return;
    this.#over = true;
    this.client?.off('error', this.#failed);
    this.client?.release(failure);
  }
}
