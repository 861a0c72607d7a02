/** A server behind Sentinel: the client finds the primary, and reports when another server becomes the primary. */
import { storeAway } from 'sojourn/store-kit';
import { CONNECT_MS, connectionOverrides, loadRedis, type ClientOptions, type SentinelClient } from './client.ts';
import { redisFailure } from './failures.ts';
import type { ServerCheck } from './server-check.ts';
import type { LinkSettings } from './link.ts';
import { SingleServer } from './single-server.ts';

/**
 * The client pauses for 1 s after a search without a primary, and a message of Sentinel does not end the pause. So it
 * searches once and fails, and `link.ts` retries sooner. The client does not replace a lost connection to a sentinel
 * after a failed search: it searches again by itself after `scanInterval`.
 */
const OVERRIDES = { maxCommandRediscovers: 0, scanInterval: 5_000 };

export async function openSentinel(
  where: string,
  given: SentinelClient,
  settings: LinkSettings,
  check: ServerCheck,
): Promise<SingleServer> {
  const { createClient } = await loadRedis();
  const sentinel = given.duplicate(OVERRIDES);
  // Failures are reported by the commands that they affect.
  sentinel.on('error', () => undefined);
  const close = async (): Promise<void> => {
    await Promise.resolve(sentinel.destroy()).catch(() => undefined);
  };
  try {
    await settings.deadlines.answered(where, sentinel.connect(), CONNECT_MS);
    const { database = 0 } = await findPrimary(sentinel, settings, where);
    const server: SingleServer = new SingleServer({
      where,
      settings,
      check,
      database,
      make: async () => {
        const options = await findPrimary(sentinel, settings, where);
        return createClient({ ...options, ...connectionOverrides(options.socket) });
      },
      close,
    });
    sentinel.on('topology-change', (event: { readonly type: string }) => {
      if (event.type === 'MASTER_CHANGE') server.moved(storeAway(`${where}: another server is the primary now`));
    });
    return server;
  } catch (error) {
    void close();
    throw redisFailure(where, error);
  }
}

/** The configuration of the connection to the primary. That connection itself belongs to the client. */
function findPrimary(sentinel: SentinelClient, settings: LinkSettings, where: string): Promise<ClientOptions> {
  const asked = sentinel._execute(false, async ({ options }) => options);
  return settings.deadlines.answered(where, asked, CONNECT_MS);
}
