/**
 * Makes each handler of a server run within `handledBy` of its message. The SDK tells a transport nothing about a
 * handler of a notification, or of a request that was cancelled. So this gives the tables in which the SDK looks
 * handlers up another prototype. A server without these tables gives places back when its requests end. Servers of a
 * definition are made with tables of their own (`definition/light-server.ts`). Idle sessions are many, so their tables
 * share each function.
 */
import type { Notices } from '../../observe/notices.ts';
import { isObject } from '../../protocol/jsonrpc.ts';
import { TABLE_NAMES } from '../../sdk/sdk-server.ts';
import { type AnyServer, innerServer, TOOL_RUNNER } from '../../sdk/server-shape.ts';
import { currentCall, noticingRunner, type ToolRunner } from './call.ts';

type Handler = (request: unknown, ctx: unknown) => unknown;

const TRACKER = Symbol('sojourn.tracker');

interface Tracker {
  readonly inner: Record<string, unknown>;
  readonly notices: Notices;
}

/** The prototype of a server's table of handlers: what is looked up in it runs within `handledBy` of its message. */
class RequestHandlers extends Map<unknown, unknown> {
  declare readonly [TRACKER]: Tracker;

  get fallback(): string {
    return 'fallbackRequestHandler';
  }

  override get(method: unknown): unknown {
    const { inner, notices } = this[TRACKER];
    const handler = (super.get(method) ?? inner[this.fallback]) as Handler | undefined;
    const call = currentCall.getStore();
    if (handler === undefined || call === undefined) return handler;
    return (message: unknown, ctx: unknown) => call.handledBy(inner, () => handler(message, ctx), notices);
  }
}

class NotificationHandlers extends RequestHandlers {
  override get fallback(): string {
    return 'fallbackNotificationHandler';
  }
}

export class HandlerTracking {
  readonly #notices: Notices;
  /** The key is the method of `McpServer`. */
  readonly #runners = new WeakMap<object, ToolRunner>();

  constructor(notices: Notices) {
    this.#notices = notices;
  }

  track(made: AnyServer): void {
    const outer: unknown = made;
    const inner = innerServer(outer);
    if (!isObject(inner)) return;
    const tracker = { inner, notices: this.#notices };
    trackTable(inner[TABLE_NAMES.notifications], NotificationHandlers, tracker);
    if (!trackTable(inner[TABLE_NAMES.requests], RequestHandlers, tracker)) return;
    const runner: unknown = isObject(outer) ? outer[TOOL_RUNNER] : undefined;
    if (isObject(outer) && typeof runner === 'function') outer[TOOL_RUNNER] = this.#noticing(runner);
  }

  #noticing(runner: object): ToolRunner {
    let noticing = this.#runners.get(runner);
    if (noticing === undefined) {
      noticing = noticingRunner(runner, () => this.#notices);
      this.#runners.set(runner, noticing);
    }
    return noticing;
  }
}

/** `false`: the server has no such table, or has replaced it. */
function trackTable(table: unknown, tracked: typeof RequestHandlers, tracker: Tracker): boolean {
  if (!(table instanceof Map) || Object.getPrototypeOf(table) !== Map.prototype || Object.hasOwn(table, 'get'))
    return false;
  Object.setPrototypeOf(table, tracked.prototype);
  Object.defineProperty(table, TRACKER, { value: tracker });
  return true;
}
