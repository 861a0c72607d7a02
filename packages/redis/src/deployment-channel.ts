/**
 * The channel of a deployment that all its instances listen on. The instances of one process share one subscription.
 */
import type { RedisMailbox } from './mailbox.ts';
import { readEnvelope } from './envelopes.ts';
import type { ChannelListener, Server } from './server.ts';

export class DeploymentChannel implements ChannelListener {
  readonly channel: string;
  readonly #server: Server;
  readonly #mailboxes = new Set<RedisMailbox>();
  /** Runs joins and leaves one after the other. */
  #changing: Promise<void> = Promise.resolve();
  #subscribed = false;

  constructor(server: Server, channel: string) {
    this.#server = server;
    this.channel = channel;
  }

  async join(mailbox: RedisMailbox): Promise<void> {
    this.#mailboxes.add(mailbox);
    await this.#change();
  }

  async leave(mailbox: RedisMailbox): Promise<void> {
    this.#mailboxes.delete(mailbox);
    await this.#change();
  }

  /** Delivers to every mailbox except the sender's. */
  receive(text: string): void {
    const from = readEnvelope(text)?.from;
    for (const mailbox of this.#mailboxes) if (mailbox.id !== from) mailbox.receive(text);
  }

  lost(): void {
    for (const mailbox of this.#mailboxes) mailbox.lost();
  }

  #change(): Promise<void> {
    this.#changing = this.#changing.catch(() => undefined).then(() => this.#settle());
    return this.#changing;
  }

  async #settle(): Promise<void> {
    const wanted = this.#mailboxes.size > 0;
    if (wanted === this.#subscribed) return;
    if (wanted) await this.#server.subscribe(this.channel, this);
    this.#subscribed = wanted;
    if (!wanted) await this.#server.unsubscribe(this.channel, this);
  }
}
