/**
 * The Redis store: sessions of any number of machines, on Redis or Valkey. It works with one server, a server behind
 * Sentinel, or a Cluster.
 */
import { checkNames, checkText, got, optionInvalid, type Store } from 'sojourn/internal';
import { createClient, destroyClient } from './client.ts';
import { ClusterServer, type ClusterClient } from './cluster-server.ts';
import { redisStore } from './redis-store.ts';
import type { Target } from './server.ts';
import { SentinelServer, single, type SentinelClient } from './single-server.ts';

/** What `createClient`, `createCluster` or `createSentinel` of the package `redis` returned, connected or not. */
export interface RedisConnection {
  connect(): Promise<unknown>;
  duplicate(overrides?: never): unknown;
}

export interface RedisOptions {
  /**
   * Precedes every key and channel; default `'sojourn'`. Braces are not allowed, because they have a meaning in a
   * Cluster.
   */
  readonly prefix?: string | undefined;
}

const OPTIONS = ['prefix'] as const satisfies readonly (keyof RedisOptions)[];
const TAKES =
  "a URL of redis: or rediss:, e.g. 'redis://user:password@localhost:6379/0' with %25 for a %, or what createClient, " +
  'createCluster or createSentinel of the package redis 6 returned';

/**
 * A store on Redis or Valkey, with the package `redis`. `server`: `redis://user:password@host:6379/0`, `rediss://` for
 * TLS, or a client. The store neither uses nor closes the client; it makes connections with the same configuration.
 * @throws TypeError, RangeError naming the option that is wrong.
 */
export function redis(server: string | RedisConnection, options: RedisOptions = {}): Store {
  const { prefix } = checkNames('redis', options, OPTIONS, []);
  return redisStore(
    typeof server === 'string' ? urlTarget(server) : clientTarget(server),
    checkPrefix(prefix),
  );
}

/** The package judges the URL. That may hold a password, so the error has the words of the package alone. */
function urlTarget(url: string): Target {
  const options = { url, name: 'sojourn' };
  try {
    destroyClient(createClient(options));
  } catch (error) {
    const { message } = error as Error;
    throw optionInvalid(
      'range',
      'redis.server',
      got(`a text that is not such a URL (${message})`),
      TAKES,
    );
  }
  return single(options);
}

/**
 * Recognises each kind by its members. The package has no public one for what the store uses of a Cluster or Sentinel
 * client, and clients do not say their version.
 */
function clientTarget(client: unknown): Target {
  const given = typeof client === 'object' && client !== null ? client : {};
  const has = (...members: readonly string[]): boolean =>
    members.every((member) => member in given);
  if (has('getSentinelNode', '_execute', 'duplicate'))
    return (settings) => new SentinelServer(given as unknown as SentinelClient, settings);
  if (has('nodeByAddress', '_options', 'duplicate'))
    return (settings) => new ClusterServer(given as unknown as ClusterClient, settings);
  // Clients of ioredis have the other members too, and options of other names.
  if ('options' in given && has('duplicate', 'sSubscribe')) {
    // A client of version 4 that was given no options has none.
    return single(given.options ?? {});
  }
  throw optionInvalid(
    'type',
    'redis.server',
    got(has('connect') ? 'a client of another kind or version' : typeof client),
    TAKES,
  );
}

const checkPrefix = (prefix: unknown = 'sojourn'): string =>
  checkText(
    'redis.prefix',
    prefix,
    /^[\x21-\x7a\x7c\x7e]+$/,
    'a text without braces, spaces or control characters',
  );
