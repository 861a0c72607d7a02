/**
 * The messages that the instances of one deployment send from this process. Messages of one turn travel together, in
 * order.
 */
import { afterTurn, type InstanceMessage } from 'sojourn/store-kit';
import { textArray } from './text-array.ts';
import type { InstanceStatements } from './instance-statements.ts';
import type { InstanceConnection } from './instance-connection.ts';

export type Sent = 'sent' | 'suspect';

interface OutgoingMessage {
  readonly from: string;
  readonly to: string;
  readonly no: number;
  readonly body: string;
  resolve(sent: Sent): void;
  reject(error: unknown): void;
}

/** The size of one statement; further messages follow in the next one. */
const MAX_BYTES = 4_194_304;

export class Outbox {
  readonly #connection: InstanceConnection;
  readonly #statements: InstanceStatements;
  readonly #space: string;
  #queue: OutgoingMessage[] = [];
  /** Numbers the messages, so that a receiver can order them. */
  #no = 0;

  constructor(connection: InstanceConnection, statements: InstanceStatements, space: string) {
    this.#connection = connection;
    this.#statements = statements;
    this.#space = space;
  }

  send(from: string, to: string, message: InstanceMessage): Promise<Sent> {
    const body = JSON.stringify(message);
    return new Promise((resolve, reject) => {
      if (this.#queue.push({ from, to, no: this.#no++, body, resolve, reject }) === 1) afterTurn(() => this.#post());
    });
  }

  /** Follows the messages that were sent before it. */
  async publish(from: string, message: InstanceMessage): Promise<void> {
    this.#post();
    const values = [this.#space, from, this.#no++, JSON.stringify(message)];
    await this.#connection.query(this.#statements.publish, values);
  }

  #post(): void {
    let batch: OutgoingMessage[] = [];
    let bytes = 0;
    for (const message of this.#queue.splice(0)) {
      bytes += message.body.length;
      if (bytes > MAX_BYTES && batch.length > 0) {
        void this.#deliver(batch);
        [batch, bytes] = [[], message.body.length];
      }
      batch.push(message);
    }
    if (batch.length > 0) void this.#deliver(batch);
  }

  async #deliver(batch: readonly OutgoingMessage[]): Promise<void> {
    try {
      const { rows } = await this.#connection.query(this.#statements.send, [
        this.#space,
        textArray(batch.map(({ to }) => to)),
        textArray(batch.map(({ from }) => from)),
        batch.map(({ no }) => no),
        textArray(batch.map(({ body }) => body)),
      ]);
      for (const [ord, mailbox = null, free] of rows) {
        // A check by the holder itself finds its lock free.
        const heard = mailbox !== null && (free === 'f' || this.#connection.isListening(mailbox));
        batch[Number(ord) - 1]?.resolve(heard ? 'sent' : 'suspect');
      }
    } catch (error) {
      for (const message of batch) message.reject(error);
    }
  }
}
