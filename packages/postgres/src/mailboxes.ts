/**
 * The mailboxes of the instances of one view are channels on the instance connection of the process. Only the lease
 * names the channel, which cannot be guessed. Messages of one turn travel together, in order.
 */
import {
  afterTurn,
  messageText,
  receiveText,
  type InstanceMessage,
  type Mailboxes,
  type RandomSource,
  type Receive,
} from 'sojourn/store-kit';
import type { PostgresDatabase } from './database.ts';
import { piecesOf } from './instance-connection.ts';
import { textArray } from './text-array.ts';

type Sent = 'sent' | 'suspect';

interface Outgoing {
  readonly to: string;
  readonly text: string;
  resolve(sent: Sent): void;
  reject(error: unknown): void;
}

const CHANNEL_BYTES = 16;

export class PostgresMailboxes implements Mailboxes {
  readonly #database: PostgresDatabase;
  readonly #space: string;
  readonly #random: RandomSource;
  readonly #channels = new Map<string, string>();
  #outgoing: Outgoing[] = [];

  /** `space`: of the leases. */
  constructor(database: PostgresDatabase, space: string, random: RandomSource) {
    this.#database = database;
    this.#space = space;
    this.#random = random;
  }

  async open(id: string, receive: Receive, lost: () => void): Promise<string> {
    const channel = `sojourn_${Buffer.from(this.#random(CHANNEL_BYTES)).toString('hex')}`;
    this.#channels.set(id, channel);
    await this.#database.instanceConnection.listen(channel, { receive: (text) => receiveText(receive, text), lost });
    return channel;
  }

  check(): Promise<void> {
    const { server, instanceConnection } = this.#database;
    return server.deadlines.answered(server.place, instanceConnection.check());
  }

  send(from: string, to: string, message: InstanceMessage): Promise<Sent> {
    const text = messageText(from, message);
    return new Promise((resolve, reject) => {
      if (this.#outgoing.push({ to, text, resolve, reject }) === 1) afterTurn(() => void this.#post());
    });
  }

  close(id: string): void {
    this.#database.instanceConnection.stopListening(this.#channels.get(id) ?? '');
    this.#channels.delete(id);
  }

  async #post(): Promise<void> {
    const { instanceConnection, statements } = this.#database;
    const all = this.#outgoing.splice(0);
    const pieces = all.flatMap(({ to, text }) => [...piecesOf(text)].map((piece) => ({ to, piece })));
    try {
      const { rows } = await this.#database.tell(statements.send, [
        this.#space,
        textArray(pieces.map(({ to }) => to)),
        textArray(pieces.map(({ piece }) => piece)),
      ]);
      // A check by the holder itself finds its lock free.
      const heard = rows.filter(([, channel, free]) => free === 'f' || instanceConnection.isListening(channel ?? ''));
      const receivers = new Set(heard.map(([id]) => id));
      for (const { to, resolve } of all) resolve(receivers.has(to) ? 'sent' : 'suspect');
    } catch (error) {
      for (const { reject } of all) reject(error);
    }
  }
}
