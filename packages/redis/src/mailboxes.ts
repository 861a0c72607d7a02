/**
 * The mailboxes of the instances of one view are channels, each with its own connection. PUBLISH answers how many
 * connections received the message; if none did, the receiver is suspect. Before an instance renews its lease it checks
 * that its channel receives. A message is a JSON list of its sender and itself, of some MiB at most: Redis disconnects a
 * slow subscriber when its output buffer is full (`client-output-buffer-limit pubsub`).
 */
import { storeAway, type InstanceMessage, type Logger, type Mailboxes, type Receive } from 'sojourn/store-kit';
import type { Reply } from './client.ts';
import type { RedisLink } from './link.ts';
import type { Server } from './server.ts';

export class RedisMailboxes implements Mailboxes {
  readonly #server: Server;
  readonly #channelOf: (id: string) => string;
  readonly #logger: Logger;
  readonly #links = new Map<string, RedisLink>();
  #warned = false;

  constructor(server: Server, channelOf: (id: string) => string, logger: Logger) {
    this.#server = server;
    this.#channelOf = channelOf;
    this.#logger = logger;
  }

  async open(id: string, receive: Receive, lost: () => void): Promise<string> {
    const link: RedisLink = this.#server.listener(this.#channelOf(id), {
      // Nothing is received once the mailbox is closed.
      receive: (text) => this.#links.get(id) === link && this.#receive(id, text, receive),
      lost,
    });
    this.#links.set(id, link);
    try {
      await link.ready();
    } catch (error) {
      this.#links.delete(id);
      throw error;
    }
    return id;
  }

  async check(id: string): Promise<void> {
    const link = this.#links.get(id);
    if (link === undefined) return;
    const channel = this.#channelOf(id);
    // The check comes first: while a connection is being replaced, it receives nothing.
    await link.command(['PING']);
    const count = this.#server.isCluster ? 'SHARDNUMSUB' : 'NUMSUB';
    const counts = (await this.#server.send(channel, ['PUBSUB', count, channel])) as readonly Reply[];
    if (Number(counts[1]) > 0) return;
    // The connection is open, and leads to another server than the publishers use.
    const cause = storeAway(`${link.where}: what is published is not heard here; the connection is made anew`);
    link.destroy(cause);
    throw cause;
  }

  async send(from: string, to: string, message: InstanceMessage): Promise<'sent' | 'suspect'> {
    const channel = this.#channelOf(to);
    const publish = this.#server.isCluster ? 'SPUBLISH' : 'PUBLISH';
    const receivers = await this.#server.send(channel, [publish, channel, JSON.stringify([from, message])]);
    return Number(receivers) === 0 ? 'suspect' : 'sent';
  }

  async close(id: string): Promise<void> {
    const link = this.#links.get(id);
    this.#links.delete(id);
    await link?.close();
  }

  /** Every program with access to the server can publish. */
  #receive(id: string, text: string, receive: Receive): void {
    const [from, message] = readMessage(text) ?? [];
    if (from !== undefined && message !== undefined) return receive(from, message);
    if (this.#warned) return;
    this.#warned = true;
    this.#logger.error(
      { instance: id, begins: text.slice(0, 40) },
      'Messages to this instance are dropped: another program, or another version of sojourn, sent them',
    );
  }
}

function readMessage(text: string): readonly [from: string, message: InstanceMessage] | undefined {
  try {
    const [from, message] = JSON.parse(text) as [unknown, InstanceMessage | null];
    return typeof from === 'string' && typeof message?.kind === 'string' ? [from, message] : undefined;
  } catch {
    return undefined;
  }
}
