/**
 * The NATS store: sessions of any number of machines in JetStream. Records are in a bucket, logs in a stream, and
 * messages between instances go over NATS itself.
 */
import { optionInvalid } from '../../errors.ts';
import { checkNames, checkNumber, checkText, got } from '../../options/checks.ts';
import { checkVersion } from '../../options/packages.ts';
import type { Store } from '../store.ts';
import type { NatsClient } from './client.ts';
import { NatsStore } from './nats-store.ts';
import type { Target } from './target.ts';

/** What `connect` of the package `@nats-io/transport-node` returned. */
export interface NatsConnection {
  publish(subject: string, data?: Uint8Array | string): void;
  subscribe(subject: string): unknown;
  flush(): Promise<void>;
  close(): Promise<void>;
}

export interface NatsSettings {
  /** The prefix of every stream and subject: letters, digits, `-` and `_`. Default `'sojourn'`. */
  readonly prefix?: string | undefined;
  /** How many servers of a cluster keep a copy of each stream that this store creates. Default 1. */
  readonly replicas?: number | undefined;
  /**
   * Bytes of disk for all streams that this store creates together. Default: no limit. Accounts with
   * `max_bytes_required` need it. A full stream refuses writes, except the log, which drops its oldest messages.
   */
  readonly maxBytes?: number | undefined;
}

export interface NatsOptions extends NatsSettings {
  /**
   * `nats://user:password@host:4222`, `nats://token@host`, or `tls://…` for TLS. A list for several servers of a
   * cluster.
   */
  readonly servers?: string | readonly string[] | undefined;
  /** Your own connection instead. The store uses it and never closes it. */
  readonly connection?: NatsConnection | undefined;
  /** Further options of `connect` of the package, with `servers`: `tls`, `authenticator`, `inboxPrefix` … */
  readonly connect?: object | undefined;
}

const SETTINGS = ['prefix', 'replicas', 'maxBytes'] as const satisfies readonly (keyof NatsSettings)[];
const OPTIONS = ['servers', 'connection', 'connect', ...SETTINGS] as const satisfies readonly (keyof NatsOptions)[];
const PREFIX = 'sojourn';
/** The least `maxBytes`: the smallest stream gets a hundredth of it. */
const LEAST_BYTES = 16_777_216;
const PREFIX_TAKES = 'letters, digits, - and _';
const URL_TAKES = "a URL of nats: or tls:, e.g. 'nats://localhost:4222', or a list of them";
const CONNECTION_TAKES = 'what connect() of the package @nats-io/transport-node returned';

/**
 * A store in NATS JetStream. It needs the package `@nats-io/transport-node`, which is loaded when the store is opened.
 * @throws TypeError, RangeError naming the wrong option; PACKAGE_UNSUPPORTED.
 */
export function nats(
  at: string | readonly string[] | NatsConnection | NatsOptions,
  settings: NatsSettings = {},
): Store {
  const own = checkNames('nats', settings, SETTINGS, []);
  if (typeof at === 'string' || Array.isArray(at)) return makeStore(serversTarget(at, {}), own);
  if (isConnection(at)) return makeStore({ connection: at }, own);
  const given = checkNames('nats', at, OPTIONS, []);
  return makeStore(targetOf(given), { ...own, ...given });
}

function makeStore(
  target: Target,
  { prefix = PREFIX, replicas = 1, maxBytes = Infinity }: Record<string, unknown>,
): Store {
  const range = { min: 1, unit: 'servers', integer: true };
  const bytes = { min: LEAST_BYTES, unit: 'bytes', integer: true, infinity: 'no limit' };
  checkVersion('nats()', '@nats-io/transport-node');
  return new NatsStore({
    target,
    prefix: checkText('nats.prefix', prefix, /^[A-Za-z0-9_-]{1,64}$/, PREFIX_TAKES),
    replicas: checkNumber('nats.replicas', replicas, range),
    maxBytes: checkNumber('nats.maxBytes', maxBytes, bytes),
  });
}

function targetOf({ servers, connection, connect = {} }: Record<string, unknown>): Target {
  if (connection === undefined) {
    if (typeof connect !== 'object' || connect === null)
      throw optionInvalid('type', 'nats.connect', connect, 'an object of options');
    return serversTarget(servers, connect);
  }
  if (servers !== undefined)
    throw optionInvalid('range', 'nats.connection', got('both servers and connection'), 'one of them');
  if (!isConnection(connection))
    throw optionInvalid('type', 'nats.connection', got(`a ${typeof connection}`), CONNECTION_TAKES);
  return { connection };
}

/** Errors do not show the URL, because it may contain a password. */
function serversTarget(servers: unknown, more: object): Target {
  const texts: readonly unknown[] = Array.isArray(servers) ? servers : [servers];
  const urls = texts.map((text) => {
    if (typeof text !== 'string') throw optionInvalid('type', 'nats.servers', got(`a ${typeof text}`), URL_TAKES);
    return readUrl(text);
  });
  const [first] = urls;
  if (first === undefined) throw optionInvalid('range', 'nats.servers', got('an empty list'), URL_TAKES);
  const { username, password } = first;
  const user = decodeURIComponent(username);
  const credentials =
    username === '' ? {} : password === '' ? { token: user } : { user, pass: decodeURIComponent(password) };
  const hosts = urls.map(({ host }) => host);
  const tls = urls.some(({ protocol }) => protocol === 'tls:') && { tls: {} };
  return { hosts, connect: { ...credentials, ...tls, ...more } };
}

function readUrl(text: string): URL {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw optionInvalid('range', 'nats.servers', got('a text that is no URL'), URL_TAKES);
  }
  if (url.protocol !== 'nats:' && url.protocol !== 'tls:')
    throw optionInvalid('range', 'nats.servers', got(`a URL of ${url.protocol}`), URL_TAKES);
  if (url.host === '') throw optionInvalid('range', 'nats.servers', got('a URL without a host'), URL_TAKES);
  return url;
}

function isConnection(value: unknown): value is NatsClient {
  if (typeof value !== 'object' || value === null) return false;
  const { publish, subscribe, flush, status } = value as Partial<NatsClient>;
  return [publish, subscribe, flush, status].every((method) => typeof method === 'function');
}
