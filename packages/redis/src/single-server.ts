/**
 * One server: a connection for commands, and one for each channel. Every connection attempt looks up the server's
 * address, so that behind Sentinel the next connection leads to the new primary.
 */
import { createClient, type ClientOptions, type RedisClient, type Reply } from './client.ts';
import { RedisLink } from './link.ts';
import { serverCheck } from './server-check.ts';
import type { ChannelListener, Server, ServerSettings, Target } from './server.ts';

export class SingleServer implements Server {
  readonly where: string;
  readonly isCluster = false;
  readonly #settings: ServerSettings;
  readonly #make: () => RedisClient | Promise<RedisClient>;
  readonly #commands: RedisLink;
  readonly #listeners = new Set<RedisLink>();

  constructor(where: string, settings: ServerSettings, make: () => RedisClient | Promise<RedisClient>) {
    this.where = where;
    this.#settings = settings;
    this.#make = make;
    const check = serverCheck(settings.logger, false);
    this.#commands = new RedisLink({ ...settings, where, make, setUp: (client) => check(client, where) });
  }

  open(): Promise<unknown> {
    return this.#commands.ready();
  }

  send(_key: string, args: readonly string[], lua?: string): Promise<Reply> {
    return this.#commands.command(args, lua);
  }

  time(): Promise<Reply> {
    return this.send('', ['TIME']);
  }

  listener(channel: string, { receive, lost }: ChannelListener): RedisLink {
    const setUp = (client: RedisClient): Promise<void> => client.subscribe(channel, receive);
    const link = new RedisLink({ ...this.#settings, where: this.where, make: this.#make, setUp, lost });
    for (const other of this.#listeners) if (other.isClosed) this.#listeners.delete(other);
    this.#listeners.add(link);
    return link;
  }

  /** Another server is the primary now. */
  moved(cause: Error): void {
    for (const link of [this.#commands, ...this.#listeners]) link.destroy(cause);
  }

  close(): Promise<void> {
    return this.#commands.close();
  }
}

/** `options`: those of the caller's client, which the store does not use. */
export const single =
  (options: ClientOptions): Target =>
  (settings) =>
    new SingleServer(whereIs(options), settings, () => createClient(options));

function whereIs({ url, socket }: ClientOptions): string {
  if (url !== undefined) {
    const { protocol, host, pathname } = new URL(url);
    return `Redis at ${protocol}//${host}${pathname}`;
  }
  return `Redis at ${socket?.path ?? `${socket?.host ?? 'localhost'}:${socket?.port ?? 6379}`}`;
}
