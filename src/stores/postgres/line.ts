/**
 * The connection on which this process is reached, one for all its instances: it listens on a channel of its own, holds a
 * lock for each instance, and carries their leases and what they send.
 *
 *     closed ──ready()──▶ connecting ──▶ open ──lost──▶ closed
 *
 * A lock that is free says that its holder's connection is gone, which is a suspicion and nothing more: the server has been
 * restarted, the network was cut. When the connection is lost every instance is told, for others may bury it now; what
 * was sent to it meanwhile waits in its mailbox and is read when the line is open again.
 *
 * Nothing here waits for the disk: what a crash of the server can take is a lease, or a message of that moment.
 */
import type { RandomSource } from '../../options/system.ts';
import { Connection, type Connector } from './connection.ts';
import { connectionStatements } from './connection-statements.ts';
import { isFatal, isSchemaGone, noAnswer, storeClosed, storeFailure } from './failures.ts';
import type { InstanceStatements } from './instance-statements.ts';
import { giveBackLock, newLockKey, takeOwnLock } from './own-lock.ts';
import type { PgResult, Row, Statement, Value } from './pg.ts';
import { testLine } from './self-test.ts';
import type { Waits } from './waits.ts';

/** An instance that is reached here. */
export interface Listener {
  /** The key of its lock and of its messages. */
  readonly mailbox: string;
  /** Columns of `receive`: mailbox, version, sender, number, body. */
  receive(messages: readonly Row[]): void;
  lost(): void;
}

export interface LineOptions {
  readonly connector: Connector;
  readonly waits: Waits;
  readonly random: RandomSource;
  readonly statements: InstanceStatements;
  repair(): Promise<void>;
}

/** After a connection could not be made nobody tries again for so long. */
const PAUSE_MS = 50;
const CHANNEL_BYTES = 10;

/** What a look at the mailboxes has seen: every transaction before `end` but for those that were `running`. */
interface Look {
  readonly end: string;
  readonly running: readonly string[];
}

const NOTHING_SEEN: Look = { end: '0', running: [] };

export class Line {
  readonly channel: string;
  readonly #options: LineOptions;
  readonly #lock: string;
  readonly #listeners = new Map<string, Listener>();
  readonly #words = new Map<string, () => void>();
  #connection: Connection | undefined;
  #connecting: Promise<Connection> | undefined;
  #receiving = false;
  #more = false;
  /** By this connection. */
  #seen = NOTHING_SEEN;
  #pausedUntil = -Infinity;
  #pausedBy: unknown;
  #closed = false;

  constructor(options: LineOptions) {
    this.#options = options;
    this.channel = `sojourn_${Buffer.from(options.random(CHANNEL_BYTES)).toString('hex')}`;
    this.#lock = newLockKey(options.random);
  }

