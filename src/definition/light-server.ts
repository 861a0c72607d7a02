/**
 * The server of one session or request: a fresh SDK `Server` that answers with the handlers of the definition
 * instead of its built-in ones. The SDK keeps everything that belongs to its connection in this object.
 *
 *     request ─▶ light server ─▶ fallbackRequestHandler (read once per request) ─▶ the definition's stored handler
 *
 * The fallback is a getter, because an unknown method must find no handler at all: the SDK then refuses it at once.
 */
import { contexts } from '../session/context.ts';
import type { McpServerOptions } from '../types.ts';
import type { NotificationHandler, RequestHandler, SdkServer } from './sdk-server.ts';

export function createLightServer(shared: SdkServer, serverOptions: McpServerOptions): SdkServer {
  const light = new shared.constructor(shared._serverInfo, optionsOf(shared, serverOptions));
  for (const method of light._requestHandlers.keys()) {
    if (shared._requestHandlers.has(method)) light.removeRequestHandler(method);
  }
  for (const method of shared._customSchemaRequestMethods ?? []) light._customSchemaRequestMethods?.add(method);
  for (const [method, handler] of shared._notificationHandlers) {
    light._notificationHandlers.set(method, runningIn(light, handler));
  }
  const { fallbackNotificationHandler, onclose, onerror } = shared;
  if (fallbackNotificationHandler !== undefined)
    light.fallbackNotificationHandler = runningIn(light, fallbackNotificationHandler);
  if (onclose !== undefined) light.onclose = onclose;
  if (onerror !== undefined) light.onerror = onerror;
  Object.defineProperty(light, 'fallbackRequestHandler', {
    configurable: true,
    get: () => storedHandler(shared, light),
  });
  return light;
}

/** The handler of the request that is being dispatched. `undefined`: the definition has none. */
function storedHandler(shared: SdkServer, light: SdkServer): RequestHandler | undefined {
  const context = contexts.getStore();
  if (context?.method === undefined) return undefined;
  const stored = shared._requestHandlers.get(context.method) ?? shared.fallbackRequestHandler;
  return stored && ((request, ctx) => context.handledBy(light, () => stored.call(shared, request, ctx)));
}

function runningIn(light: SdkServer, handler: NotificationHandler): NotificationHandler {
  return (notification, codec) => {
    const context = contexts.getStore();
    const run = (): unknown => handler(notification, codec);
    return context === undefined ? run() : context.handledBy(light, run);
  };
}

/** The definition's options, under those of the endpoint. Tools add capabilities when they are registered. */
function optionsOf(shared: SdkServer, serverOptions: McpServerOptions): Record<string, unknown> {
  const { capabilities, ...others } = serverOptions;
  const own = shared.getCapabilities();
  return {
    ...shared._options,
    ...(shared._instructions !== undefined && { instructions: shared._instructions }),
    ...others,
    capabilities: capabilities === undefined ? own : merged(own, capabilities),
  };
}

/** As the SDK's `registerCapabilities`: one level deep. */
function merged(base: Readonly<Record<string, unknown>>, more: object): Record<string, unknown> {
  const result: Record<string, unknown> = { ...base };
  for (const [name, value] of Object.entries(more)) {
    if (value === undefined) continue;
    const known = result[name];
    result[name] = isPlain(known) && isPlain(value) ? { ...known, ...value } : value;
  }
  return result;
}

function isPlain(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
