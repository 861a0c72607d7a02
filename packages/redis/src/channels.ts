/**
 * The channels that one connection listens on. Each new connection subscribes to all of them again. In a Cluster the
 * slot of a channel may move to another node; its listener is then called `lost`.
 */
import { internal, storeAway } from 'sojourn/store-kit';
import type { RedisClient } from './client.ts';
import { replyCode } from './failures.ts';
import { RedisLink, type RedisLinkOptions } from './link.ts';
import type { ChannelListener } from './server.ts';

export class Channels {
  readonly #link: RedisLink;
  readonly #sharded: boolean;
  readonly #users = new Map<string, ChannelListener>();

  /** `sharded`: the server is a Cluster. */
  constructor(options: Omit<RedisLinkOptions, 'setUp' | 'lost'>, sharded: boolean) {
    this.#sharded = sharded;
    this.#link = new RedisLink({
      ...options,
      setUp: async (client) => {
        client.on('sharded-channel-moved', (channel: string) => this.#users.get(channel)?.lost());
        await Promise.all([...this.#users.keys()].map((channel) => this.#subscribeAgain(client, channel)));
      },
      lost: () => {
        for (const user of this.#users.values()) user.lost();
      },
    });
  }

  async subscribe(channel: string, user: ChannelListener): Promise<void> {
    if (this.#users.has(channel)) throw internal(new Error(`${channel} is listened on already`));
    this.#users.set(channel, user);
    try {
      await this.#link.ask((client) => this.#subscribe(client, channel));
    } catch (error) {
      this.#users.delete(channel);
      throw error;
    }
  }

  async unsubscribe(channel: string, user: ChannelListener): Promise<void> {
    if (this.#users.get(channel) !== user) return;
    this.#users.delete(channel);
    await this.#link.ask((client) => (this.#sharded ? client.sUnsubscribe(channel) : client.unsubscribe(channel)));
  }

  /** Forgets a channel that another connection listens on now. */
  drop(channel: string): void {
    this.#users.delete(channel);
  }

  async answer(): Promise<void> {
    await this.#link.ask((client) => client.sendCommand(['PING']));
  }

  /**
   * Replaces a connection that is open but receives no messages: it leads to another server than the publishers use.
   */
  renew(): Error {
    const cause = storeAway(`${this.#link.where}: what is published is not heard here; the connection is made anew`);
    this.#link.destroy(cause);
    return cause;
  }

  close(): Promise<void> {
    this.#users.clear();
    return this.#link.close();
  }

  async #subscribeAgain(client: RedisClient, channel: string): Promise<void> {
    try {
      await this.#subscribe(client, channel);
    } catch (error) {
      if (replyCode(error) !== 'MOVED') throw error;
      this.#users.get(channel)?.lost();
    }
  }

  #subscribe(client: RedisClient, channel: string): Promise<void> {
    return this.#sharded ? client.sSubscribe(channel, this.#receive) : client.subscribe(channel, this.#receive);
  }

  /** One function for all subscriptions: a channel that is subscribed to twice then delivers each message once. */
  readonly #receive = (text: string, channel: string): void => this.#users.get(channel)?.receive(text);
}
