/**
 * One server: a connection for commands, and one for each channel. Every connection attempt looks up the server's
 * address, so that behind Sentinel the next connection leads to the new primary.
 */
import type { Reply, RedisClient } from './client.ts';
import { checkServer, type ServerCheck } from './server-check.ts';
import { RedisLink, type LinkSettings } from './link.ts';
import type { ChannelListener, Server } from './server.ts';

export interface SingleServerOptions {
  readonly where: string;
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
  readonly #listeners = new Set<RedisLink>();

  constructor(options: SingleServerOptions) {
    const { settings, where, check, database, make } = options;
    this.#options = options;
    this.where = where;
    this.database = database;
    this.#commands = new RedisLink({
      ...settings,
      where,
      make,
      setUp: (client) => checkServer(client, where, check),
    });
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

  listener(channel: string, { receive, lost }: ChannelListener): RedisLink {
    const { settings, make } = this.#options;
    const setUp = (client: RedisClient): Promise<void> => client.subscribe(channel, receive);
    const link = new RedisLink({ ...settings, where: this.where, make, setUp, lost });
    for (const other of this.#listeners) if (other.isClosed) this.#listeners.delete(other);
    this.#listeners.add(link);
    return link;
  }

  /** Another server is the primary now. */
  moved(cause: Error): void {
    for (const link of [this.#commands, ...this.#listeners]) link.destroy(cause);
  }

  async close(): Promise<void> {
    await this.#commands.close();
    await this.#options.close();
  }
}
