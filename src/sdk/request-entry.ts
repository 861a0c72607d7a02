/**
 * The short way of a request or notification into a server of the SDK (ADR 0024). The `onmessage` that `connect` sets
 * on a transport parses each message against up to four schemas, only to tell its kind, and then calls the server's
 * `_onrequest` or `_onnotification`. The caller knows the kind, so it calls this method itself.
 *
 * That is right only if three things hold; otherwise the message goes through `onmessage`:
 *
 * * `onmessage` is the function that the SDK's `connect` set. Tracing tools replace it to see every message.
 * * The server is connected to this transport, and its class is the SDK's `Server`, not a subclass.
 * * In this class `onmessage` does nothing else with such a message. A self-check finds out, once for each class.
 */
import type { Logger } from '../types.ts';
import { isObject } from '../protocol/jsonrpc.ts';
import { warnOfMoved } from './moved-members.ts';
import { isSubclass } from './sdk-server.ts';
import { innerServer } from './server-shape.ts';

/** A server with the SDK's own entries for requests and notifications. */
export interface RequestEntry {
  _onrequest(message: unknown, extra: unknown): void;
  /** Version 1 takes no `extra`, and ignores it. */
  _onnotification(message: unknown, extra: unknown): void;
}

interface SdkServer extends RequestEntry {
  readonly transport: unknown;
  connect(transport: object): Promise<void>;
}

type SdkServerClass = new (info: object, options: object) => SdkServer;

/**
 * The entry of the server that is connected to `transport`: `server` itself, or the server inside an `McpServer`.
 * `undefined`: its requests go the public way. The caller checks `onmessage`.
 */
export function requestEntry(server: unknown, transport: object, logger: Logger): RequestEntry | undefined {
  warnOfMoved(server, logger);
  const inner = innerServer(server);
  // The fields of a subclass are unknown.
  if (!isServer(inner) || inner.transport !== transport || isSubclass(inner)) return undefined;
  return passes(inner.constructor as SdkServerClass, logger) ? inner : undefined;
}

/** Passes a request or a notification to the server. `extra`: as a transport gives it. */
export function enter(entry: RequestEntry, message: unknown, extra: unknown, isRequest: boolean): void {
  if (isRequest) entry._onrequest(message, extra);
  else entry._onnotification(message, extra);
}

const MEMBERS = ['_onrequest', '_onnotification', 'connect'];

const isServer = (value: unknown): value is SdkServer =>
  isObject(value) && MEMBERS.every((name) => typeof value[name] === 'function');

const results = new WeakMap<SdkServerClass, boolean>();

/** Whether the self-check of this class has passed. The log has a line for a class whose check failed. */
export function passes(serverClass: SdkServerClass, logger: Logger): boolean {
  let passed = results.get(serverClass);
  if (passed === undefined) {
    const why = failedCheck(serverClass);
    results.set(serverClass, (passed = why === undefined));
    if (!passed)
      logger.warn({ why }, `Requests go through the transport's onmessage, which takes more CPU time: ${why}`);
  }
  return passed;
}

/**
 * Connects a server without handlers, and passes requests and notifications to the `onmessage` that `connect` set. Each
 * must reach its entry at once, as it is, and change nothing else of the server. Returns what is wrong.
 */
export function failedCheck(serverClass: SdkServerClass): string | undefined {
  try {
    const server = new serverClass({ name: 'self-check', version: '0' }, { capabilities: {} });
    const transport = new SilentTransport();
    server.connect(transport).catch(() => {});
    const { onmessage } = transport;
    if (transport.assigned !== 1 || onmessage === undefined) return 'connect() does not set onmessage once';
    if (server.transport !== transport) return 'connect() does not keep the transport';
    const calls: unknown[][] = [];
    for (const entry of [REQUEST, NOTIFICATION])
      Object.defineProperty(server, entry, { value: (...args: unknown[]) => void calls.push([entry, ...args]) });
    const before = stateOf(server);
    const problem =
      REQUESTS.map((request) => passedOn(onmessage, request, REQUEST, calls)).find(isText) ??
      NOTIFICATIONS.map((notification) => passedOn(onmessage, notification, NOTIFICATION, calls)).find(isText);
    if (problem !== undefined) return problem;
    if (stateOf(server).some((value, n) => value !== before[n])) return 'onmessage changes the server';
    return transport.sent ? 'onmessage sends something' : undefined;
  } catch (cause) {
    return `the self-check failed: ${cause instanceof Error ? cause.message : String(cause)}`;
  }
}

const REQUEST = '_onrequest';
const NOTIFICATION = '_onnotification';
const isText = (value: unknown): value is string => typeof value === 'string';

/** Returns what is wrong with the way of one message. */
function passedOn(onmessage: OnMessage, sent: object, entry: string, calls: unknown[][]): string | undefined {
  const extra = {};
  onmessage(sent, extra);
  const [called, message, passed, ...more] = calls.pop() ?? [];
  const isExtra = passed === extra || (entry === NOTIFICATION && passed === undefined);
  if (called === entry && message === sent && isExtra && more.length === 0 && calls.length === 0) return undefined;
  return `onmessage does not pass a ${entry === REQUEST ? 'request' : 'notification'} to ${entry} as it is`;
}

const REQUESTS: readonly object[] = [
  { jsonrpc: '2.0', id: 1, method: 'ping' },
  { jsonrpc: '2.0', id: 'one', method: 'tools/call', params: { name: 'none', _meta: { progressToken: 1 } } },
  { jsonrpc: '2.0', id: 2, method: 'vendor/unknown', params: {} },
];

const NOTIFICATIONS: readonly object[] = [
  { jsonrpc: '2.0', method: 'notifications/initialized' },
  { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 1, _meta: {} } },
  { jsonrpc: '2.0', method: 'vendor/unknown', params: {} },
];

/** Its own properties, and how much each map, set and list holds. */
function stateOf(server: object): unknown[] {
  return Reflect.ownKeys(server).flatMap((key) => {
    const value: unknown = Reflect.get(server, key);
    const size = value instanceof Map || value instanceof Set ? value.size : Array.isArray(value) ? value.length : 0;
    return [key, value, size];
  });
}

type OnMessage = (message: unknown, extra: unknown) => void;

class SilentTransport {
  #onmessage: OnMessage | undefined = undefined;
  assigned = 0;
  sent = false;
  onclose: (() => void) | undefined = undefined;
  onerror: (() => void) | undefined = undefined;

  get onmessage(): OnMessage | undefined {
    return this.#onmessage;
  }
  set onmessage(listener: OnMessage | undefined) {
    this.#onmessage = listener;
    this.assigned += 1;
  }
  async start(): Promise<void> {}
  async send(): Promise<void> {
    this.sent = true;
  }
  async close(): Promise<void> {}
}
