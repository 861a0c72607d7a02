/**
 * The server of one session or request: a fresh SDK `Server` that answers with the handlers of the definition
 * instead of its built-in ones. The SDK keeps everything that belongs to its connection in this object.
 *
 *     request ─▶ light server ─▶ its table of handlers (read once per request) ─▶ the definition's stored handler
 *
 * For an unknown method the table has no handler, so that the SDK refuses it at once. Notifications go the same way.
 */
import { isObject } from '../protocol/jsonrpc.ts';
import { currentCall } from '../session/calls/call.ts';
import type { McpServerOptions } from '../types.ts';
import { eagerValidatorOf, type NotificationHandler, type RequestHandler, type SdkServer } from './sdk-server.ts';
import type { SharedServer } from './shared-server.ts';

export function createLightServer(definition: SharedServer, serverOptions: McpServerOptions): SdkServer {
  const { server: shared, idle } = definition;
  const light = new shared.constructor(shared._serverInfo, optionsOf(shared, serverOptions));
  light._requestHandlers = new LightHandlers(definition, light);
  light._notificationHandlers = new LightNotificationHandlers(shared, light);
  for (const method of shared._customSchemaRequestMethods ?? []) light._customSchemaRequestMethods?.add(method);
  // Not those of a session whose handler runs while this server is created.
  const { onclose, onerror } = idle as Pick<SdkServer, 'onclose' | 'onerror'>;
  if (onclose !== undefined) light.onclose = onclose;
  if (onerror !== undefined) light.onerror = onerror;
  return light;
}

/**
 * The handlers of one light server: its built-in ones that the definition lacks, then those of the definition. A getter
 * in place of `fallbackRequestHandler` would do the same, but V8 then keeps the whole light server as a hash table.
 */
class LightHandlers extends Map<string, RequestHandler> {
  readonly #definition: SharedServer;
  readonly #light: SdkServer;

  constructor(definition: SharedServer, light: SdkServer) {
    super();
    this.#definition = definition;
    this.#light = light;
    for (const [method, handler] of light._requestHandlers) {
      if (!definition.server._requestHandlers.has(method)) this.set(method, handler);
    }
  }

  /** The handler for the request that is being dispatched. `undefined`: the definition has none. */
  override get(method: string): RequestHandler | undefined {
    return super.get(method) ?? this.#storedHandler(method);
  }

  #storedHandler(method: string): RequestHandler | undefined {
    const call = currentCall.getStore();
    if (call === undefined) return undefined;
    const { server: shared, endpoint } = this.#definition;
    const stored = shared._requestHandlers.get(method) ?? shared.fallbackRequestHandler;
    return (
      stored &&
      ((request, ctx) => call.handledBy(this.#light, () => stored.call(shared, request, ctx), endpoint?.notices))
    );
  }
}

/** The notification handlers of one light server. */
class LightNotificationHandlers extends Map<string, NotificationHandler> {
  readonly #shared: SdkServer;
  readonly #light: SdkServer;

  constructor(shared: SdkServer, light: SdkServer) {
    super();
    this.#shared = shared;
    this.#light = light;
  }

  override get(method: string): NotificationHandler | undefined {
    const shared = this.#shared;
    const handler = super.get(method) ?? shared._notificationHandlers.get(method) ?? shared.fallbackNotificationHandler;
    const call = currentCall.getStore();
    if (handler === undefined || call === undefined) return handler;
    return (notification, codec) => call.handledBy(this.#light, () => handler(notification, codec));
  }
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
function optionsOf(shared: SdkServer, serverOptions: McpServerOptions): Record<string, unknown> {
  const { capabilities, ...others } = serverOptions;
  const own = shared.getCapabilities();
  const validator = eagerValidatorOf(shared);
  return {
    ...(validator !== undefined && { jsonSchemaValidator: new ValidatorOnUse(validator as Validator) }),
    ...shared._options,
    ...(shared._instructions !== undefined && { instructions: shared._instructions }),
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
