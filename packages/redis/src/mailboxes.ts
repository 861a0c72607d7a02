/**
 * The mailboxes of the instances of one view are channels. PUBLISH answers how many connections received the message;
 * if none did, the receiver is suspect. Before an instance renews its lease it checks that its channel receives.
 */
import {
  base64url,
  internal,
  type InstanceMessage,
  type Logger,
  type Mailboxes,
  type RandomSource,
  type Receive,
} from 'sojourn/store-kit';
import { LARGE_MESSAGE_LENGTH, writeEnvelope, writeReference } from './envelopes.ts';
import type { Keys } from './keys.ts';
import { RedisMailbox } from './mailbox.ts';
import type { Server } from './server.ts';

/** A large message that its receiver has not fetched by then is lost. */
const LARGE_MESSAGE_MS = 30_000;
const LARGE_MESSAGE_NAME_BYTES = 9;

export interface RedisMailboxesOptions {
  readonly server: Server;
  readonly keys: Keys;
  readonly random: RandomSource;
  readonly logger: Logger;
}

export class RedisMailboxes implements Mailboxes {
  readonly #options: RedisMailboxesOptions;
  readonly #mailboxes = new Map<string, RedisMailbox>();

  constructor(options: RedisMailboxesOptions) {
    this.#options = options;
  }

  async open(id: string, receive: Receive, lost: () => void): Promise<string> {
    const { server, keys, logger } = this.#options;
    if (this.#mailboxes.has(id)) throw internal(new Error(`instance ${id} has a mailbox already`));
    const take = async (key: string): Promise<string | null> =>
      (await server.send(key, ['GETDEL', key])) as string | null;
    const isLetter = (key: string): boolean => keys.isLargeMessage(id, key);
    const mailbox = new RedisMailbox({ id, logger, receive, lost, isLetter, take });
    this.#mailboxes.set(id, mailbox);
    try {
      await server.subscribe(keys.mailbox(id), mailbox);
    } catch (error) {
      await this.close(id).catch(() => undefined);
      throw error;
    }
    return id;
  }

  async check(id: string): Promise<void> {
    const { server, keys } = this.#options;
    await server.listen(keys.mailbox(id));
  }

  async send(from: string, to: string, message: InstanceMessage): Promise<'sent' | 'suspect'> {
    const { server, keys, random } = this.#options;
    const text = JSON.stringify(message);
    const channel = keys.mailbox(to);
    if (text.length <= LARGE_MESSAGE_LENGTH) return heard(await server.publish(channel, writeEnvelope(from, text)));
    const key = keys.largeMessage(to, base64url(random(LARGE_MESSAGE_NAME_BYTES)));
    const [, receivers] = await Promise.all([
      server.send(key, ['SET', key, text, 'PX', String(LARGE_MESSAGE_MS)]),
      server.publish(channel, writeReference(from, key)),
    ]);
    if (receivers === 0) await server.send(key, ['DEL', key]);
    return heard(receivers);
  }

  /** Receives nothing more from now on, even if unsubscribing fails. */
  async close(id: string): Promise<void> {
    const { server, keys } = this.#options;
    const mailbox = this.#mailboxes.get(id);
    if (mailbox === undefined) return;
    this.#mailboxes.delete(id);
    mailbox.close();
    await server.unsubscribe(keys.mailbox(id), mailbox);
  }
}

const heard = (receivers: number): 'sent' | 'suspect' => (receivers === 0 ? 'suspect' : 'sent');
