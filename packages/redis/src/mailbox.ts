/**
 * Receives the messages for one instance in the order of each sender. While a large
 * message is being fetched, later messages of the same sender wait.
 */
import type { InstanceMessage, Logger } from 'sojourn/store-kit';
import { readEnvelope, readLargeMessage, type Envelope } from './envelopes.ts';
import type { ChannelListener } from './server.ts';

export interface MailboxOptions {
  readonly id: string;
  readonly logger: Logger;
  receive(from: string, message: InstanceMessage): void;
  lost(): void;
  /** Whether a large message to this instance can have this key. Taking a key removes it, so no other may be named. */
  isLetter(key: string): boolean;
  /** Takes the value of a key. */
  take(key: string): Promise<string | null>;
}

export class RedisMailbox implements ChannelListener {
  readonly #options: MailboxOptions;
  /** For each sender with a fetch in progress: the last message that waits. */
  readonly #waiting = new Map<string, Promise<void>>();
  #closed = false;
  #warnedUnknown = false;

  constructor(options: MailboxOptions) {
    this.#options = options;
  }

  get id(): string {
    return this.#options.id;
  }

  receive(text: string): void {
    const envelope = readEnvelope(text);
    if (envelope === undefined || ('key' in envelope && !this.#options.isLetter(envelope.key)))
      return this.#unknown(text);
    const before = this.#waiting.get(envelope.from);
    if (before === undefined && 'message' in envelope) this.#deliver(envelope.from, envelope.message);
    else this.#wait(envelope, before ?? Promise.resolve());
  }

  lost(): void {
    if (!this.#closed) this.#options.lost();
  }

  close(): void {
    this.#closed = true;
    this.#waiting.clear();
  }

  #wait(envelope: Envelope, before: Promise<void>): void {
    const { from } = envelope;
    const fetched = 'key' in envelope ? this.#fetch(envelope.key) : Promise.resolve(envelope.message);
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
      if (text !== null) return readLargeMessage(text);
      logger.debug({ instance: id, key }, 'A large message to this instance was not there any more');
    } catch (err) {
      logger.debug({ err, instance: id, key }, 'A large message to this instance could not be fetched');
    }
    return undefined;
  }

  #deliver(from: string, message: InstanceMessage): void {
    if (!this.#closed) this.#options.receive(from, message);
  }

  #unknown(text: string): void {
    if (this.#warnedUnknown) return;
    this.#warnedUnknown = true;
    this.#options.logger.error(
      { instance: this.id, begins: text.slice(0, 40) },
      'Messages to this instance are dropped: a newer version of sojourn or another program sent them',
    );
  }
}