  /** Opens it when it is not. */
  ready(): Promise<Connection> {
    if (this.#connection?.closed === false) return Promise.resolve(this.#connection);
    return (this.#connecting ??= this.#open().finally(() => (this.#connecting = undefined)));
  }

  /** As the start of everything: whether what is said on this line is heard on it. `other`: another connection. */
  async test(other: Connection): Promise<void> {
    const line = await this.ready();
    const heard = (word: string): Promise<void> => new Promise((done) => this.#words.set(word, done));
    const { waits } = this.#options;
    try {
      await testLine({ line, other, channel: this.channel, lock: this.#lock, heard, waits });
    } finally {
      this.#words.clear();
    }
  }

  query(statement: Statement, values: readonly Value[]): Promise<PgResult> {
    const { waits, connector } = this.#options;
    return waits.limit(this.#query(statement, values), () => noAnswer(connector.place, waits.limitMs));
  }

  /** Takes the lock of an instance, before anybody knows of it. */
  async listen(listener: Listener): Promise<void> {
    const connection = await this.ready();
    this.#listeners.set(listener.mailbox, listener);
    try {
      await takeOwnLock(connection, listener.mailbox);
    } catch (error) {
      this.#listeners.delete(listener.mailbox);
      throw storeFailure(connection.place, error);
    }
  }

  /** Nobody is reached under it any more. */
  async hangUp(mailbox: string): Promise<void> {
    if (!this.#listeners.delete(mailbox) || this.#connection?.closed !== false) return;
    await giveBackLock(this.#connection, mailbox);
  }

  hears(mailbox: string): boolean {
    return this.#listeners.has(mailbox);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#connecting?.catch(() => undefined);
    const connection = this.#connection;
    if (connection === undefined) return;
    const keys = [this.#lock, ...this.#listeners.keys()];
    this.#listeners.clear();
    await Promise.all(keys.map((key) => giveBackLock(connection, key)));
    await connection.close();
  }

  async #query(statement: Statement, values: readonly Value[], tries = 2): Promise<PgResult> {
    const connection = await this.ready();
    try {
      return await connection.query(statement, values);
    } catch (error) {
      if (isFatal(error)) connection.destroy(storeFailure(connection.place, error));
      if (!isSchemaGone(error) || tries === 1) throw storeFailure(connection.place, error);
    }
    await this.#options.repair();
    return this.#query(statement, values, tries - 1);
  }

  async #open(): Promise<Connection> {
    const { connector, waits } = this.#options;
    if (this.#closed) throw storeClosed(connector.place);
    if (waits.now() < this.#pausedUntil) throw this.#pausedBy;
    try {
      const connection: Connection = await Connection.open(connector, {
        durable: false,
        notified: (word) => this.#hear(word),
        lost: () => this.#lose(connection),
      });
      try {
        await connection.query(connectionStatements.listen(this.channel));
        for (const key of [this.#lock, ...this.#listeners.keys()]) await takeOwnLock(connection, key);
      } catch (error) {
        connection.destroy(storeFailure(connection.place, error));
        throw storeFailure(connection.place, error);
      }
      this.#connection = connection;
      this.#seen = NOTHING_SEEN;
      // What came while nobody listened.
      this.#receive();
      return connection;
    } catch (error) {
      this.#pausedUntil = waits.now() + PAUSE_MS;
      this.#pausedBy = error;
      throw error;
    }
  }

  #lose(connection: Connection): void {
    if (this.#connection !== connection) return;
    this.#connection = undefined;
    for (const { lost } of this.#listeners.values()) lost();
  }

  #hear(word: string): void {
    if (word === '') return this.#receive();
    this.#words.get(word)?.();
    this.#words.delete(word);
  }

  /** One look at a time; what is said meanwhile asks for another. */
  #receive(): void {
    this.#more = true;
    if (this.#receiving || this.#listeners.size === 0) return;
    this.#receiving = true;
    void this.#receiveAll();
  }

  async #receiveAll(): Promise<void> {
    while (this.#more && this.#connection?.closed === false) {
      this.#more = false;
      const connection = this.#connection;
      const mailboxes = [...this.#listeners.keys()];
      try {
        const { end, running } = this.#seen;
        const { rows } = await connection.query(this.#options.statements.receive, [mailboxes, end, running]);
        if (this.#connection === connection) this.#seen = lookOf(rows.at(-1));
        this.#deliver(rows.slice(0, -1));
      } catch (error) {
        // Whoever renews its lease finds out what is wrong. Nothing is lost: the messages are where they were.
        if (isFatal(error)) connection.destroy(storeFailure(connection.place, error));
      }
    }
    this.#receiving = false;
  }

  /** Of one sender in the order of sending; a batch of rows has none. */
  #deliver(rows: readonly Row[]): void {
    const byMailbox = new Map<string, Row[]>();
    for (const row of rows) {
      const known = byMailbox.get(row[0] ?? '');
      if (known === undefined) byMailbox.set(row[0] ?? '', [row]);
      else known.push(row);
    }
    for (const [mailbox, all] of byMailbox) {
      all.sort((a, b) => Number(a[3]) - Number(b[3]));
      this.#listeners.get(mailbox)?.receive(all);
    }
  }
}

/** A snapshot as the server writes it: `xmin:xmax:xip_list`. */
function lookOf(row: Row | undefined): Look {
  const [, end = '0', running = ''] = row?.[4]?.split(':') ?? [];
  return { end, running: running === '' ? [] : running.split(',') };
}
