/** A server behind Sentinel: the client finds the primary, and reports when another server becomes the primary. */
import { storeAway } from 'sojourn/store-kit';
import { createClient, type SentinelClient } from './client.ts';
import type { ServerSettings } from './server.ts';
import { SingleServer } from './single-server.ts';

/**
 * The client pauses for 1 s after a search without a primary, and a message of Sentinel does not end the pause. So it
 * searches once and fails, and `link.ts` retries sooner. The client does not replace a lost connection to a sentinel
 * after a failed search: it searches again by itself after `scanInterval`.
 */
const OVERRIDES = { maxCommandRediscovers: 0, scanInterval: 5_000 };

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
    sentinel.on('topology-change', (event: { readonly type: string }) => {
      if (event.type === 'MASTER_CHANGE') this.moved(storeAway(`${this.where}: another server is the primary now`));
    });
  }

  override async close(): Promise<void> {
    await super.close();
    await Promise.resolve(this.#sentinel.destroy()).catch(() => undefined);
  }
}
