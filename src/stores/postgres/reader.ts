/**
 * Questions, through a pool: the caller's, or one of the store's own. What is asked here changes nothing that has an order, so
 * any connection will do; and none of it may wait for ever, whatever the pool does.
 */
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
  #listens = false;

  constructor(options: ReaderOptions) {
    this.#options = options;
    const { pool, own } = options;
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
    const client = await this.#checkOut();
    // The pool listens to those that are idle only.
    client.on('error', this.#failed);
    let failure: Error | undefined;
    try {
      const asked = this.#ask(client, statement, values);
      return await waits.limit(asked, () => (failure = noAnswer(place, waits.limitMs)));
    } catch (error) {
      // What else the server says in answer leaves the connection as good as it was.
      if (isFatal(error)) failure ??= error as Error;
      throw error;
    } finally {
      client.off('error', this.#failed);
      client.release(failure);
    }
  }

  async close(): Promise<void> {
    const { pool, own, waits, place } = this.#options;
    if (own) await waits.alive(pool.end(), () => noAnswer(place, waits.limitMs)).catch(() => undefined);
    if (this.#listens) pool.off('error', this.#failed);
  }

  async #ask(client: PgPoolClient, statement: Statement, values: readonly Value[]): Promise<PgResult> {
    let prepares = this.#prepares.get(client);
    if (prepares === undefined) {
      const { own, place, waits } = this.#options;
      const { setUp, whoAnswers } = connectionStatements;
      // The caller's connections stay as they are.
      const first = own ? queryOf(setUp, settingsOf(waits.limitMs, true), false) : queryOf(whoAnswers, [], false);
      const [pid, recovering] = (await client.query(first)).rows[0] ?? [];
      if (recovering === 't') throw standby(place);
      prepares = Number(pid) === client.processID;
      this.#prepares.set(client, prepares);
    }
    return client.query(queryOf(statement, values, prepares));
  }

  /** One that the pool gives too late goes back unused. */
  async #checkOut(): Promise<PgPoolClient> {
    const { pool, waits, place } = this.#options;
    const asked = pool.connect();
    let late = false;
    asked.then(
      (client) => {
        if (late) client.release();
      },
      () => undefined,
    );
    try {
      return await waits.limit(asked, () => {
        late = true;
        return notAsked(place, waits.limitMs);
      });
    } catch (error) {
      throw storeFailure(place, error);
    }
  }
}
