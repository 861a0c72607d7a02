/** A server behind Sentinel: the client finds the primary, and tells when another becomes it. */
import { storeAway } from '../../errors.ts';
import { ownWays, type RedisClient, type SentinelClient } from './client.ts';
import { redisFailure } from './failures.ts';
import type { Greeting } from './greeting.ts';
import { bounded } from './bounded.ts';
import { CONNECT_MS, type LinkSettings } from './link.ts';
import { SingleServer } from './single-server.ts';

export async function openSentinel(
  given: SentinelClient,
  settings: LinkSettings,
  greeting: Greeting,
): Promise<SingleServer> {
  const { where } = greeting;
  const sentinel = given.duplicate();
  // What fails is told to whoever asks.
  sentinel.on('error', () => undefined);
  const close = async (): Promise<void> => {
    await Promise.resolve(sentinel.destroy()).catch(() => undefined);
  };
  try {
    await bounded(settings, CONNECT_MS, where, sentinel.connect());
    const primary = await findPrimary(sentinel, settings, where);
    const server: SingleServer = new SingleServer({
      settings,
      greeting,
      database: primary.options.database ?? 0,
      make: async (connectMs) => {
        const { options, duplicate } = await findPrimary(sentinel, settings, where);
        return duplicate(ownWays(options.socket, connectMs));
      },
      close,
    });
    sentinel.on('topology-change', (event: { readonly type: string }) => {
      if (event.type === 'MASTER_CHANGE') void server.moved(storeAway(`${where}: another server is the primary now`));
    });
    return server;
  } catch (error) {
    void close();
    throw redisFailure(where, error);
  }
}

interface Primary {
  readonly options: RedisClient['options'];
  duplicate(overrides: object): RedisClient;
}

/** What leads to it. The connection that the client has to it stays the client's. */
function findPrimary(sentinel: SentinelClient, settings: LinkSettings, where: string): Promise<Primary> {
  const asked = sentinel._execute(false, async (client) => ({
    options: client.options,
    duplicate: (overrides: object) => client.duplicate(overrides),
  }));
  return bounded(settings, CONNECT_MS, where, asked);
}
