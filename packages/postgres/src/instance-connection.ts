/**
 * The connection that carries the instances of this process: it listens on a channel, holds a lock, renews leases and
 * sends messages.
 *
 *     closed ──ready()──▶ connecting ──▶ open ──lost──▶ closed
 *
 * The lock is a hint that costs little: every user of the database may take it, so it proves nothing. Where it is free,
 * and for a probe, the connection must be found by its name, under a user who may read the mailboxes (`statements.ts`).
 * Without such a connection the process is suspect and not dead: the server may have restarted, or the network may have
 * been cut. When the connection is lost, every listener is called, because other
 * instances may bury its instance now. Messages that arrive in between wait in the mailbox and are read after the
 * reconnect.
 *
 * Writes here do not wait for the disk: a crash of the server can lose a message of that moment, and the last renewals
 * and deaths of leases. It loses no death that a later write to a session rests on, because the disk gets both in the
 * order in which they were made.
 */
import type { RandomSource } from 'sojourn/internal';
import { Connection, type PostgresServer } from './connection.ts';
import { CHANNEL, type Statements } from './statements.ts';

/** An instance that receives on this connection. */
export interface Listener {
  receive(text: string): void;
  lost(): void;
}

const KEY_BYTES = 8;
const NUMBER = /^\d{1,18}$/;

export class InstanceConnection extends Connection {
  /** The key of the lock, and a part of the name of the channel. Later connections of this process have it too. */
  readonly key: string;
  readonly #statements: Statements;
  readonly #listeners = new Map<string, Listener>();
  /** Numbers that were announced and not read. `null`: any message may be unread. */
  #unread: string[] | null = null;
  #reading = false;

  constructor(server: PostgresServer, statements: Statements, random: RandomSource) {
    // A positive number; a text, because `pg` would round it.
    const key = BigInt.asUintN(63, Buffer.from(random(KEY_BYTES)).readBigUInt64BE()).toString();
    super(server, {
      quick: true,
      // Every user of the database may notify.
      notified: (no) => (NUMBER.test(no) ? this.#read(no) : undefined),
      first: [
        `LISTEN ${CHANNEL}${key}`,
        `SELECT set_config('application_name', '${CHANNEL}${key}', false)`,
        // Several connections may hold it: an earlier connection of this process may still be open
        // on the server. `try` does not wait for a stranger who holds it.
        `SELECT pg_try_advisory_lock_shared(${key})`,
      ],
      // Messages that arrived before LISTEN.
      opened: () => this.#read(null),
      lost: () => {
        for (const { lost } of this.#listeners.values()) lost();
      },
    });
    this.key = key;
    this.#statements = statements;
  }

  /** `mailbox`: the key of its messages. */
  async listen(mailbox: string, listener: Listener): Promise<void> {
    this.#listeners.set(mailbox, listener);
    await this.ready();
  }

  stopListening(mailbox: string): void {
    this.#listeners.delete(mailbox);
  }

  /** One read at a time; what is announced during a read is read by the next one. */
  #read(no: string | null): void {
    if (no === null) this.#unread = null;
    else this.#unread?.push(no);
    if (!this.#reading) void this.#readAll();
  }

  async #readAll(): Promise<void> {
    this.#reading = true;
    while (this.#unread?.length !== 0 && this.isOpen) {
      const numbers = this.#unread;
      this.#unread = [];
      try {
        const { rows } = await this.query(this.#statements.receive, [
          [...this.#listeners.keys()],
          numbers,
        ]);
        // The rows of a statement that deletes have no order.
        const inOrder = rows.toSorted(
          (a, b) => Number(a[1]) - Number(b[1]) || Number(a[2]) - Number(b[2]),
        );
        for (const [mailbox, , , body] of inOrder)
          this.#listeners.get(mailbox ?? '')?.receive(body ?? '');
      } catch {
        // The next connection reads all messages. A server that refuses to read is asked again with the next message.
        this.#unread = null;
        break;
      }
    }
    this.#reading = false;
  }
}
