/**
 * The client package `redis`. `link.ts` replaces broken connections, so a client made here does not reconnect, does not
 * queue commands offline and has no timer for each command. Replies have the form of RESP 3, whatever is configured.
 */
import { createClient as createOne, type RedisClientOptions } from 'redis';

/** The reply to a command. */
export type Reply = string | number | null | readonly Reply[];

/** One connection, made by the installed package. */
export type RedisClient = ReturnType<typeof createOne>;

/** The package has a type for each kind of socket. */
export interface ClientOptions extends Omit<RedisClientOptions, 'RESP' | 'socket'> {
  readonly socket?: object;
}

/** A connection that takes longer than this to open counts as failed. */
export const CONNECT_MS = 2_000;

/** What every connection of the store has, whatever the configuration says. */
const OWN = {
  RESP: 3,
  commandOptions: { timeout: undefined, typeMapping: undefined },
  disableOfflineQueue: true,
  maintNotifications: 'disabled',
  disableClientInfo: true,
  pingInterval: undefined,
  clientSideCache: undefined,
  readonly: false,
};
const OWN_SOCKET = {
  reconnectStrategy: false,
  connectTimeout: CONNECT_MS,
  socketTimeout: undefined,
};

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
  template ??= createOne({ maintNotifications: 'disabled' });
  const own: object = { ...options, ...OWN, socket: { ...options.socket, ...OWN_SOCKET } };
  return template.duplicate(own);
}
