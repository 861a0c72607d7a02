/**
 * The short way of a request into a server of the SDK (ADR 0024). The `onmessage` that `connect` sets on a transport
 * parses each message against three schemas, only to tell a request from the other messages, and then calls the
 * server's `_onrequest`. The caller knows that the message is a request, so it calls `_onrequest` itself.
 *
 * That is right only if three things hold; otherwise the request goes through `onmessage`:
 *
 * * `onmessage` is the function that the SDK's `connect` set. Tracing tools replace it to see every message.
 * * The server is connected to this transport, and its class is the SDK's `Server`, not a subclass.
 * * In this class `onmessage` does nothing else with a request. A self-check finds out, once for each class.
 */
import { isObject } from './jsonrpc.ts';

/** A server with the SDK's own entry for requests. */
export interface RequestEntry {
  _onrequest(message: unknown, extra: unknown): void;
}

/** Called once for a class whose requests go the public way because its self-check failed. */
export type ShortWayRefused = (why: string) => void;

interface SdkServer extends RequestEntry {
  readonly transport: unknown;
  connect(transport: object): Promise<void>;
}

type SdkServerClass = new (info: object, options: object) => SdkServer;

/**
 * The entry of the server that is connected to `transport`: `server` itself, or the server inside an `McpServer`.
 * `undefined`: its requests go the public way. The caller checks `onmessage`.
 */
export function requestEntry(server: unknown, transport: object, refused: ShortWayRefused): RequestEntry | undefined {
  const inner = isObject(server) && isObject(server['server']) ? server['server'] : server;
  if (!isServer(inner) || inner.transport !== transport) return undefined;
  return passes(inner.constructor as SdkServerClass, refused) ? inner : undefined;
}

/** `Server` extends `Protocol`, which extends nothing. The fields of a subclass are unknown. */
function isServer(value: unknown): value is SdkServer {
  if (!isObject(value) || typeof value['_onrequest'] !== 'function' || typeof value['connect'] !== 'function')
    return false;
  const protocol: unknown = Object.getPrototypeOf(Object.getPrototypeOf(value));
  return isObject(protocol) && Object.getPrototypeOf(protocol) === Object.prototype;
}

const results = new WeakMap<SdkServerClass, boolean>();

/** Whether the self-check of this class has passed. */
export function passes(serverClass: SdkServerClass, refused: ShortWayRefused): boolean {
  let passed = results.get(serverClass);
  if (passed === undefined) {
    const problem = failedCheck(serverClass);
    results.set(serverClass, (passed = problem === undefined));
    if (problem !== undefined) refused(problem);
  }
  return passed;
}

/**
 * Connects a server without handlers, and passes requests to the `onmessage` that `connect` set. Each must reach
 * `_onrequest` at once, as it is, and change nothing else of the server. Returns what is wrong.
 */
export function failedCheck(serverClass: SdkServerClass): string | undefined {
  try {
    const server = new serverClass({ name: 'self-check', version: '0' }, { capabilities: {} });
    const transport = new ShamTransport();
    server.connect(transport).catch(() => {});
    const { onmessage } = transport;
    if (transport.assigned !== 1 || onmessage === undefined) return 'connect() does not set onmessage once';
    if (server.transport !== transport) return 'connect() does not keep the transport';
    const calls: unknown[][] = [];
    Object.defineProperty(server, '_onrequest', { value: (...args: unknown[]) => void calls.push(args) });
    const before = stateOf(server);
    for (const request of REQUESTS) {
      const extra = {};
      onmessage(request, extra);
      const [message, passed, ...more] = calls.pop() ?? [];
      if (message !== request || passed !== extra || more.length > 0 || calls.length > 0)
        return 'onmessage does not pass a request to _onrequest as it is';
    }
    if (stateOf(server).some((value, n) => value !== before[n])) return 'onmessage changes the server';
    return transport.sent ? 'onmessage sends something' : undefined;
  } catch (cause) {
    return `the self-check failed: ${cause instanceof Error ? cause.message : String(cause)}`;
  }
}

const REQUESTS: readonly object[] = [
  { jsonrpc: '2.0', id: 1, method: 'ping' },
  { jsonrpc: '2.0', id: 'one', method: 'tools/call', params: { name: 'none', _meta: { progressToken: 1 } } },
  { jsonrpc: '2.0', id: 2, method: 'vendor/unknown', params: {} },
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

class ShamTransport {
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
