/**
 * What `redis()` was given: how to make a server from it, not connected. The store takes the configuration of the
 * caller's clients and neither uses nor closes them.
 */
import { connectionOverrides, createClient, destroyClient, type ClientOptions } from './client.ts';
import type { Server, ServerSettings } from './server.ts';
import { SingleServer } from './single-server.ts';

export type Target = (settings: ServerSettings) => Server;

export function single(options: ClientOptions): Target {
  return (settings) => {
    // This client shows what the URL configures; it is never connected.
    const probe = createClient(options);
    const { socket } = probe.options;
    destroyClient(probe);
    return new SingleServer(whereIs(options), settings, () =>
      createClient({ ...options, ...connectionOverrides(socket) }),
    );
  };
}

function whereIs({ url, socket }: ClientOptions): string {
  if (url !== undefined) {
    const { protocol, host, pathname } = new URL(url);
    return `Redis at ${protocol}//${host}${pathname}`;
  }
  return `Redis at ${socket?.path ?? `${socket?.host ?? 'localhost'}:${socket?.port ?? 6379}`}`;
}
