/**
 * The mailboxes of the instances of one view are channels. PUBLISH answers how many connections received the message;
 * if none did, the receiver is suspect. Before an instance renews its lease it checks that its channel receives. A
 * message is a JSON list of its sender and itself, of some MiB at most: Redis disconnects a slow subscriber when its
 * output buffer is full (`client-output-buffer-limit pubsub`).
 */
import type { InstanceMessage, Logger, Mailboxes, Receive } from 'sojourn/store-kit';
import type { ChannelListener, Server } from './server.ts';

export class RedisMailboxes implements Mailboxes {
  readonly #server: Server;
  readonly #channelOf: (id: string) => string;
  readonly #logger: Logger;
  readonly #listeners = new Map<string, ChannelListener>();
  #warned = false;

  constructor(server: Server, channelOf: (id: string) => string, logger: Logger) {
    this.#server = server;
    this.#channelOf = channelOf;
    this.#logger = logger;
  }

  async open(id: string, receive: Receive, lost: () => void): Promise<string> {
    const listener = { receive: (text: string) => this.#receive(id, text, receive), lost };
    await this.#server.subscribe(this.#channelOf(id), listener);
    this.#listeners.set(id, listener);
    return id;
  }

  check(id: string): Promise<void> {
    return this.#server.listen(this.#channelOf(id));
  }

  async send(from: string, to: string, message: InstanceMessage): Promise<'sent' | 'suspect'> {
    const receivers = await this.#server.publish(this.#channelOf(to), JSON.stringify([from, message]));
    return receivers === 0 ? 'suspect' : 'sent';
  }

  /** Receives nothing more from now on, even if unsubscribing fails. */
  async close(id: string): Promise<void> {
    const listener = this.#listeners.get(id);
    this.#listeners.delete(id);
    if (listener !== undefined) await this.#server.unsubscribe(this.#channelOf(id), listener);
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
