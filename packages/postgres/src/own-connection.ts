/**
 * A connection that is opened when it is needed, and opened again after it was lost. A statement of an earlier one may
 * still run then: it changes nothing that was changed since (`kernel/backend.ts`).
 */
import { storeClosed } from 'sojourn/store-kit';
import { Connection, type ConnectionUse, type Connector } from './connection.ts';
import { isFatal, storeFailure } from './failures.ts';
import type { PgResult, Statement, Value } from './pg.ts';

/** The pause after a failed connection attempt: requests come by the thousand. */
const PAUSE_MS = 50;

export interface OwnConnectionUse extends Omit<ConnectionUse, 'lost'> {
  /** Prepares a new connection before its first use. */
  prepare?(connection: Connection): Promise<unknown>;
  opened?(): void;
  lost?(): void;
}

export class OwnConnection {
  readonly #connector: Connector;
  readonly #use: OwnConnectionUse;
  #connection: Connection | undefined;
  #connecting: Promise<Connection> | undefined;
  #pausedUntil = -Infinity;
  #pausedBy: unknown;
  #closed = false;

  constructor(connector: Connector, use: OwnConnectionUse) {
    this.#connector = connector;
    this.#use = use;
  }

  /** The open connection. */
  get current(): Connection | undefined {
    return this.#connection?.closed === false ? this.#connection : undefined;
  }

  /** The open connection; a new one if there is none. */
  ready(): Promise<Connection> {
    if (this.current !== undefined) return Promise.resolve(this.current);
    return (this.#connecting ??= this.#open().finally(() => (this.#connecting = undefined)));
  }

  /** Rejects with the error of the server. One that ends the connection closes it here too. */
  async query(statement: Statement, values: readonly Value[]): Promise<PgResult> {
    const connection = await this.ready();
    try {
      return await connection.query(statement, values);
    } catch (error) {
      if (isFatal(error)) connection.destroy(storeFailure(connection.place, error));
      throw error;
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#connecting?.catch(() => undefined);
    await this.current?.close();
  }

  async #open(): Promise<Connection> {
    const { place, deadlines } = this.#connector;
    if (this.#closed) throw storeClosed(place);
    if (deadlines.now() < this.#pausedUntil) throw this.#pausedBy;
    try {
      const connection: Connection = await Connection.open(this.#connector, {
        ...this.#use,
        lost: () => this.#lose(connection),
      });
      try {
        await this.#use.prepare?.(connection);
      } catch (error) {
        connection.destroy(storeFailure(place, error));
        throw storeFailure(place, error);
      }
      this.#connection = connection;
      this.#use.opened?.();
      return connection;
    } catch (error) {
      this.#pausedUntil = deadlines.now() + PAUSE_MS;
      this.#pausedBy = error;
      throw error;
    }
  }

  #lose(connection: Connection): void {
    if (this.#connection !== connection) return;
    this.#connection = undefined;
    this.#use.lost?.();
  }
}
