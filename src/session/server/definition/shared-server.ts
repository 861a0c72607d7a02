/**
 * One server that the application built once. Each call of `factory` returns a light server, a fresh SDK `Server` that
 * answers with the definition's handlers, inside a facade (`facade.ts`) where the definition is an `McpServer`.
 *
 *     free ──hostDefinition──▶ hosted ──release──▶ free
 *
 * The definition's low-level server is never connected. Every member of it but its two tables of handlers leads to the
 * light server whose handler runs, found by the async context. Outside of a running handler it leads to `idle`, which
 * has what the application gave its server. So the state of a client has no other place than its light server, whatever
 * members a version of the SDK has. This forwarding stays for good: a server that served sessions once can be hosted
 * again, and never be connected.
 *
 *     list_changed          → every client of this instance, once per turn of the event loop
 *     resources/updated     → the subscribers of the URI, on every instance
 *     other notifications   → the light server whose handler runs; dropped while no handler runs
 *     requests, `close`     → the light server whose handler runs; rejected while no handler runs
 *     `connect`             → refused, unless a method that the application replaced connects a session
 *     registration          → the definition; the session alone, while its `connect()` runs
 *
 * A handler has ended when its promise has settled. Work that it left behind cannot send through the shared server any
 * more: a listener or a pooled connection keeps the context of the request that created it, and would reach a client
 * that did not ask. Such code seldom awaits its notifications, and a rejection would end the process.
 */
import type { ServerEvent } from '@modelcontextprotocol/server';
import { afterTurn } from '../../../base/system.ts';
import { definitionRefused, outsideHandler } from '../../../base/errors.ts';
import type { Notices } from '../../../base/observe/notices.ts';
import { isObject } from '../../../base/protocol/jsonrpc.ts';
import { type ListChange, methodOf, roleOf } from '../../../base/protocol/methods.ts';
import { LIST_CHANGED } from '../../../base/protocol/list-changed.ts';
import { currentCall, Call } from '../../calls/call.ts';
import { enterHandler, missing, type CallHandler } from '../../calls/handler-seam.ts';
import type { SharedLists } from '../../calls/shared-lists.ts';
import { type Enter, shareHandlers } from '../../../sdk/handlers.ts';
import {
  type Construction,
  createAlike,
  type Handler,
  REGISTRATIONS,
  type SdkServer,
  TABLES,
} from '../../../sdk/sdk-server.ts';
import type { ConnectableServer, McpEndpointFactory } from '../../../base/types.ts';
import { createFacades, LIST_SENDS, setByHandler } from './facade.ts';

/** They return promises, which reject outside of a handler. */
const SENDS = ['request', 'ping', 'createMessage', 'elicitInput', 'listRoots', 'close'];

/** What defines the handlers of all sessions. */
const DEFINING: ReadonlySet<PropertyKey> = new Set([...Object.values(TABLES), ...REGISTRATIONS]);

/** A light server has those that were set before it was made, outside of a handler. */
const CALLBACKS = ['oninitialized', 'onclose', 'onerror'] as const;

/** Light servers name their definition's server under this key, so that contexts lead to them. */
const SHARED = Symbol('sojourn.shared-server');

type AnyFunction = (this: unknown, ...args: unknown[]) => unknown;

/** The endpoint that serves a definition. */
interface ServingEndpoint {
  readonly notices: Notices;
  /** Told of each change of a list, at once. */
  readonly lists: SharedLists | undefined;
  /** Delivers each changed list once per turn of the event loop, and publishes each updated resource. */
  readonly bus: { deliver(event: ServerEvent): void; publish(event: ServerEvent): void };
}

export class SharedServer {
  readonly server: SdkServer;
  /** Has every member that the application's server had. */
  readonly idle: SdkServer;
  /** The methods of the SDK's class. */
  readonly #class: object;
  readonly #construction: Construction;
  /** Members in which the server notes what was registered, besides its tables. */
  readonly #notes: readonly string[];
  #hosted = false;
  /** The `McpServer` around it, if it serves that. */
  #highLevel: object | undefined = undefined;
  #served: (light: SdkServer) => unknown = (light) => light;
  /** `undefined`: no endpoint serves it. */
  #endpoint: ServingEndpoint | undefined = undefined;
  /** The lists that have changed in this turn. */
  readonly #changed = new Set<ListChange>();

