/**
 * The mailboxes of the instances of one view are channels. PUBLISH answers how many connections received the message;
 * if none did, the receiver is suspect. Before an instance renews its lease it checks that its channel receives.
 */
import { internal, type InstanceMessage, type Logger, type Mailboxes, type Receive } from 'sojourn/store-kit';
import type { Keys } from './keys.ts';
import { RedisMailbox, writeEnvelope } from './mailbox.ts';
import type { Server } from './server.ts';

export interface RedisMailboxesOptions {
  readonly server: Server;
  readonly keys: Keys;
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
    const mailbox = new RedisMailbox({ id, logger, receive, lost });
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
    const { server, keys } = this.#options;
    const receivers = await server.publish(keys.mailbox(to), writeEnvelope(from, message));
    return receivers === 0 ? 'suspect' : 'sent';
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
