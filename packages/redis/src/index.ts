/**
 * The Redis store: sessions of any number of machines, on Redis or Valkey. It works with one server, a server behind
 * Sentinel, or a Cluster.
 */
import { checkNames, checkText, got, optionInvalid, orUndefined, type Store } from 'sojourn/store-kit';
import { checkClusterClient, checkSentinelClient, type ClusterClient, type SentinelClient } from './client.ts';
import { RedisStore } from './redis-store.ts';
import type { Target } from './target.ts';

/** What `createClient`, `createCluster` or `createSentinel` of the package `redis` returned, connected or not. */
export interface RedisConnection {
  connect(): Promise<unknown>;
  duplicate(overrides?: never): unknown;
}

export interface RedisSettings {
  /**
   * Precedes every key and channel; default `'sojourn'`. Braces are not allowed, because they have a meaning in a
   * Cluster.
   */
  readonly prefix?: string | undefined;
}

export interface RedisOptions extends RedisSettings {
  /** `redis://user:password@host:6379/0`, or `rediss://` for TLS. */
  readonly url?: string | undefined;
  /**
   * Instead of a URL. The store neither uses nor closes this client; it makes connections with the same configuration.
   */
  readonly client?: RedisConnection | undefined;
}

const SETTINGS = ['prefix'] as const satisfies readonly (keyof RedisSettings)[];
const OPTIONS = ['url', 'client', ...SETTINGS] as const satisfies readonly (keyof RedisOptions)[];
const URL_TAKES = "a URL of redis: or rediss:, e.g. 'redis://localhost:6379'";
const CLIENT_TAKES = 'what createClient, createCluster or createSentinel of the package redis returned';

/**
 * A store on Redis or Valkey, with the package `redis`.
 * @throws TypeError, RangeError naming the option that is wrong.
 */
export function redis(at: string | RedisConnection | RedisOptions, settings: RedisSettings = {}): Store {
  const { prefix: own } = checkNames('redis', settings, SETTINGS, []);
  if (typeof at === 'string') return new RedisStore(urlTarget(at), checkPrefix(own));
  const connected = clientTarget(at);
  if (connected !== undefined) return new RedisStore(connected, checkPrefix(own));
  if (typeof at === 'object' && at !== null && 'connect' in at)
    throw optionInvalid('type', 'redis', got('a client of another kind'), CLIENT_TAKES);
  const { url, client, prefix = own } = checkNames('redis', at, OPTIONS, []);
  return new RedisStore(targetOf(url, client), checkPrefix(prefix));
}

function targetOf(url: unknown, client: unknown): Target {
  if (client === undefined) return urlTarget(url);
  if (url !== undefined) throw optionInvalid('range', 'redis.client', got('both url and client'), 'one of them');
  const target = clientTarget(client);
  if (target === undefined) throw optionInvalid('type', 'redis.client', got(`a ${typeof client}`), CLIENT_TAKES);
  return target;
}

/** A URL may hold a password, so error messages do not show it. */
function urlTarget(url: unknown): Target {
  if (typeof url !== 'string')
    throw optionInvalid('type', 'redis.url', got(url === undefined ? 'none' : `a ${typeof url}`), URL_TAKES);
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch {
    throw optionInvalid('range', 'redis.url', got('a text that is no URL'), URL_TAKES);
  }
  if (parsed.protocol !== 'redis:' && parsed.protocol !== 'rediss:')
    throw optionInvalid('range', 'redis.url', got(`a URL of ${parsed.protocol}`), URL_TAKES);
  if (orUndefined(() => decodeURIComponent(parsed.username + parsed.password)) === undefined)
    throw optionInvalid('range', 'redis.url', got('a user or password with a % that encodes nothing'), '%25 for a %');
  if (!/^\/?\d*$/.test(parsed.pathname)) {
    if (parsed.hostname === '') throw optionInvalid('range', 'redis.url', got('a URL without a host'), URL_TAKES);
    throw optionInvalid(
      'range',
      'redis.url',
      got(`a database called ${parsed.pathname}`),
      'its number: redis://host/1',
    );
  }
  return { kind: 'single', options: { url, name: 'sojourn' } };
}

/** Recognises each kind by a member that only it has. The installed package makes the connections of a Cluster. */
function clientTarget(client: unknown): Target | undefined {
  if (typeof client !== 'object' || client === null) return undefined;
  if ('getSentinelNode' in client) {
    const sentinel = client as unknown as SentinelClient;
    checkSentinelClient(sentinel);
    return { kind: 'sentinel', client: sentinel };
  }
  if (!('duplicate' in client)) return undefined;
  if ('nodeByAddress' in client) {
    const cluster = client as unknown as ClusterClient;
    checkClusterClient(cluster);
    return { kind: 'cluster', client: cluster };
  }
  // Clients of ioredis have the other members too, and options of other names.
  if (!('sSubscribe' in client && 'options' in client)) return undefined;
  // A client of version 4 that was given no options has none.
  return { kind: 'single', options: client.options ?? {} };
}

const checkPrefix = (prefix: unknown = 'sojourn'): string =>
  checkText('redis.prefix', prefix, /^[\x21-\x7a\x7c\x7e]+$/, 'a text without braces, spaces or control characters');