  constructor(server: SdkServer, construction: Construction) {
    this.server = server;
    this.#construction = construction;
    this.#class = Object.getPrototypeOf(server) as object;
    this.idle = Object.create(this.#class, Object.getOwnPropertyDescriptors(server)) as SdkServer;
    this.#notes = Object.keys(server).filter((name) => Reflect.get(server, name) instanceof Set);
    this.#replaceSends();
    for (const name of Reflect.ownKeys(server)) Reflect.deleteProperty(server, name);
    const forwarding: ProxyHandler<SdkServer> = {
      get: (_, name) => this.#get(name),
      set: (_, name, value) => this.#set(name, value),
    };
    Object.setPrototypeOf(server, new Proxy(this.idle, forwarding));
  }

  /** `highLevel`: the `McpServer` around the server. An earlier endpoint may have served only the server inside it. */
  host(highLevel: object | undefined): void {
    if (this.#hosted)
      throw definitionRefused(
        'another endpoint serves it already; create one server per endpoint, or close that endpoint',
      );
    this.#hosted = true;
    if (highLevel === undefined || this.#highLevel !== undefined) return;
    this.#highLevel = highLevel;
    this.#served = createFacades(this, highLevel);
  }

  serveAt(endpoint: ServingEndpoint): void {
    this.#endpoint = endpoint;
  }

  /** The endpoint is closed. The server may be passed to another endpoint. */
  release(): void {
    this.#endpoint = undefined;
    this.#hosted = false;
  }

  /**
   * Creates the server of one session or request. The SDK keeps everything that belongs to its connection in this
   * object.
   */
  readonly factory: McpEndpointFactory = ({ serverOptions: { capabilities, ...options } }) => {
    const { idle } = this;
    // Tools add capabilities when they are registered.
    const light = createAlike(this.#construction, {
      ...options,
      capabilities: idle.getCapabilities(),
    });
    if (capabilities !== undefined) light.registerCapabilities(capabilities);
    for (const name of this.#notes)
      for (const note of Reflect.get(idle, name) as Set<unknown>)
        (Reflect.get(light, name) as Set<unknown>).add(note);
    shareHandlers(light, idle, this.#highLevel ?? this.server, this.#enter);
    for (const name of CALLBACKS)
      if (idle[name] !== undefined) Reflect.set(light, name, idle[name]);
    return this.#served(Object.defineProperty(light, SHARED, { value: this })) as ConnectableServer;
  };

  /**
   * Runs a handler of the definition for one session. Code that wraps the handlers of a server may refuse requests, so
   * a handler that would run for another session, or for none, is refused.
   */
  readonly #enter: Enter = {
    enter: (entered, handler, message, given) => {
      const call = currentCall.getStore();
      const running = call?.handlerServer;
      if (call === undefined || (running !== undefined && running !== entered.inner))
        throw definitionRefused(
          'code that wraps the handlers of one session called a handler outside of a request of that session. ' +
            'Call it within the request that it is for, or pass a factory: createMcpEndpoint(() => createServer())',
        );
      const run: CallHandler = (request, context) => handler.call(this.server, request, context);
      // What wraps the handler in `connect()` may refuse or change a list for one session.
      const isShared = handler === this.#handlerOfAll(message);
      return enterHandler(
        { call, entered, handler: run, shared: isShared ? handler : undefined },
        message,
        given,
      );
    },
    missing,
  };

  /** The handler of every session for this message. */
  #handlerOfAll(message: unknown): Handler | undefined {
    const { [TABLES.requests]: requests, fallbackRequestHandler } = this.idle;
    return requests.get((message as { readonly method: string }).method) ?? fallbackRequestHandler;
  }

  /** Runs code of the application that belongs to one session and is no handler. */
  async actAs<T>(light: SdkServer, run: () => T | Promise<T>): Promise<T> {
    const { caller, live } = currentCall.getStore() ?? {};
    const call = new Call(caller, live);
    return currentCall.run(call, () => call.handledBy(light, run));
  }

  /** The light server whose handler runs. */
  get light(): SdkServer | undefined {
    const light = currentCall.getStore()?.handlerServer;
    return light !== undefined && Reflect.get(light, SHARED) === this
      ? (light as SdkServer)
      : undefined;
  }

  /** The server of a session that the application's `connect()` or `close()` handles now. */
  get #connecting(): SdkServer | undefined {
    return currentCall.getStore()?.method === undefined ? this.light : undefined;
  }

  #isMethod(name: PropertyKey): boolean {
    return name in this.#class && typeof Reflect.get(this.#class, name) === 'function';
  }

