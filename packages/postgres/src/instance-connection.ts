/**
 * The connection that carries the instances of this process: it listens on a channel, holds a lock for each instance,
 * renews leases and sends messages.
 *
 *     closed ──ready()──▶ connecting ──▶ open ──lost──▶ closed
 *
 * A free lock means that its holder's connection is closed. That is a suspicion and no proof: the server may have
 * restarted, or the network may have been cut. When the connection is lost, every listener is called, because other
 * instances may bury its instance now. Messages that arrive in between wait in the mailbox and are read after the
 * reconnect.
 *
 * Writes here do not wait for the disk: a crash of the server can lose a lease, or a message of that moment.
 */
import type { RandomSource } from 'sojourn/store-kit';
import type { Connection, Connector } from './connection.ts';
import { connectionStatements } from './connection-statements.ts';
import { isFatal, isSchemaGone, storeFailure } from './failures.ts';
import type { InstanceStatements } from './instance-statements.ts';
import { giveBackLock, newLockKey, OwnConnection, takeOwnLock } from './own-connection.ts';
import type { PgResult, Row, Statement, Value } from './pg.ts';
import { testListening } from './self-test.ts';

/** An instance that receives on this connection. */
export interface Listener {
  /** The key of its lock and of its messages. */
  readonly mailbox: string;
  /** Columns of `receive`: mailbox, version, sender, number, body. */
  receive(messages: readonly Row[]): void;
  lost(): void;
}

export interface InstanceConnectionOptions {
  readonly connector: Connector;
  readonly random: RandomSource;
  readonly statements: InstanceStatements;
  repair(): Promise<void>;
  /** The server is there: other connections to it can be opened too. */
  opened(): void;
}

const CHANNEL_BYTES = 10;

/** The snapshot of a read of the mailboxes: it saw every transaction before `end`, except those in `running`. */
interface MailboxSnapshot {
  readonly end: string;
  readonly running: readonly string[];
}

const NO_SNAPSHOT: MailboxSnapshot = { end: '0', running: [] };

export class InstanceConnection {
  readonly channel: string;
  readonly #options: InstanceConnectionOptions;
  readonly #own: OwnConnection;
  /** The test at the start recognizes this connection by it. */
  readonly #lock: string;
  readonly #listeners = new Map<string, Listener>();
  readonly #words = new Map<string, () => void>();
  #receiving = false;
  #more = false;
  /** The last snapshot of this connection. */
  #snapshot = NO_SNAPSHOT;

  constructor(options: InstanceConnectionOptions) {
    this.#options = options;
    this.channel = `sojourn_${Buffer.from(options.random(CHANNEL_BYTES)).toString('hex')}`;
    this.#lock = newLockKey(options.random);
    this.#own = new OwnConnection(options.connector, {
      durable: false,
      notified: (word) => this.#hear(word),
      prepare: (connection) => this.#prepare(connection),
      opened: () => {
        this.#snapshot = NO_SNAPSHOT;
        options.opened();
        // Reads what arrived before LISTEN.
        this.#receive();
      },
      lost: () => {
        for (const { lost } of this.#listeners.values()) lost();
      },
    });
  }

  /** Opens the connection if it is not open. */
  ready(): Promise<Connection> {
    return this.#own.ready();
  }

  /** Tests at start that this connection receives its notifications. `other`: another connection to the server. */
  async test(other: Connection): Promise<void> {
    const listening = await this.ready();
    const heard = (word: string): Promise<void> => new Promise((done) => this.#words.set(word, done));
    try {
      await testListening({ listening, other, channel: this.channel, lock: this.#lock, heard });
    } finally {
      this.#words.clear();
    }
  }

  query(statement: Statement, values: readonly Value[]): Promise<PgResult> {
    const { place, deadlines } = this.#options.connector;
    return deadlines.answered(place, this.#query(statement, values));
  }

  /** Takes the lock of an instance, before its lease exists. */
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

  /** Stops receiving for a mailbox. */
  async stopListening(mailbox: string): Promise<void> {
    const connection = this.#own.current;
    if (this.#listeners.delete(mailbox) && connection !== undefined) await giveBackLock(connection, mailbox);
  }

  isListening(mailbox: string): boolean {
    return this.#listeners.has(mailbox);
  }

  async close(): Promise<void> {
    const locks = [this.#lock, ...this.#listeners.keys()];
    this.#listeners.clear();
    await this.#own.close(locks);
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

  async #prepare(connection: Connection): Promise<void> {
    const locks = [this.#lock, ...this.#listeners.keys()].map((key) => takeOwnLock(connection, key));
    await Promise.all([connection.query(connectionStatements.listen(this.channel)), ...locks]);
  }

  #hear(word: string): void {
    if (word === '') return this.#receive();
    this.#words.get(word)?.();
    this.#words.delete(word);
  }

  /** One read at a time; a notification during a read starts another one. */
  #receive(): void {
    this.#more = true;
    if (this.#receiving || this.#listeners.size === 0) return;
    this.#receiving = true;
    void this.#receiveAll();
  }

  async #receiveAll(): Promise<void> {
    for (let connection = this.#own.current; this.#more && connection !== undefined; connection = this.#own.current) {
      this.#more = false;
      const mailboxes = [...this.#listeners.keys()];
      try {
        const { end, running } = this.#snapshot;
        const { rows } = await connection.query(this.#options.statements.receive, [mailboxes, end, running]);
        if (this.#own.current === connection) this.#snapshot = snapshotOf(rows.at(-1));
        this.#deliver(rows.slice(0, -1));
      } catch (error) {
        // The next renewal of a lease reports the problem. The messages are still in the table.
        if (isFatal(error)) connection.destroy(storeFailure(connection.place, error));
      }
    }
    this.#receiving = false;
  }

  /** Sorts the messages of each sender by number: the rows of a batch have no order. */
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

/** A snapshot in PostgreSQL's text format: `xmin:xmax:xip_list`. */
function snapshotOf(row: Row | undefined): MailboxSnapshot {
  const [, end = '0', running = ''] = row?.[4]?.split(':') ?? [];
  return { end, running: running === '' ? [] : running.split(',') };
}
