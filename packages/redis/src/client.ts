/**
 * The client package `redis`, with types for the members that the store uses. `link.ts` replaces broken connections, so
 * a client made here does not reconnect, does not queue commands offline and has no timer for each command.
 */
import { createClient as createOne } from 'redis';
import { packageUnsupported } from 'sojourn/store-kit';

/** The reply to a command, as RESP defines it. */
export type Reply = string | number | null | readonly Reply[];

type Listener = (message: string, channel: string) => void;

/** One connection, made by the installed package. */
export interface RedisClient {
  readonly options: ClientOptions;
  /** Connected, with the handshake done. */
  readonly isReady: boolean;
  connect(): Promise<unknown>;
  sendCommand(args: readonly string[]): Promise<unknown>;
  subscribe(channel: string, listener: Listener): Promise<void>;
  sSubscribe(channel: string, listener: Listener): Promise<void>;
  on(event: string, listener: (...args: never[]) => void): unknown;
  /** Resolves when every command that was sent has its reply. */
  close(): Promise<void>;
  destroy(): void;
  duplicate(overrides: object): RedisClient;
}

export interface ClientOptions {
  readonly url?: string | undefined;
  readonly name?: string | undefined;
  readonly RESP?: number | undefined;
  readonly socket?: { readonly host?: string; readonly port?: number; readonly path?: string } | undefined;
}

/**
 * The store uses only the configuration of a given Cluster client, for which node-redis has no public member. It makes
 * connections for itself. A Cluster client of the package that is made during a fail-over asks for the slot map once,
 * and it does not find the node of an ASK without a host.
 */
export interface ClusterClient {
  readonly _options: ClusterOptions;
}

export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface ClusterOptions {
  readonly rootNodes: readonly ClientOptions[];
  readonly defaults?: ClientOptions | undefined;
  readonly RESP?: number | undefined;
  readonly nodeAddressMap?: Readonly<Record<string, Address>> | ((address: string) => Address | undefined) | undefined;
}

export interface SentinelClient {
  connect(): Promise<unknown>;
  /** Runs `fn` with a connection to the primary. */
  _execute<T>(isReadonly: boolean, fn: (client: RedisClient) => Promise<T>): Promise<T>;
  on(event: string, listener: (...args: never[]) => void): unknown;
  destroy(): Promise<void> | void;
  duplicate(overrides: object): SentinelClient;
}

/** A connection that takes longer than this to open counts as failed. */
export const CONNECT_MS = 2_000;

/** What every connection of the store has, whatever the configuration says. */
const OWN = {
  commandOptions: { timeout: undefined, typeMapping: undefined },
  disableOfflineQueue: true,
  maintNotifications: 'disabled',
  disableClientInfo: true,
  pingInterval: undefined,
  clientSideCache: undefined,
  readonly: false,
};
const OWN_SOCKET = { reconnectStrategy: false, connectTimeout: CONNECT_MS, socketTimeout: undefined };

/**
 * node-redis has no public member for what the store needs of a Cluster or Sentinel client. Clients do not say their
 * version either, so each is recognised by its members.
 * @throws PACKAGE_UNSUPPORTED
 */
export function checkMembers(kind: string, client: object, members: readonly string[], working: string): void {
  const missing = members.find((member) => !(member in client));
  if (missing === undefined) return;
  const found = `a ${kind} without \`${missing}\`, of another version of redis`;
  throw packageUnsupported('redis()', found, `redis ${working}`, 'npm install redis@6');
}

/** The package throws for a client that is closed already, or was never connected. */
export function destroyClient(client: RedisClient): void {
  try {
    client.destroy();
  } catch {
    // It is closed.
  }
}

/** Never connected; every client of the store is its duplicate. */
let template: RedisClient | undefined;

/**
 * Neither connected nor connecting. For options that differ from those of the call before, `createClient` of the package
 * builds a class with 600 methods. Each class takes 1 MB, and 5 to 40 ms during which the process does nothing else.
 * Duplicates share a class, which the first of them builds: a program may import the store and use another one.
 */
export function createClient(options: ClientOptions): RedisClient {
  template ??= unconnected();
  return template.duplicate({ ...options, ...OWN, socket: { ...options.socket, ...OWN_SOCKET } });
}

function unconnected(): RedisClient {
  const client = createOne({ maintNotifications: 'disabled' }) as unknown as RedisClient;
  destroyClient(client);
  return client;
}
