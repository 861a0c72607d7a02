/**
 * One server: a connection for commands, and one for each channel. Every connection attempt looks up the server's
 * address, so that behind Sentinel the next connection leads to the new primary: the client of the package finds it, and
 * reports when another server becomes the primary.
 */
import type { createSentinel } from 'redis';
import { storeUnavailable, type MaybePromise } from 'sojourn/internal';
import { createClient, type ClientOptions, type RedisClient, type Reply } from './client.ts';
import { RedisLink } from './link.ts';
import { serverCheck } from './server-check.ts';
import type { RedisServer, ServerSettings, Target } from './server.ts';

export class SingleServer implements RedisServer {
  readonly where: string;
  readonly isCluster = false;
  readonly #settings: ServerSettings;
  readonly #make: () => MaybePromise<RedisClient>;
  readonly #commands: RedisLink;

  constructor(where: string, settings: ServerSettings, make: () => MaybePromise<RedisClient>) {
    this.where = where;
    this.#settings = settings;
    this.#make = make;
    const check = serverCheck(settings.logger, false);
    this.#commands = new RedisLink(settings, where, make, (client) => check(client, where));
  }

  open(): Promise<unknown> {
    return this.#commands.ready();
  }

  send(_key: string, args: readonly string[]): Promise<Reply> {
    return this.#commands.command(args);
  }

  time(): Promise<Reply> {
    return this.#commands.command(['TIME']);
  }

  listener(channel: string, receive: (text: string) => void, lost: () => void): RedisLink {
    return new RedisLink({ ...this.#settings, lost }, this.where, this.#make, (client) =>
      client.subscribe(channel, receive),
    );
  }

  /** Another server is the primary now. The mailboxes notice it before the next renewal. */
  moved(cause: Error): void {
    this.#commands.destroy(cause);
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

function whereIs({ url, socket = {} }: ClientOptions): string {
  if (url !== undefined) {
    const { protocol, host, pathname } = new URL(url);
    return `Redis at ${protocol}//${host}${pathname}`;
  }
  const { path, host = 'localhost', port = 6379 } = socket as Readonly<Record<string, unknown>>;
  return `Redis at ${String(path ?? `${String(host)}:${String(port)}`)}`;
}

/**
 * The client pauses for 1 s after a search without a primary, and a message of Sentinel does not end the pause. So it
 * searches once and fails, and `link.ts` retries sooner. The client does not replace a lost connection to a sentinel
 * after a failed search: it searches again by itself after `scanInterval`.
 */
const OVERRIDES = { maxCommandRediscovers: 0, scanInterval: 5_000 };

export type SentinelClient = ReturnType<typeof createSentinel>;

export class SentinelServer extends SingleServer {
  readonly #sentinel: SentinelClient;

  constructor(given: SentinelClient, settings: ServerSettings) {
    const sentinel = given.duplicate(OVERRIDES);
    let connected: Promise<unknown> | undefined;
    super('Redis behind Sentinel', settings, async () => {
      await (connected ??= sentinel.connect());
      // The connection that the client has belongs to the client.
      return createClient(await sentinel._execute(false, async (primary) => primary.options));
    });
    this.#sentinel = sentinel;
    // Failures are reported by the commands that they affect.
    sentinel.on('error', () => undefined);
    sentinel.on('topology-change', ({ type }: { readonly type: string }) => {
      if (type === 'MASTER_CHANGE')
        this.moved(storeUnavailable(`${this.where}: another server is the primary now`));
    });
  }

  override async close(): Promise<void> {
    await super.close();
    await Promise.resolve(this.#sentinel.destroy()).catch(() => undefined);
  }
}
