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
import { currentCall } from '../session/calls/call.ts';
import type { McpServerOptions } from '../types.ts';
import {
  createAlike,
  eagerValidatorOf,
  optionsOf,
  replaceTables,
  requestsOf,
  type SdkServer,
} from '../sdk/sdk-server.ts';
import type { SharedServer } from './shared-server.ts';

export function createLightServer(definition: SharedServer, serverOptions: McpServerOptions): SdkServer {
  const { server: shared, idle } = definition;
  const light = createAlike(shared, lightOptions(shared, serverOptions));
  const requests = new LightHandlers(definition, light);
  const notifications = new LightNotificationHandlers(definition, light);
  for (const [method, handler] of requestsOf(light))
    if (!definition.tables.requests.has(method)) requests.set(method, handler);
  replaceTables(light, { requests, notifications });
  if (shared.fallbackRequestHandler !== undefined) requests.showFallback();
  if (shared.fallbackNotificationHandler !== undefined) notifications.showFallback();
  // Not those of a session whose handler runs while this server is created.
  const { onclose, onerror } = idle as Pick<SdkServer, 'onclose' | 'onerror'>;
  if (onclose !== undefined) light.onclose = onclose;
  if (onerror !== undefined) light.onerror = onerror;
  return light;
}

type Handler = (message: unknown, given?: unknown) => unknown;

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

  constructor(definition: SharedServer, light: SdkServer) {
    super();
    this.#definition = definition;
    this.#light = light;
  }

  /** Middleware may wrap the fallback as well. */
  showFallback(): void {
    const { fallback } = this;
    const [definition, light] = [this.#definition, this.#light];
    const shown = (message: unknown, given?: unknown): unknown =>
      this.#run(definition.server[fallback] as Handler, message, given);
    shownFallbacks.add(shown);
    light[fallback] = shown;
  }

  protected get stored(): ReadonlyMap<string, Handler> {
    return this.#definition.tables.requests;
  }

  protected get fallback(): 'fallbackRequestHandler' | 'fallbackNotificationHandler' {
    return 'fallbackRequestHandler';
  }

  protected get definition(): SharedServer {
    return this.#definition;
  }

  /** Whether this session set or deleted the handler of a method. */
  isOwn(method: string): boolean {
    return super.has(method);
  }

  /** `undefined`: the SDK refuses the method at once. */
  override get(method: string): Handler | undefined {
    const own = super.get(method);
    const handler = own === undefined ? this.stored.get(method) : own === REMOVED ? undefined : own;
    const found = handler ?? this.#fallback;
    return found && ((message, given) => this.#run(found, message, given));
  }

  get #fallback(): Handler | undefined {
    const own = this.#light[this.fallback];
    return own === undefined || shownFallbacks.has(own) ? this.#definition.server[this.fallback] : own;
  }

  #run(handler: Handler, message: unknown, given: unknown): unknown {
    const { server: shared, announcements } = this.#definition;
    const light = this.#light;
    const call = currentCall.getStore();
    const running = call?.handlerServer;
    if (call === undefined || (running !== undefined && running !== light)) throw foreignHandler();
    if (running === light) return handler.call(shared, message, given);
    return call.handledBy(light, () => handler.call(shared, message, given), announcements.endpoint?.notices);
  }

  override has(method: string): boolean {
    return super.has(method) ? super.get(method) !== REMOVED : this.stored.has(method);
  }

  override delete(method: string): boolean {
    const had = this.has(method);
    if (this.stored.has(method)) super.set(method, REMOVED);
    else super.delete(method);
    return had;
  }

  override clear(): void {
    for (const method of this.keys()) this.delete(method);
  }

  override get size(): number {
    return this.#all().length;
  }

  override entries(): MapIterator<[string, Handler]> {
    return this.#all().values();
  }

  override [Symbol.iterator](): MapIterator<[string, Handler]> {
    return this.entries();
  }

  override keys(): MapIterator<string> {
    return this.#all()
      .map(([method]) => method)
      .values();
  }

  override values(): MapIterator<Handler> {
    return this.#all()
      .map(([, handler]) => handler)
      .values();
  }

  override forEach(
    callback: (handler: Handler, method: string, table: Map<string, Handler>) => void,
    of?: unknown,
  ): void {
    for (const [method, handler] of this.#all()) callback.call(of, handler, method, this);
  }

  /** In the order of the definition, then those that this session alone has. */
  #all(): Array<[string, Handler]> {
    const { stored } = this;
    const methods = [...stored.keys(), ...[...super.keys()].filter((method) => !stored.has(method))];
    return methods.flatMap((method): Array<[string, Handler]> => {
      const own = super.get(method);
      if (own === REMOVED) return [];
      const handler = own ?? this.get(method);
      return handler === undefined ? [] : [[method, handler]];
    });
  }
}

class LightNotificationHandlers extends LightHandlers {
  protected override get stored(): ReadonlyMap<string, Handler> {
    return this.definition.tables.notifications;
  }

  protected override get fallback(): 'fallbackNotificationHandler' {
    return 'fallbackNotificationHandler';
  }
}

/** Whether a session or request answers a method in its own way: its `connect()` wrapped the handler, for example. */
export function answersItself(light: SdkServer, method: string): boolean {
  const table = requestsOf(light);
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
function lightOptions(shared: SdkServer, serverOptions: McpServerOptions): Record<string, unknown> {
  const { capabilities, ...others } = serverOptions;
  const own = shared.getCapabilities();
  const validator = eagerValidatorOf(shared);
  return {
    ...(validator !== undefined && { jsonSchemaValidator: new ValidatorOnUse(validator as Validator) }),
    ...optionsOf(shared),
    ...others,
    capabilities: capabilities === undefined ? own : merged(own, capabilities),
  };
}

/** Merges one level deep, as the SDK's `registerCapabilities`. */
export function merged(base: Readonly<Record<string, unknown>>, more: object): Record<string, unknown> {
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
