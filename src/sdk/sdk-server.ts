/**
 * The members of the SDK's low-level `Server` that are not public and that a definition names (docs/adr/one-definition.md):
 * the two tables of handlers, and what the application gave its server. Whatever else a version has, `src/definition/` forwards.
 */
import { isObject } from '../protocol/jsonrpc.ts';
import { isLowLevel } from './server-shape.ts';

/** A stored handler. `given`: the SDK's context of a request, or its codec of a notification, in version 2. */
export type Handler = (message: unknown, given?: unknown) => unknown;

export interface SdkServer {
  readonly constructor: new (info: unknown, options: Readonly<Record<string, unknown>>) => SdkServer;
  readonly transport: unknown;
  oninitialized: (() => void) | undefined;
  onclose: (() => void) | undefined;
  onerror: ((error: Error) => void) | undefined;
  fallbackRequestHandler: Handler | undefined;
  fallbackNotificationHandler: Handler | undefined;
  getCapabilities(): Readonly<Record<string, unknown>>;
  registerCapabilities(capabilities: object): void;
  /** Since version 2. */
  getNegotiatedProtocolVersion?(): string | undefined;
  readonly _serverInfo: unknown;
  readonly _options: Readonly<Record<string, unknown>> | undefined;
  readonly _jsonSchemaValidator: unknown;
  readonly _customSchemaRequestMethods?: Set<string>;
  _requestHandlers: Map<string, Handler>;
  _notificationHandlers: Map<string, Handler>;
}

/** The tables in which the SDK looks handlers up. */
export const TABLES = { requests: '_requestHandlers', notifications: '_notificationHandlers' } as const;

export const isSdkServer = (value: unknown): value is SdkServer => isLowLevel(value);

/** The member that a definition needs, and that this version of the SDK has elsewhere. */
export function lackingMember(server: SdkServer): string | undefined {
  const table = Object.values(TABLES).find((name) => !(Reflect.get(server, name) instanceof Map));
  return table ?? ['_serverInfo', '_options'].find((name) => !(name in server));
}

/** The options that the application gave its server. */
export const optionsOf = (server: SdkServer): Readonly<Record<string, unknown>> => server._options ?? {};

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

  constructor(own: object) {
    this.#class = own.constructor as new () => Validator;
  }

  getValidator(schema: unknown): unknown {
    this.#validator ??= new this.#class();
    return this.#validator.getValidator(schema);
  }
}

/** A server of the same class, name and options, with `options` over these, and the application's own methods. */
export function createAlike(server: SdkServer, options: Readonly<Record<string, unknown>>): SdkServer {
  const own = 'getNegotiatedProtocolVersion' in server ? undefined : server._jsonSchemaValidator;
  const validator = isObject(own) ? { jsonSchemaValidator: new ValidatorOnUse(own) } : {};
  const alike = new server.constructor(server._serverInfo, { ...validator, ...optionsOf(server), ...options });
  for (const method of server._customSchemaRequestMethods ?? []) alike._customSchemaRequestMethods?.add(method);
  return alike;
}

/** A handler as the server runs it: the table may look it up elsewhere (`handlers.ts`). */
export function handlerOf(server: object | undefined, method: string): Handler | undefined {
  const table: unknown = server && Reflect.get(server, TABLES.requests);
  return table instanceof Map ? (table.get(method) as Handler | undefined) : undefined;
}

/** The name that a server of any version gives itself. `made`: an `McpServer`, or the server itself. */
export function nameOf(made: unknown): unknown {
  const { server = made } = Object(made) as { server?: unknown };
  return (Object(Reflect.get(Object(server), '_serverInfo')) as { name?: unknown }).name;
}

/** Methods that write into the tables, or look into them. */
export const REGISTRATIONS = [
  'setRequestHandler',
  'removeRequestHandler',
  'assertCanSetRequestHandler',
  'setNotificationHandler',
  'removeNotificationHandler',
  'registerCapabilities',
] as const;

/** What a definition may replace: registration, and what is read when a session starts. */
const REPLACEABLE: ReadonlySet<string> = new Set([...REGISTRATIONS, 'getCapabilities']);

/** A method that this object has in place of that of its class, which the servers of its sessions would not have. */
export function replacedMethod(server: object): string | undefined {
  const methods: unknown = Object.getPrototypeOf(server);
  return Object.keys(server).find(
    (name) => !REPLACEABLE.has(name) && isObject(methods) && typeof methods[name] === 'function',
  );
}

/** Whether the class of the application extends the SDK's `Server`, which is the lowest class with this method. */
export function isSubclass(server: object): boolean {
  const own: unknown = Object.getPrototypeOf(server);
  if (!isObject(own)) return false;
  let known = subclasses.get(own);
  if (known === undefined) subclasses.set(own, (known = extendsServer(own)));
  return known;
}

/** By prototype: it is asked about the server of each request. */
const subclasses = new WeakMap<object, boolean>();

function extendsServer(own: object): boolean {
  let lowest: unknown;
  for (let proto: unknown = own; isObject(proto); proto = Object.getPrototypeOf(proto))
    if (Object.hasOwn(proto, 'getClientVersion')) lowest = proto;
  return lowest !== undefined && lowest !== own;
}
