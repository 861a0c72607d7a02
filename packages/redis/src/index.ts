/**
 * The Redis store: sessions of any number of machines, on Redis or Valkey. It works with one server, a server behind
 * Sentinel, or a Cluster.
 */
import { checkNames, checkText, got, optionInvalid, orUndefined, type Store } from 'sojourn/store-kit';
import { checkMembers, type ClusterClient, type SentinelClient } from './client.ts';
import { ClusterServer } from './cluster-server.ts';
import { redisStore } from './redis-store.ts';
import { SentinelServer } from './sentinel.ts';
import type { Target } from './server.ts';
import { single } from './single-server.ts';

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
  "a URL of redis: or rediss:, e.g. 'redis://localhost:6379', or what createClient, createCluster or createSentinel of " +
  'the package redis returned';

/**
 * A store on Redis or Valkey, with the package `redis`. `server`: `redis://user:password@host:6379/0`, `rediss://` for
 * TLS, or a client. The store neither uses nor closes the client; it makes connections with the same configuration.
 * @throws TypeError, RangeError naming the option that is wrong.
 */
export function redis(server: string | RedisConnection, options: RedisOptions = {}): Store {
  const { prefix } = checkNames('redis', options, OPTIONS, []);
  return redisStore(typeof server === 'string' ? urlTarget(server) : clientTarget(server), checkPrefix(prefix));
}

/** A URL may hold a password, so error messages do not show it. */
function urlTarget(url: string): Target {
  const refused = (what: string, takes = TAKES): Error => optionInvalid('range', 'redis.server', got(what), takes);
  const parsed = orUndefined(() => new URL(url));
  if (parsed === undefined) throw refused('a text that is no URL');
  const { protocol, username, password, hostname, pathname } = parsed;
  if (protocol !== 'redis:' && protocol !== 'rediss:') throw refused(`a URL of ${protocol}`);
  if (orUndefined(() => decodeURIComponent(username + password)) === undefined)
    throw refused('a user or password with a % that encodes nothing', '%25 for a %');
  if (!/^\/?\d*$/.test(pathname)) {
    if (hostname === '') throw refused('a URL without a host');
    throw refused(`a database called ${pathname}`, 'its number: redis://host/1');
  }
  return single({ url, name: 'sojourn' });
}

/** Recognises each kind by a member that only it has. The installed package makes the connections of a Cluster. */
function clientTarget(client: unknown): Target {
  const given = typeof client === 'object' && client !== null ? client : {};
  if ('getSentinelNode' in given) {
    checkMembers('Sentinel client', given, ['_execute', 'duplicate'], '^6.0');
    return (settings) => new SentinelServer(given as unknown as SentinelClient, settings);
  }
  if ('duplicate' in given && 'nodeByAddress' in given) {
    checkMembers('Cluster client', given, ['_options'], '^5.9 or ^6.0');
    return (settings) => new ClusterServer(given as unknown as ClusterClient, settings);
  }
  // Clients of ioredis have the other members too, and options of other names.
  if ('duplicate' in given && 'sSubscribe' in given && 'options' in given) {
    // A client of version 4 that was given no options has none.
    return single(given.options ?? {});
  }
  const what = 'connect' in given ? 'a client of another kind' : typeof client;
  throw optionInvalid('type', 'redis.server', got(what), TAKES);
}

const checkPrefix = (prefix: unknown = 'sojourn'): string =>
  checkText('redis.prefix', prefix, /^[\x21-\x7a\x7c\x7e]+$/, 'a text without braces, spaces or control characters');
