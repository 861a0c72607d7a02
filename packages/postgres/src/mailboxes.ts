/**
 * The mailboxes of the instances of one view, on the instance connection of the process. The address of a mailbox, in
 * the lease, is the key of its messages, and the key of the connection. Messages of one turn travel together, in order.
 */
import {
  afterTurn,
  messageText,
  receiveText,
  type InstanceMessage,
  type Mailboxes,
  type Receive,
} from 'sojourn/internal';
import type { PostgresDatabase } from './database.ts';
import { keyOf } from './pg.ts';

type SendOutcome = 'sent' | 'suspect';

interface Outgoing {
  readonly to: string;
  readonly body: string;
  /** Whether its receiver lives is the question. */
  readonly asks: boolean;
  resolve(sent: SendOutcome): void;
  reject(error: unknown): void;
}

export class PostgresMailboxes implements Mailboxes {
  readonly #database: PostgresDatabase;
  readonly #space: string;
  readonly #counted: readonly string[];
  #outgoing: Outgoing[] = [];

  /** `space`: of the leases. `counted`: of the kinds with numbers. */
  constructor(database: PostgresDatabase, space: string, counted: readonly string[]) {
    this.#database = database;
    this.#space = space;
    this.#counted = counted;
  }

  async open(id: string, receive: Receive, lost: () => void): Promise<string> {
    const { instanceConnection, statements } = this.#database;
    const mailbox = this.#keyOf(id);
    await instanceConnection.listen(mailbox, {
      receive: (text) => receiveText(receive, text),
      lost,
    });
    // What fails is left to the next instance.
    this.#database.query(statements.trimMessages, []).catch(() => undefined);
    this.forget();
    return `${mailbox} ${instanceConnection.key}`;
  }

  check(): Promise<void> {
    const { server, instanceConnection } = this.#database;
    return server.deadlines.answered(server.place, instanceConnection.check());
  }

  send(from: string, to: string, message: InstanceMessage): Promise<SendOutcome> {
    const body = messageText(from, message);
    return new Promise((resolve, reject) => {
      const asks = message.kind === 'probe';
      if (this.#outgoing.push({ to, body, asks, resolve, reject }) === 1)
        afterTurn(() => void this.#post());
    });
  }

  close(id: string): void {
    this.#database.instanceConnection.stopListening(this.#keyOf(id));
  }

  /**
   * An instance without a lease writes no number any more, so what it counted is added to the
   * common number.
   */
  forget(): void {
    const { statements } = this.#database;
    const folded = this.#database.query(statements.foldKept, [this.#counted, this.#space]);
    folded
      .then(() => this.#database.query(statements.trimKept, [this.#counted]))
      .catch(() => undefined);
  }

  /** The key of the messages of an instance. */
  #keyOf(id: string): string {
    return keyOf([this.#space, id]);
  }

  async #post(): Promise<void> {
    const { statements } = this.#database;
    const all = this.#outgoing.splice(0);
    try {
      const { rows } = await this.#database.tell(statements.send, [
        this.#space,
        JSON.stringify(all.map(({ to, body, asks }, ord) => ({ receiver: to, body, asks, ord }))),
      ]);
      for (const [ord, lives] of rows)
        all[Number(ord)]?.resolve(lives === 't' ? 'sent' : 'suspect');
    } catch (error) {
      for (const { reject } of all) reject(error);
    }
  }
}
