/**
 * A connection that is opened when it is needed, and opened again after it was lost. A statement of an earlier one may
 * still run then: it changes nothing that was changed since (`kernel/backend.ts`).
 */
import { storeClosed, type RandomSource } from 'sojourn/store-kit';
import { Connection, type ConnectionUse, type Connector } from './connection.ts';
import { connectionStatements } from './connection-statements.ts';
import { storeFailure } from './failures.ts';

const KEY_BYTES = 8;
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

  /** Gives back the locks that it holds, then closes. */
  async close(locks: Iterable<string> = []): Promise<void> {
    this.#closed = true;
    await this.#connecting?.catch(() => undefined);
    const connection = this.current;
    if (connection === undefined) return;
    await Promise.all([...locks].map((key) => giveBackLock(connection, key)));
    await connection.close();
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

/** A text, because `pg` would round a number. */
export function newLockKey(random: RandomSource): string {
  return Buffer.from(random(KEY_BYTES)).readBigInt64BE().toString();
}

/**
 * A lock under a random key, which only this process uses. If it is taken, the holder is an earlier connection of this
 * process that the server still considers open: after a cut network, or on a frozen server. That one is ended.
 */
export async function takeOwnLock(connection: Connection, key: string): Promise<void> {
  const { rows } = await connection.query(connectionStatements.lock, [key]);
  if (rows[0]?.[0] === 't') return;
  await connection.query(connectionStatements.endHolder, [key]);
  await connection.query(connectionStatements.waitForLock, [key]);
}

/** Before its connection closes: behind a pooler that keeps the server process, the lock would remain. */
export async function giveBackLock(connection: Connection, key: string): Promise<void> {
  await connection.query(connectionStatements.unlock, [key]).catch(() => undefined);
}
