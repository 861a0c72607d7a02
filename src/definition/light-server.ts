/**
 * The server of one session or request: a fresh SDK `Server` that answers with the handlers of the definition
 * instead of its built-in ones. The SDK keeps everything that belongs to its connection in this object.
 *
 *     request ─▶ light server ─▶ its table of handlers (read once per request) ─▶ the definition's stored handler
 *
 * For an unknown method the table has no handler, so that the SDK refuses it at once. Notifications go the same way.
 */
import { definitionRefused } from '../errors.ts';
import { isObject } from '../protocol/jsonrpc.ts';
import { createAlike, eagerValidatorOf, type Handler, optionsOf, type SdkServer, TABLES } from '../sdk/sdk-server.ts';
import { currentCall } from '../session/calls/call.ts';
import type { McpServerOptions } from '../types.ts';
import type { SharedServer } from './shared-server.ts';

/** A session that starts later has those that were set outside of a handler. */
const CALLBACKS = ['oninitialized', 'onclose', 'onerror'] as const;

export function createLightServer(definition: SharedServer, serverOptions: McpServerOptions): SdkServer {
  const { idle } = definition;
  const light = createAlike(idle, lightOptions(idle, serverOptions));
  const requests = new LightHandlers(definition, light, 'requests');
  for (const [method, handler] of light[TABLES.requests])
    if (!idle[TABLES.requests].has(method)) requests.set(method, handler);
  light[TABLES.requests] = requests;
  light[TABLES.notifications] = new LightHandlers(definition, light, 'notifications');
  for (const name of CALLBACKS) if (idle[name] !== undefined) Reflect.set(light, name, idle[name]);
  definition.adopt(light);
  return light;
}

const FALLBACKS = { requests: 'fallbackRequestHandler', notifications: 'fallbackNotificationHandler' } as const;

/** In place of a handler: the definition has one, and this session has none. */
const REMOVED: Handler = () => undefined;

/** What light servers show as their fallback where the definition has one. */
const shownFallbacks = new WeakSet<object>();

/**
 * A table of handlers of one light server: those of the definition, as this session runs them, under its own ones. Code
 * that wraps the handlers of a server in `connect()` finds them here, and what it sets stays in this session. It may
 * refuse requests, so a handler that would run for another session, or for none, is refused.
 *
 * `get` also returns the fallback. A getter in place of the property would do the same, but V8 then keeps the whole
 * light server as a hash table.
 */
class LightHandlers extends Map<string, Handler> {
  readonly #definition: SharedServer;
  readonly #light: SdkServer;
  readonly #kind: keyof typeof TABLES;

  constructor(definition: SharedServer, light: SdkServer, kind: keyof typeof TABLES) {
    super();
    this.#definition = definition;
    this.#light = light;
    this.#kind = kind;
    if (definition.idle[FALLBACKS[kind]] !== undefined) this.#showFallback(FALLBACKS[kind]);
  }

