/**
 * The definition's low-level server, which is never connected. What code does with it inside a handler happens on the
 * light server of that request, found by the async context. Outside of a running handler each send fails, because
 * there is no client that it could be for.
 *
 *     list_changed          → every client of this instance, once per turn of the event loop
 *     other sends, `close`  → the light server whose handler runs
 *     `connect`             → refused, unless a method that the application replaced connects a session
 *
 * A handler has ended when its promise has settled. Work that it left behind cannot send through the shared server any
 * more: a listener or a pooled connection keeps the context of the request that created it, and would reach a client
 * that did not ask.
 */
import { definitionRefused, otherSession, outsideHandler } from '../errors.ts';
import { isObject } from '../protocol/jsonrpc.ts';
import type { Notices } from '../observe/notices.ts';
import { currentCall, Call } from '../session/calls/call.ts';
import { LIST_CHANGED } from '../protocol/list-changed.ts';
import { afterTurn } from '../options/system.ts';
import { seamsOf, type SdkServer } from './sdk-server.ts';

export type ListChange = keyof typeof LIST_CHANGED;

/** They return promises, which reject outside of a handler. See `#forwardNotification` for `notification`. */
const SENDS = [
  'request',
  'ping',
  'createMessage',
  'elicitInput',
  'listRoots',
  'sendLoggingMessage',
  'sendResourceUpdated',
  'close',
];

/** A handler that sets them means its session. Set outside of a handler, they apply to sessions that start later. */
const CALLBACKS = ['onclose', 'onerror'];

/** Answered by the SDK with `undefined` while a server is not connected. */
const GETTERS = ['getClientCapabilities', 'getClientVersion', 'getNegotiatedProtocolVersion'];

export const LIST_SENDS = {
  sendToolListChanged: 'tools_list_changed',
  sendPromptListChanged: 'prompts_list_changed',
  sendResourceListChanged: 'resources_list_changed',
} as const satisfies Record<string, ListChange>;

const KIND_OF_METHOD = new Map(
  Object.entries(LIST_CHANGED).map(([kind, method]): [string, ListChange] => [method, kind as ListChange]),
);

/** Light servers name their definition's server under this key. */
const SHARED = Symbol('sojourn.shared-server');

/** The endpoint that serves a definition. */
export interface ServingEndpoint {
  readonly notices: Notices;
  /** Called for each change of a list, at once. */
  readonly lists: { changed(change: ListChange): void } | undefined;
  /** Gets each changed list once per turn of the event loop. */
  readonly bus: { deliver(event: { kind: ListChange }): void };
}

type AnyFunction = (this: unknown, ...args: unknown[]) => unknown;

export class SharedServer {
  readonly server: SdkServer;
  /** The values that the definition has while no handler runs, of properties that belong to one connection. */
  readonly idle: Record<string, unknown> = {};
  /** `undefined`: no endpoint serves the definition. */
  endpoint: ServingEndpoint | undefined = undefined;
  readonly #changed = new Set<ListChange>();

  constructor(server: SdkServer) {
    this.server = server;
    const seams = seamsOf(server);
    for (const name of seams.connection) this.#forwardProperty(name);
    for (const name of CALLBACKS) this.#forwardProperty(name);
    for (const name of seams.methods) this.#forward(name, Reflect.get(server, name) as AnyFunction);
    for (const name of SENDS) this.#forwardSend(name);
    for (const name of GETTERS) if (name in server) this.#forward(name, () => undefined);
    for (const [name, change] of Object.entries(LIST_SENDS)) {
      this.override(server, name, () => {
        this.announce(change);
        return Promise.resolve();
      });
    }
    this.#forwardNotification();
    this.override(server, 'createElicitationCompletionNotifier', (...args) =>
      call(this.#running('createElicitationCompletionNotifier'), 'createElicitationCompletionNotifier', args),
    );
    this.override(server, 'connect', async (transport) => {
      const light = this.#light;
      if (light === undefined || light.transport !== undefined) throw connected();
      return call(light, 'connect', [transport]);
    });
    if (!seams.connection.includes('_transport')) {
      Object.defineProperty(server, 'transport', { configurable: true, get: () => this.#light?.transport });
    }
  }

  /** Marks a light server, so that contexts lead to it. */
  adopt(light: SdkServer): void {
    Object.defineProperty(light, SHARED, { value: this });
  }

  /** Runs code of the application that belongs to one session and is no handler. */
  async actAs<T>(light: SdkServer, run: () => T | Promise<T>): Promise<T> {
    const { source, live, requestHidden = false } = currentCall.getStore() ?? {};
    const call = new Call(source, live, requestHidden, undefined, undefined, undefined);
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

  announce(change: ListChange): void {
    this.endpoint?.lists?.changed(change);
    if (this.#changed.size === 0) afterTurn(() => this.#tell());
    this.#changed.add(change);
  }

  #tell(): void {
    const changes = [...this.#changed];
    this.#changed.clear();
    for (const kind of changes) this.endpoint?.bus.deliver({ kind });
  }

  /** The light server whose handler runs. */
  get #light(): SdkServer | undefined {
    const light = currentCall.getStore()?.handlerServer;
    return light !== undefined && Reflect.get(light, SHARED) === this ? (light as SdkServer) : undefined;
  }

  #running(what: string): SdkServer {
    const light = this.#light;
    if (light === undefined) throw outsideHandler(what);
    return light;
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
      const light = this.#running(`${name}()`);
      if (name === 'sendLoggingMessage') checkNamed(light, args[1]);
      return call(light, name, args);
    });
  }

  #forwardNotification(): void {
    this.override(this.server, 'notification', async (...args) => {
      const [notification] = args as [{ readonly method: string }];
      const change = KIND_OF_METHOD.get(notification.method);
      if (change !== undefined) return this.announce(change);
      return call(this.#running(notification.method), 'notification', args);
    });
  }
}

/** `sendLoggingMessage(params, sessionId)`: the SDK sends to its connection, whatever session is named. */
function checkNamed(light: SdkServer, sessionId: unknown): void {
  if (sessionId === undefined) return;
  const { transport } = light;
  if (!isObject(transport) || transport['sessionId'] !== sessionId) throw otherSession();
}

export function connected(): Error {
  return definitionRefused(
    'it serves the sessions of an endpoint and cannot be connected by itself; create another server for another transport',
  );
}

function replaced(name: string): Error {
  return definitionRefused(
    `a handler set its ${name}, but one definition serves all sessions. Set it before the first request, ` +
      'or on currentSession().server for one session',
  );
}

function call(server: SdkServer, name: string, args: unknown[]): unknown {
  return (Reflect.get(server, name) as AnyFunction).apply(server, args);
}
