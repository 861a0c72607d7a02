/**
 * The short way of a request into a server of the SDK (docs/adr/transport.md). The `onmessage` that `connect` sets on a
 * transport parses each message against up to four schemas, only to tell its kind, and then calls the server's
 * `_onrequest`. The caller knows the kind, so it calls this method itself.
 *
 * That is right only if `onmessage` is the function that the SDK's `connect` set, because tracing tools replace it to
 * see every message, and if the class of the server is the SDK's `Server`, not a subclass. `onmessage` does nothing
 * else with a request in any version of the SDK that is supported (`test/repo/pins/request-entry.test.ts`).
 */
import { isObject } from '../base/protocol/jsonrpc.ts';
import { isSubclass } from './sdk-server.ts';
import { innerServer } from './server-shape.ts';

/** A server with the SDK's own entry for requests. */
export interface RequestEntry {
  _onrequest(message: unknown, extra: unknown): void;
}

/**
 * The entry of the server that is connected to `transport`: `server` itself, or the server inside an `McpServer`.
 * `undefined`: its requests go the public way. The caller checks `onmessage`.
 */
export function requestEntry(server: unknown, transport: object): RequestEntry | undefined {
  const inner = innerServer(server);
  if (!isObject(inner) || inner['transport'] !== transport || isSubclass(inner)) return undefined;
  return typeof inner['_onrequest'] === 'function' ? (inner as unknown as RequestEntry) : undefined;
}

/** `extra`: as a transport gives it. */
export function enterRequest(entry: RequestEntry, message: unknown, extra: unknown): void {
  entry._onrequest(message, extra);
}