  #get(name: PropertyKey): unknown {
    const { idle } = this;
    const isMethod = this.#isMethod(name);
    if (name === 'constructor' || (isMethod && (DEFINING.has(name) || Object.hasOwn(idle, name))))
      return Reflect.get(idle, name);
    const light = DEFINING.has(name) ? this.#connecting : this.light;
    // What the application itself keeps on its server, no light server has.
    const of = light !== undefined && name in light ? light : idle;
    const value: unknown = Reflect.get(of, name);
    // A method that sends on after an `await` may do so when the handler has ended: it runs on one server.
    return isMethod ? (...args: unknown[]) => Reflect.apply(value as AnyFunction, of, args) : value;
  }

  /** Tools may wrap a method. A handler may not: what it sets would serve every session. */
  #set(name: PropertyKey, value: unknown): boolean {
    const { light } = this;
    if (light !== undefined && this.#isMethod(name)) throw setByHandler(String(name));
    const own = DEFINING.has(name) ? this.#connecting : light;
    return Reflect.set(own ?? this.idle, name, value);
  }

  // ——— what is for no single client ———

  listChanged(change: ListChange): void {
    currentCall.getStore()?.noticeListChange(LIST_CHANGED[change]);
    this.#endpoint?.lists?.changed(change);
    if (this.#changed.size === 0) afterTurn(() => this.#deliverChanges());
    this.#changed.add(change);
  }

  #deliverChanges(): void {
    const changes = [...this.#changed];
    this.#changed.clear();
    for (const kind of changes) this.#endpoint?.bus.deliver({ kind });
  }

  /** The client whose handler runs need not have subscribed, and others have. */
  #resourceUpdated(said: unknown): void {
    const { uri, ...more } = isObject(said) ? said : {};
    if (uri === undefined) return;
    const params = Object.keys(more).length > 0 && { params: more };
    this.#endpoint?.bus.publish({ kind: 'resource_updated', uri: String(uri), ...params });
  }

  #drop(method: string): void {
    this.#endpoint?.notices.emit({ kind: 'notificationDropped', sender: 'shared server', method });
  }

  /** Replaces methods that do something else outside of a handler, or for all sessions. */
  #replaceSends(): void {
    const replace = (name: string, method: AnyFunction): void => {
      if (this.#isMethod(name)) Reflect.set(this.idle, name, method);
    };
    /** `outside`: what it does while no handler runs. */
    const forward = (
      name: string,
      outside: AnyFunction,
      isForClient = (_: SdkServer, __: unknown[]) => true,
    ): void =>
      replace(name, (...args) => {
        const { light } = this;
        return light !== undefined && isForClient(light, args)
          ? call(light, name, args)
          : outside(...args);
      });
    for (const name of SENDS)
      forward(name, async () => Promise.reject(outsideHandler(`${name}()`)));
    for (const [name, change] of Object.entries(LIST_SENDS))
      replace(name, async () => this.listChanged(change));
    const connected =
      'it serves the sessions of an endpoint and cannot be connected by itself; create another server for another transport';
    forward(
      'connect',
      async () => Promise.reject(definitionRefused(connected)),
      (light) => light.transport === undefined,
    );
    replace('notification', async (...args) => {
      const [{ method, params }] = args as [{ readonly method: string; readonly params?: unknown }];
      const change = methodOf(method).changes;
      if (change !== undefined) return this.listChanged(change);
      if (roleOf(method) === 'updated') return this.#resourceUpdated(params);
      return this.light === undefined ? this.#drop(method) : call(this.light, 'notification', args);
    });
    replace('sendResourceUpdated', async (params) => this.#resourceUpdated(params));
    forward('sendLoggingMessage', async () => this.#drop('notifications/message'), isNamed);
    forward(
      'createElicitationCompletionNotifier',
      () => async () => this.#drop('notifications/elicitation/complete'),
    );
  }
}

/** `sendLoggingMessage(params, sessionId)`: the SDK sends to its connection, whatever session is named. */
function isNamed({ transport }: SdkServer, [, sessionId]: unknown[]): boolean {
  return sessionId === undefined || (isObject(transport) && transport['sessionId'] === sessionId);
}

function call(server: SdkServer, name: string, args: unknown[]): unknown {
  return (Reflect.get(server, name) as AnyFunction).apply(server, args);
}
