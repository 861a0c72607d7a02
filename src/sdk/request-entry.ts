/**
 * The short way of a request or notification into a server of the SDK (docs/adr/transport.md). The `onmessage` that
 * `connect` sets on a transport parses each message against up to four schemas, only to tell its kind, and then calls the server's
 * `_onrequest` or `_onnotification`. The caller knows the kind, so it calls this method itself.
 *
 * That is right only if `onmessage` is the function that the SDK's `connect` set, because tracing tools replace it to
 * see every message, and if the class of the server is the SDK's `Server`, not a subclass. `onmessage` does nothing
 * else with such a message in any version of the SDK that is supported (`test/pins/request-entry.test.ts`).
 */
import { isObject } from '../protocol/jsonrpc.ts';
import { isSubclass } from './sdk-server.ts';
import { innerServer } from './server-shape.ts';

/** A server with the SDK's own entries for requests and notifications. */
export interface RequestEntry {
  _onrequest(message: unknown, extra: unknown): void;
  /** Version 1 takes no `extra`, and ignores it. */
  _onnotification(message: unknown, extra: unknown): void;
}

/**
 * The entry of the server that is connected to `transport`: `server` itself, or the server inside an `McpServer`.
 * `undefined`: its requests go the public way. The caller checks `onmessage`.
 */
export function requestEntry(server: unknown, transport: object): RequestEntry | undefined {
  const inner = innerServer(server);
  return hasEntries(inner) && inner['transport'] === transport && !isSubclass(inner) ? inner : undefined;
}

/** Passes a request or a notification to the server. `extra`: as a transport gives it. */
export function enter(entry: RequestEntry, message: unknown, extra: unknown, isRequest: boolean): void {
  if (isRequest) entry._onrequest(message, extra);
  else entry._onnotification(message, extra);
}

export function hasEntries(server: unknown): server is RequestEntry & Readonly<Record<string, unknown>> {
  return (
    isObject(server) && typeof server['_onrequest'] === 'function' && typeof server['_onnotification'] === 'function'
  );
}
