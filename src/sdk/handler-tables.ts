/**
 * The tables in which the SDK looks handlers up. The SDK tells a transport nothing about a handler of a notification,
 * or of a request that was cancelled. So this gives the tables of a server another prototype. Idle sessions are many,
 * so their tables share each function.
 */
import { isObject } from '../protocol/jsonrpc.ts';
import { type Handler, TABLES } from './sdk-server.ts';
import { innerServer } from './server-shape.ts';

type Server = Readonly<Record<string, unknown>>;

/** What a lookup gives in place of `handler`, which is of the low-level server `inner`. */
export type Lookup = (handler: Handler, inner: object) => Handler;

const WATCHER = Symbol('sojourn.watcher');

interface Watcher {
  readonly inner: Server;
  readonly lookup: Lookup;
}

class RequestHandlers extends Map<unknown, unknown> {
  declare readonly [WATCHER]: Watcher;

  get fallback(): string {
    return 'fallbackRequestHandler';
  }

  override get(method: unknown): unknown {
    const { inner, lookup } = this[WATCHER];
    const handler = (super.get(method) ?? inner[this.fallback]) as Handler | undefined;
    return handler && lookup(handler, inner);
  }
}

class NotificationHandlers extends RequestHandlers {
  override get fallback(): string {
    return 'fallbackNotificationHandler';
  }
}

/** `false`: the server has no table of requests where this version of the SDK has it, or has replaced it. */
export function watchLookups(made: unknown, lookup: Lookup): boolean {
  const inner = innerServer(made);
  if (!isObject(inner)) return false;
  const watcher = { inner, lookup };
  watch(inner[TABLES.notifications], NotificationHandlers, watcher);
  return watch(inner[TABLES.requests], RequestHandlers, watcher);
}

function watch(table: unknown, { prototype }: typeof RequestHandlers, watcher: Watcher): boolean {
  if (!(table instanceof Map) || Object.getPrototypeOf(table) !== Map.prototype || Object.hasOwn(table, 'get'))
    return false;
  Object.setPrototypeOf(table, prototype);
  Object.defineProperty(table, WATCHER, { value: watcher });
  return true;
}
