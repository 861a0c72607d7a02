/**
 * The server of one session or request: a fresh SDK `Server` that answers with the handlers of the definition
 * instead of its built-in ones. The SDK keeps everything that belongs to its connection in this object.
 *
 *     request ─▶ light server ─▶ its table of handlers (read once per request) ─▶ the definition's stored handler
 *
 * For an unknown method the table has no handler, so that the SDK refuses it at once. Notifications go the same way.
 */
import { shareHandlers } from '../sdk/handlers.ts';
import { createAlike, eagerValidatorOf, optionsOf, type SdkServer } from '../sdk/sdk-server.ts';
import type { McpServerOptions } from '../types.ts';
import type { SharedServer } from './shared-server.ts';

/** A session that starts later has those that were set outside of a handler. */
const CALLBACKS = ['oninitialized', 'onclose', 'onerror'] as const;

export function createLightServer(definition: SharedServer, serverOptions: McpServerOptions): SdkServer {
  const { idle } = definition;
  const { capabilities, ...others } = serverOptions;
  const jsonSchemaValidator = validatorOf(idle);
  // Tools add capabilities when they are registered.
  const own = { ...optionsOf(idle), ...others, capabilities: idle.getCapabilities() };
  const light = createAlike(idle, jsonSchemaValidator === undefined ? own : { jsonSchemaValidator, ...own });
  if (capabilities !== undefined) light.registerCapabilities(capabilities);
  shareHandlers(light, idle, definition.enter);
  for (const name of CALLBACKS) if (idle[name] !== undefined) Reflect.set(light, name, idle[name]);
  definition.adopt(light);
  return light;
}

function validatorOf(idle: SdkServer): Validator | undefined {
  const own = eagerValidatorOf(idle);
  return own && new ValidatorOnUse(own as Validator);
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