  /** Middleware may wrap the fallback as well. */
  #showFallback(name: (typeof FALLBACKS)[keyof typeof FALLBACKS]): void {
    const { idle } = this.#definition;
    const shown: Handler = (message, given) => this.#run(idle[name] as Handler, message, given);
    shownFallbacks.add(shown);
    this.#light[name] = shown;
  }

  get #stored(): ReadonlyMap<string, Handler> {
    return this.#definition.idle[TABLES[this.#kind]];
  }

  /** Whether this session set or deleted the handler of a method. */
  isOwn(method: string): boolean {
    return super.has(method);
  }

  /** `undefined`: the SDK refuses the method at once. */
  override get(method: string): Handler | undefined {
    const own = super.get(method);
    const handler = own === undefined ? this.#stored.get(method) : own === REMOVED ? undefined : own;
    const found = handler ?? this.#fallback;
    return found && ((message, given) => this.#run(found, message, given));
  }

  get #fallback(): Handler | undefined {
    const name = FALLBACKS[this.#kind];
    const own = this.#light[name];
    return own === undefined || shownFallbacks.has(own) ? this.#definition.idle[name] : own;
  }

  #run(handler: Handler, message: unknown, given: unknown): unknown {
    const { server, announcements } = this.#definition;
    const light = this.#light;
    const call = currentCall.getStore();
    const running = call?.handlerServer;
    if (call === undefined || (running !== undefined && running !== light)) throw foreignHandler();
    if (running === light) return handler.call(server, message, given);
    return call.handledBy(light, () => handler.call(server, message, given), announcements.endpoint?.notices);
  }

  override has(method: string): boolean {
    return super.has(method) ? super.get(method) !== REMOVED : this.#stored.has(method);
  }

  override delete(method: string): boolean {
    const had = this.has(method);
    if (this.#stored.has(method)) super.set(method, REMOVED);
    else super.delete(method);
    return had;
  }

  override clear(): void {
    for (const method of this.keys()) this.delete(method);
  }

  override get size(): number {
    return this.#all().size;
  }

  override entries(): MapIterator<[string, Handler]> {
    return this.#all().entries();
  }

  override [Symbol.iterator](): MapIterator<[string, Handler]> {
    return this.entries();
  }

  override keys(): MapIterator<string> {
    return this.#all().keys();
  }

  override values(): MapIterator<Handler> {
    return this.#all().values();
  }

  override forEach(run: (handler: Handler, method: string, table: Map<string, Handler>) => void, of?: unknown): void {
    for (const [method, handler] of this.#all()) run.call(of, handler, method, this);
  }

  /** In the order of the definition, then those that this session alone has. */
  #all(): Map<string, Handler> {
    const all = new Map<string, Handler>();
    for (const method of new Set([...this.#stored.keys(), ...super.keys()])) {
      const handler = super.get(method) ?? this.get(method);
      if (handler !== undefined && handler !== REMOVED) all.set(method, handler);
    }
    return all;
  }
}

/** Whether a session or request answers a method in its own way: its `connect()` wrapped the handler, for example. */
export function answersItself({ [TABLES.requests]: table }: SdkServer, method: string): boolean {
  return !(table instanceof LightHandlers) || Object.hasOwn(table, 'get') || table.isOwn(method);
}

interface Validator {
  getValidator(schema: unknown): unknown;
}

/**
 * A server of SDK 1 creates its validator with itself: 18 KB and 0.2 ms. Only the answer of a form is validated. A
 * validator keeps every schema that it has seen, so servers do not share one.
 */
class ValidatorOnUse implements Validator {
  readonly #class: new () => Validator;
  #validator: Validator | undefined = undefined;

  constructor(own: Validator) {
    this.#class = own.constructor as new () => Validator;
  }

  getValidator(schema: unknown): unknown {
    this.#validator ??= new this.#class();
    return this.#validator.getValidator(schema);
  }
}

/** The definition's options, under those of the endpoint. Tools add capabilities when they are registered. */
function lightOptions(idle: SdkServer, serverOptions: McpServerOptions): Record<string, unknown> {
  const { capabilities, ...others } = serverOptions;
  const own = idle.getCapabilities();
  const validator = eagerValidatorOf(idle);
  return {
    ...(validator !== undefined && { jsonSchemaValidator: new ValidatorOnUse(validator as Validator) }),
    ...optionsOf(idle),
    ...others,
    capabilities: capabilities === undefined ? own : merged(own, capabilities),
  };
}

/** Merges one level deep, as the SDK's `registerCapabilities`. */
function merged(base: Readonly<Record<string, unknown>>, more: object): Record<string, unknown> {
  const result: Record<string, unknown> = { ...base };
  for (const [name, value] of Object.entries(more)) {
    if (value === undefined) continue;
    const known = result[name];
    result[name] = isObject(known) && isObject(value) ? { ...known, ...value } : value;
  }
  return result;
}

function foreignHandler(): Error {
  return definitionRefused(
    'code that wraps the handlers of one session called a handler outside of a request of that session. ' +
      'Call it within the request that it is for, or pass a factory: createMcpEndpoint(() => createServer())',
  );
}
