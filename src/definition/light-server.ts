/**
 * The server of one session or request: a fresh SDK `Server` that answers with the handlers of the definition
 * instead of its built-in ones. The SDK keeps everything that belongs to its connection in this object.
 *
 *     request ─▶ light server ─▶ its table of handlers (read once per request) ─▶ the definition's stored handler
 *
 * For an unknown method the table has no handler, so that the SDK refuses it at once. Notifications go the same way.
 */
import { isObject } from '../protocol/jsonrpc.ts';
import { shareHandlers } from '../sdk/handlers.ts';
import { createAlike, eagerValidatorOf, optionsOf, type SdkServer } from '../sdk/sdk-server.ts';
import type { McpServerOptions } from '../types.ts';
import type { SharedServer } from './shared-server.ts';

/** A session that starts later has those that were set outside of a handler. */
const CALLBACKS = ['oninitialized', 'onclose', 'onerror'] as const;

export function createLightServer(definition: SharedServer, serverOptions: McpServerOptions): SdkServer {
  const { idle } = definition;
  const light = createAlike(idle, lightOptions(idle, serverOptions));
  shareHandlers(light, idle, definition.enter);
  for (const name of CALLBACKS) if (idle[name] !== undefined) Reflect.set(light, name, idle[name]);
  definition.adopt(light);
  return light;
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
