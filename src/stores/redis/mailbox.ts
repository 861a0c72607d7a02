/**
 * What comes for one instance on its own channel and on the bus, handed over in the order of each sender: while a large
 * message is fetched, what else its sender says waits.
 */
import type { Logger } from '../../types.ts';
import type { InstanceMessage } from '../store.ts';
import { readLetter, type Letter } from './letters.ts';
import type { ChannelUser } from './server.ts';

export interface MailboxOptions {
  readonly id: string;
  readonly logger: Logger;
  receive(from: string, message: InstanceMessage): void;
  lost(): void;
  /** Takes the value of a key. */
  take(key: string): Promise<string | null>;
}

export class Mailbox implements ChannelUser {
  readonly #options: MailboxOptions;
  /** Of senders of whom something is being fetched: the last that waits. */
  readonly #waiting = new Map<string, Promise<void>>();
  #closed = false;
  #saidUnknown = false;

  constructor(options: MailboxOptions) {
    this.#options = options;
  }

  get id(): string {
    return this.#options.id;
  }

  receive(text: string): void {
    const letter = readLetter(text);
    if (letter === undefined) return this.#unknown(text);
    const before = this.#waiting.get(letter.from);
    if (before === undefined && 'message' in letter) this.#deliver(letter.from, letter.message);
    else this.#wait(letter, before ?? Promise.resolve());
  }

  lost(): void {
    if (!this.#closed) this.#options.lost();
  }

  close(): void {
    this.#closed = true;
    this.#waiting.clear();
  }

  #wait(letter: Letter, before: Promise<void>): void {
    const { from } = letter;
    const fetched = 'key' in letter ? this.#fetch(letter.key) : Promise.resolve(letter.message);
    const waiting: Promise<void> = Promise.all([fetched, before]).then(([message]) => {
      if (this.#waiting.get(from) === waiting) this.#waiting.delete(from);
      if (message !== undefined) this.#deliver(from, message);
    });
    this.#waiting.set(from, waiting);
  }

  async #fetch(key: string): Promise<InstanceMessage | undefined> {
    const { take, logger, id } = this.#options;
    try {
      const text = await take(key);
      if (text !== null) return JSON.parse(text) as InstanceMessage;
      logger.debug({ instance: id, key }, 'A large message to this instance was not there any more');
    } catch (err) {
      logger.debug({ err, instance: id, key }, 'A large message to this instance could not be fetched');
    }
    return undefined;
  }

  #deliver(from: string, message: InstanceMessage): void {
    if (this.#closed) return;
    const { receive, logger } = this.#options;
    try {
      receive(from, message);
    } catch (err) {
      logger.error({ err, from, kind: message.kind }, 'a message could not be received');
    }
  }

  #unknown(text: string): void {
    if (this.#saidUnknown) return;
    this.#saidUnknown = true;
    this.#options.logger.warn(
      { instance: this.id, begins: text.slice(0, 40) },
      'A message to this instance is of a newer version of sojourn, or of another program; such messages are dropped',
    );
  }
}
