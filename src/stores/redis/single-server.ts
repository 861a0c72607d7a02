/**
 * One server: a connection for commands, and one that listens. Which server it is is asked at every connect, so that behind
 * Sentinel the next one leads to the new primary.
 */
import type { Reply, RedisClient } from './client.ts';
import { Channels } from './channels.ts';
import { greet, type Greeting } from './greeting.ts';
import { Link, type LinkSettings } from './link.ts';
import type { Script } from './scripts.ts';
import { asItIs, evaluation, type ChannelUser, type Server, type Slot } from './server.ts';

export interface SingleServerOptions {
  readonly settings: LinkSettings;
  readonly greeting: Greeting;
  readonly database: number;
  make(connectMs: number): Promise<RedisClient>;
  /** What finds the server. */
  close(): Promise<void>;
}

export class SingleServer implements Server {
  readonly where: string;
  readonly database: number;
  readonly #options: SingleServerOptions;
  readonly #commands: Link;
  #channels: Promise<Channels> | undefined;

  constructor(options: SingleServerOptions) {
    const { settings, greeting, database, make } = options;
    this.#options = options;
    this.where = greeting.where;
    this.database = database;
    this.#commands = new Link({
      ...settings,
      where: this.where,
      make,
      setUp: (client) => greet(client, greeting),
    });
  }

  async open(): Promise<void> {
    try {
      await this.#commands.open();
    } catch (error) {
      await this.#options.close();
      throw error;
    }
  }

  send(_key: string, args: readonly string[]): Promise<Reply> {
    return this.#commands.command(args, asItIs);
  }

  run<T>(script: Script, keys: Slot, args: readonly string[], read: (reply: Reply) => T): Promise<T> {
    return this.#commands.command(evaluation(script, keys, args), read, script.lua);
  }

  async publish(channel: string, text: string): Promise<number> {
    return Number(await this.send(channel, ['PUBLISH', channel, text]));
  }

  async subscribe(channel: string, user: ChannelUser): Promise<void> {
    await (await this.#listening()).subscribe(channel, user);
  }

  async unsubscribe(channel: string, user: ChannelUser): Promise<void> {
    await (await this.#channels)?.unsubscribe(channel, user);
  }

  async listen(channels: readonly string[]): Promise<void> {
    const listening = await this.#listening();
    // First: while the connection is made anew nobody is heard.
    await listening.answer();
    const counts = (await this.send('', ['PUBSUB', 'NUMSUB', ...channels])) as readonly Reply[];
    if (channels.some((_, n) => Number(counts[2 * n + 1]) === 0)) throw listening.renew();
  }

  /** Another server is the primary now. */
  async moved(cause: Error): Promise<void> {
    this.#commands.renew(cause);
    const channels = await this.#channels?.catch(() => undefined);
    channels?.renew();
  }

  async close(): Promise<void> {
    const channels = await this.#channels?.catch(() => undefined);
    await Promise.all([channels?.close(), this.#commands.close()]);
    await this.#options.close();
  }

  #listening(): Promise<Channels> {
    return (this.#channels ??= this.#openChannels());
  }

  async #openChannels(): Promise<Channels> {
    const { settings, make } = this.#options;
    const channels = new Channels({ ...settings, where: this.where, make }, false);
    try {
      await channels.open();
      return channels;
    } catch (error) {
      this.#channels = undefined;
      throw error;
    }
  }
}
