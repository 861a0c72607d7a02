/**
 * The mailboxes of the instances of one view are channels, each with its own connection. PUBLISH answers how many
 * connections received the message; if none did, the receiver is suspect. Before an instance renews its lease it checks
 * that its channel receives. A message has some MiB at most: Redis disconnects a slow subscriber when its output buffer
 * is full (`client-output-buffer-limit pubsub`).
 */
import {
  messageText,
  receiveText,
  storeUnavailable,
  type InstanceMessage,
  type Mailboxes,
  type Receive,
} from 'sojourn/internal';
import type { Reply } from './client.ts';
import type { RedisLink } from './link.ts';
import type { RedisServer } from './server.ts';

export class RedisMailboxes implements Mailboxes {
  readonly #server: RedisServer;
  readonly #channelOf: (id: string) => string;
  readonly #links = new Map<string, RedisLink>();

  constructor(server: RedisServer, channelOf: (id: string) => string) {
    this.#server = server;
    this.#channelOf = channelOf;
  }

  async open(id: string, receive: Receive, lost: () => void): Promise<string> {
    // Nothing is received once the mailbox is closed.
    const received = (text: string): void => {
      if (this.#links.get(id) === link) receiveText(receive, text);
    };
    const link: RedisLink = this.#server.listener(this.#channelOf(id), received, lost);
    this.#links.set(id, link);
    await link.ready();
    return id;
  }

  async check(id: string): Promise<void> {
    const link = this.#links.get(id);
    if (link === undefined) return;
    const channel = this.#channelOf(id);
    // The check comes first: while a connection is being replaced, it receives nothing.
    await link.command(['PING']);
    const count = this.#server.isCluster ? 'SHARDNUMSUB' : 'NUMSUB';
    const counts = (await this.#server.send(channel, [
      'PUBSUB',
      count,
      channel,
    ])) as readonly Reply[];
    if (Number(counts[1]) > 0) return;
    // The connection is open, and leads to another server than the publishers use.
    const cause = storeUnavailable(
      `${link.where}: what is published is not heard here; the connection is made anew`,
    );
    link.destroy(cause);
    throw cause;
  }

  async send(from: string, to: string, message: InstanceMessage): Promise<'sent' | 'suspect'> {
    const channel = this.#channelOf(to);
    const publish = this.#server.isCluster ? 'SPUBLISH' : 'PUBLISH';
    const receivers = await this.#server.send(channel, [
      publish,
      channel,
      messageText(from, message),
    ]);
    return Number(receivers) === 0 ? 'suspect' : 'sent';
  }

  async close(id: string): Promise<void> {
    const link = this.#links.get(id);
    this.#links.delete(id);
    await link?.close();
  }
}
