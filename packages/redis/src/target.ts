/**
 * What `redis()` was given, and how to open a server from it. The store takes the configuration of the caller's clients
 * and neither uses nor closes them.
 */
import type { Logger } from 'sojourn/store-kit';
import {
  clusterOptions,
  connectionOverrides,
  destroyClient,
  loadRedis,
  type ClientOptions,
  type ClusterClient,
  type RedisClient,
  type SentinelClient,
} from './client.ts';
import { ClusterServer } from './cluster-server.ts';
import type { LinkSettings } from './link.ts';
import { openSentinel } from './sentinel.ts';
import type { Server } from './server.ts';
import { SingleServer } from './single-server.ts';

export type Target =
  | { readonly kind: 'single'; readonly options: ClientOptions }
  | { readonly kind: 'sentinel'; readonly client: SentinelClient }
  | { readonly kind: 'cluster'; readonly client: ClusterClient };

export interface ServerSettings extends LinkSettings {
  readonly logger: Logger;
  /** A key of each slot of a Cluster that the store uses. */
  readonly keys: readonly string[];
}

const nothing = async (): Promise<void> => undefined;

/** Connected; rejects when the connection fails. */
export async function openServer(target: Target, settings: ServerSettings): Promise<Server> {
  const { logger } = settings;
  const where = whereIs(target);
  const check = { logger, cluster: target.kind === 'cluster', evictionWarned: false };
  switch (target.kind) {
    case 'single': {
      const { options } = target;
      const { createClient } = await loadRedis();
      // This client shows what the URL configures; it is never connected.
      const probe = createClient(options);
      const { socket, database = 0 } = probe.options;
      destroyClient(probe);
      const make = (): RedisClient => createClient({ ...options, ...connectionOverrides(socket) });
      return opened(new SingleServer({ where, settings, check, database, make, close: nothing }));
    }
    case 'sentinel':
      return opened(await openSentinel(where, target.client, settings, check));
    case 'cluster': {
      const configured = clusterOptions(target.client);
      const { keys } = settings;
      return opened(new ClusterServer({ where, redis: await loadRedis(), configured, settings, check, keys }));
    }
  }
}

async function opened<T extends Server & { open(): Promise<void> }>(server: T): Promise<T> {
  await server.open();
  return server;
}

function whereIs(target: Target): string {
  if (target.kind === 'sentinel') return 'Redis behind Sentinel';
  if (target.kind === 'cluster') return 'the Redis Cluster';
  const { url, socket } = target.options;
  if (url !== undefined) {
    const { protocol, host, pathname } = new URL(url);
    return `Redis at ${protocol}//${host}${pathname}`;
  }
  return `Redis at ${socket?.path ?? `${socket?.host ?? 'localhost'}:${socket?.port ?? 6379}`}`;
}
