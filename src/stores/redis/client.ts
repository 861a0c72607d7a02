/**
 * The client package `redis`, loaded when the first store is opened, and no more of it than is used here. Connections are
 * made anew by `link.ts`, so a client that is made here never reconnects, queues nothing while it is away and has no timer
 * for each command.
 */
import { storeAway } from '../../errors.ts';

/** What a command answers, as RESP has it. */
export type Reply = string | number | null | readonly Reply[];

type Listener = (message: string, channel: string) => void;

/** One connection. */
export interface RedisClient {
  readonly options: ClientOptions;
  /** Connected, and greeted. */
  readonly isReady: boolean;
  connect(): Promise<unknown>;
  sendCommand(args: readonly string[]): Promise<unknown>;
  subscribe(channel: string, listener: Listener): Promise<void>;
  sSubscribe(channel: string, listener: Listener): Promise<void>;
  unsubscribe(channel: string): Promise<void>;
  sUnsubscribe(channel: string): Promise<void>;
  on(event: string, listener: (...args: never[]) => void): unknown;
  /** Resolves when everything asked is answered. */
  close(): Promise<void>;
  destroy(): void;
  duplicate(overrides: object): RedisClient;
}

export interface ClientOptions {
  readonly database?: number | undefined;
  readonly socket?: { readonly host?: string; readonly port?: number; readonly path?: string } | undefined;
}

/** Of a Cluster only what it is configured with is used: its connections and its picture of the slots stay its own. */
export interface ClusterClient {
  readonly _options: ClusterOptions;
}

interface Address {
  readonly host: string;
  readonly port: number;
}

export interface ClusterOptions {
  readonly rootNodes: readonly NodeOptions[];
  readonly defaults?: NodeOptions | undefined;
  readonly RESP?: number | undefined;
  readonly nodeAddressMap?: Readonly<Record<string, Address>> | ((address: string) => Address | undefined) | undefined;
}

interface NodeOptions {
  readonly url?: string | undefined;
  readonly socket?: ClientOptions['socket'];
}

export interface SentinelClient {
  connect(): Promise<unknown>;
  /** Runs `fn` with a connection to the master. */
  _execute<T>(isReadonly: boolean, fn: (client: RedisClient) => Promise<T>): Promise<T>;
  on(event: string, listener: (...args: never[]) => void): unknown;
  destroy(): Promise<void> | void;
  duplicate(): SentinelClient;
}

export interface RedisPackage {
  createClient(options: object): RedisClient;
}

/** Added to whatever a client is configured with. */
export function ownWays(socket: ClientOptions['socket'], connectMs: number): object {
  return {
    socket: { ...socket, reconnectStrategy: false, connectTimeout: connectMs, socketTimeout: undefined },
    commandOptions: { timeout: undefined, typeMapping: undefined },
    disableOfflineQueue: true,
    maintNotifications: 'disabled',
    disableClientInfo: true,
    pingInterval: undefined,
    clientSideCache: undefined,
    readonly: false,
  };
}

export async function loadRedis(): Promise<RedisPackage> {
  try {
    return (await import('redis')) as unknown as RedisPackage;
  } catch (cause) {
    const { code, message } = cause as { readonly code?: unknown; readonly message?: unknown };
    const missing = code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND';
    const why = missing ? 'is not installed: npm install redis' : `could not be loaded (${String(message)})`;
    throw storeAway(`redis() needs the package redis, which ${why}`, cause);
  }
}
