/**
 * One server: a connection for commands, and one for subscriptions. Every connection attempt looks up the server's
 * address, so that behind Sentinel the next connection leads to the new primary.
 */
import type { Reply, RedisClient } from './client.ts';
import { Channels } from './channels.ts';
import { checkServer, type ServerCheck } from './server-check.ts';
import { RedisLink, type LinkSettings } from './link.ts';
import type { ChannelListener, Server } from './server.ts';

export interface SingleServerOptions {
  readonly settings: LinkSettings;
  readonly check: ServerCheck;
  readonly database: number;
  make(): RedisClient | Promise<RedisClient>;
  /** Closes the lookup of the server's address. */
  close(): Promise<void>;
}

export class SingleServer implements Server {
  readonly where: string;
  readonly isCluster = false;
  readonly database: number;
  readonly #options: SingleServerOptions;
  readonly #commands: RedisLink;
  readonly #channels: Channels;

  constructor(options: SingleServerOptions) {
    const { settings, check, database, make } = options;
    this.#options = options;
    this.where = check.where;
    this.database = database;
    this.#commands = new RedisLink({
      ...settings,
      where: this.where,
      make,
      setUp: (client) => checkServer(client, check),
    });
    this.#channels = new Channels({ ...settings, where: this.where, make }, false);
  }

  async open(): Promise<void> {
    try {
      await this.#commands.ready();
    } catch (error) {
      await this.#options.close();
      throw error;
    }
  }

  send(_key: string, args: readonly string[], lua?: string): Promise<Reply> {
    return this.#commands.command(args, lua);
  }

  time(): Promise<Reply> {
    return this.send('', ['TIME']);
  }

  async memory(): Promise<string> {
    return String(await this.send('', ['INFO', 'memory']));
  }

  async publish(channel: string, text: string): Promise<number> {
    return Number(await this.send(channel, ['PUBLISH', channel, text]));
  }

  async subscribe(channel: string, user: ChannelListener): Promise<void> {
    await this.#channels.subscribe(channel, user);
  }

  async unsubscribe(channel: string, user: ChannelListener): Promise<void> {
    await this.#channels.unsubscribe(channel, user);
  }

  async listen(channel: string): Promise<void> {
    // The check comes first: while a connection is being replaced, it receives nothing.
    await this.#channels.answer();
    const counts = (await this.send('', ['PUBSUB', 'NUMSUB', channel])) as readonly Reply[];
    if (Number(counts[1]) === 0) throw this.#channels.renew();
  }

  /** Another server is the primary now. */
  moved(cause: Error): void {
    this.#commands.destroy(cause);
    this.#channels.renew();
  }

  async close(): Promise<void> {
    await Promise.all([this.#channels.close(), this.#commands.close()]);
    await this.#options.close();
  }
}
