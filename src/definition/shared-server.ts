/**
 * The definition's low-level server, which is never connected. What code does with it inside a handler happens on the
 * light server of that request, found by the async context. Outside of a running handler there is no client that a
 * send could be for.
 *
 *     list_changed          → every client of this instance, once per turn of the event loop
 *     resources/updated     → the subscribers of the URI, on every instance
 *     other notifications   → the light server whose handler runs; dropped while no handler runs
 *     requests, `close`     → the light server whose handler runs; rejected while no handler runs
 *     `connect`             → refused, unless a method that the application replaced connects a session
 *
 * A handler has ended when its promise has settled. Work that it left behind cannot send through the shared server any
 * more: a listener or a pooled connection keeps the context of the request that created it, and would reach a client
 * that did not ask. Such code seldom awaits its notifications, and a rejection would end the process.
 */
import { outsideHandler } from '../errors.ts';
import { isObject } from '../protocol/jsonrpc.ts';
import { currentCall, Call } from '../session/calls/call.ts';
import { Announcements, type ListChange } from './announcements.ts';
import { connected, replaced } from './hosted.ts';
import { forwardTables, type HandlerTables, hasSeam, seamsOf, type SdkServer, tablesOf } from '../sdk/sdk-server.ts';

/** They return promises, which reject outside of a handler. */
const SENDS = ['request', 'ping', 'createMessage', 'elicitInput', 'listRoots', 'close'];

/** A handler that sets them means its session. Set outside of a handler, they apply to sessions that start later. */
const CALLBACKS = ['onclose', 'onerror'];

/** Answered by the SDK with `undefined` while a server is not connected. */
const GETTERS = ['getClientCapabilities', 'getClientVersion', 'getNegotiatedProtocolVersion'];

export const LIST_SENDS = {
  sendToolListChanged: 'tools_list_changed',
  sendPromptListChanged: 'prompts_list_changed',
  sendResourceListChanged: 'resources_list_changed',
} as const satisfies Record<string, ListChange>;

/** Light servers name their definition's server under this key. */
const SHARED = Symbol('sojourn.shared-server');

type AnyFunction = (this: unknown, ...args: unknown[]) => unknown;

export class SharedServer {
  readonly server: SdkServer;
  /** The values that the definition has while no handler runs, of properties that belong to one connection. */
  readonly idle: Record<string, unknown> = {};
  readonly announcements = new Announcements();
  /** The definition's handlers. */
  readonly tables: HandlerTables;

  constructor(server: SdkServer) {
    this.server = server;
    this.tables = tablesOf(server);
    forwardTables(server, this.tables, () => this.#connecting);
    const seams = seamsOf(server);
    for (const name of seams.connection) if (hasSeam(server, name)) this.#forwardProperty(name);
    for (const name of CALLBACKS) this.#forwardProperty(name);
    for (const name of seams.methods)
      if (hasSeam(server, name)) this.#forward(name, Reflect.get(server, name) as AnyFunction);
    for (const name of SENDS) this.#forwardSend(name);
    for (const name of GETTERS) if (name in server) this.#forward(name, () => undefined);
    for (const [name, change] of Object.entries(LIST_SENDS)) {
      this.override(server, name, () => {
        this.announcements.listChanged(change);
        return Promise.resolve();
      });
    }
    this.#forwardNotifications();
    this.override(server, 'connect', async (transport) => {
      const light = this.#light;
      if (light === undefined || light.transport !== undefined) throw connected();
      return call(light, 'connect', [transport]);
    });
    if (!seams.forwardsTransport) {
      Object.defineProperty(server, 'transport', { configurable: true, get: () => this.#light?.transport });
    }
  }

  /** Marks a light server, so that contexts lead to it. */
  adopt(light: SdkServer): void {
    Object.defineProperty(light, SHARED, { value: this });
  }

  /** Runs code of the application that belongs to one session and is no handler. */
  async actAs<T>(light: SdkServer, run: () => T | Promise<T>): Promise<T> {
    const { caller, live, requestHidden = false } = currentCall.getStore() ?? {};
    const call = new Call(caller, live, requestHidden, undefined, undefined, undefined);
    return currentCall.run(call, () => call.handledBy(light, run));
  }

  /**
   * Replaces a method of the definition. Tools that wrap it may replace it in turn. A handler may not: what it sets
   * would serve every session. On an object that inherits from the definition it sets a member of that object.
   */
  override(of: object, name: string, value: AnyFunction): void {
    let current: unknown = value;
    const running = (): boolean => this.#light !== undefined;
    Object.defineProperty(of, name, {
      configurable: true,
      get: () => current,
      set(this: object, replacement: unknown) {
        if (this !== of) {
          const own = { configurable: true, enumerable: true, writable: true, value: replacement };
          Object.defineProperty(this, name, own);
        } else if (running()) throw replaced(name);
        else current = replacement;
      },
    });
  }

  /** The light server whose handler runs. */
  get #light(): SdkServer | undefined {
    const light = currentCall.getStore()?.handlerServer;
    return light !== undefined && Reflect.get(light, SHARED) === this ? (light as SdkServer) : undefined;
  }

  /** The server of a session that the application's `connect()` or `close()` handles now. */
  get #connecting(): SdkServer | undefined {
    return currentCall.getStore()?.method === undefined ? this.#light : undefined;
  }

  #forwardProperty(name: string): void {
    const { server, idle } = this;
    idle[name] = Reflect.get(server, name);
    Object.defineProperty(server, name, {
      configurable: true,
      enumerable: true,
      get: () => Reflect.get(this.#light ?? idle, name) as unknown,
      set: (value: unknown) => {
        Reflect.set(this.#light ?? idle, name, value);
      },
    });
  }

  /** `idle`: what is called while no handler runs. */
  #forward(name: string, idle: AnyFunction): void {
    const { server } = this;
    this.override(server, name, (...args) =>
      this.#light === undefined ? idle.apply(server, args) : call(this.#light, name, args),
    );
  }

  #forwardSend(name: string): void {
    this.override(this.server, name, async (...args) => {
      const light = this.#light;
      if (light === undefined) throw outsideHandler(`${name}()`);
      return call(light, name, args);
    });
  }

  #forwardNotifications(): void {
    const { server } = this;
    this.override(server, 'notification', async (...args) => {
      const [{ method, params }] = args as [{ readonly method: string; readonly params?: unknown }];
      if (this.announcements.take(method, params)) return undefined;
      return this.#light === undefined ? this.announcements.drop(method) : call(this.#light, 'notification', args);
    });
    this.override(server, 'sendResourceUpdated', async (params) => this.announcements.resourceUpdated(params));
    this.override(server, 'sendLoggingMessage', async (...args) => {
      const light = this.#light;
      const isForClient = light !== undefined && isNamed(light, args[1]);
      return isForClient ? call(light, 'sendLoggingMessage', args) : this.announcements.drop('notifications/message');
    });
    this.override(server, 'createElicitationCompletionNotifier', (...args) =>
      this.#light === undefined
        ? async () => this.announcements.drop('notifications/elicitation/complete')
        : call(this.#light, 'createElicitationCompletionNotifier', args),
    );
  }
}

/** `sendLoggingMessage(params, sessionId)`: the SDK sends to its connection, whatever session is named. */
function isNamed({ transport }: SdkServer, sessionId: unknown): boolean {
  return sessionId === undefined || (isObject(transport) && transport['sessionId'] === sessionId);
}

function call(server: SdkServer, name: string, args: unknown[]): unknown {
  return (Reflect.get(server, name) as AnyFunction).apply(server, args);
}
