/**
 * The SDK's low-level `Server` as a definition uses it. Of its members that are not public
 * only the two tables of handlers are named. Whatever else a version has, `src/session/server/definition/` forwards.
 */
import { Server } from '@modelcontextprotocol/server';
import { orUndefined } from '../base/or-undefined.ts';
import { boundedText } from '../base/shown.ts';
import { isObject, type RpcRequest } from '../base/protocol/jsonrpc.ts';
import { type AnyServer, innerServer, isLowLevel } from './server-shape.ts';

/** A stored handler. `given`: the SDK's context of a request, or its codec of a notification, in version 2. */
export type Handler = (message: unknown, given?: unknown) => unknown;

type ServerOptions = Readonly<Record<string, unknown>>;

interface ServerClass {
  readonly prototype: unknown;
  new (info: unknown, options: ServerOptions): SdkServer;
}

export interface SdkServer {
  readonly constructor: ServerClass;
  readonly transport: unknown;
  oninitialized: (() => void) | undefined;
  onclose: (() => void) | undefined;
  onerror: ((error: Error) => void) | undefined;
  fallbackRequestHandler: Handler | undefined;
  fallbackNotificationHandler: Handler | undefined;
  getCapabilities(): Readonly<Record<string, unknown>>;
  registerCapabilities(capabilities: object): void;
  getClientCapabilities(): unknown;
  /** Since version 2. */
  getNegotiatedProtocolVersion?(): string | undefined;
  _requestHandlers: Map<string, Handler>;
  _notificationHandlers: Map<string, Handler>;
}

/** The tables in which the SDK looks handlers up. */
export const TABLES = {
  requests: '_requestHandlers',
  notifications: '_notificationHandlers',
} as const;

export const isSdkServer = (value: unknown): value is SdkServer => isLowLevel(value);

/** The table that this version of the SDK has elsewhere. */
export const lackingTable = (server: SdkServer): string | undefined =>
  Object.values(TABLES).find((name) => !(Reflect.get(server, name) instanceof Map));

/** The instructions that the application gave its server of version 2. */
export function givenInstructions(server: Server): { instructions?: string } {
  const made = constructionOf(server as unknown as SdkServer, Server as unknown as ServerClass);
  const instructions = made?.options['instructions'];
  return typeof instructions === 'string' ? { instructions } : {};
}

interface Validator {
  getValidator(schema: unknown): unknown;
}

/** What the application constructed its server with. */
export interface Construction {
  readonly Class: ServerClass;
  readonly info: { readonly name?: unknown };
  readonly options: ServerOptions;
  /** What it validates answers of forms with. */
  readonly validator: unknown;
}

/**
 * A server keeps what it was constructed with. In which members, a probe of its class shows. `undefined`: this version
 * keeps something else. `Class`: that of the SDK which the class of `server` may extend.
 */
export function constructionOf(
  server: SdkServer,
  Class = server.constructor,
): Construction | undefined {
  const given = { info: { name: 'probe', version: '0' }, options: { jsonSchemaValidator: {} } };
  const probe = new Class(given.info, given.options);
  const memberWith = (value: object) =>
    Object.keys(probe).find((name) => Reflect.get(probe, name) === value);
  const [info, options] = [memberWith(given.info), memberWith(given.options)];
  if (info === undefined || options === undefined) return undefined;
  const validator = memberWith(given.options.jsonSchemaValidator);
  return {
    Class,
    info: Object(Reflect.get(server, info)) as object,
    options: Object(Reflect.get(server, options)) as ServerOptions,
    validator: validator && Reflect.get(server, validator),
  };
}

/**
 * A server of SDK 1 creates its validator with itself: 18 KB and 0.2 ms. Only the answer of a form is validated. A
 * validator keeps every schema that it has seen, so each form gets a new one.
 */
const validatorOfForms = ({ constructor }: object): Validator => ({
  getValidator: (schema) => new (constructor as new () => Validator)().getValidator(schema),
});

/** A server of the same class, name and options, with `options` over these. */
export function createAlike(
  { Class, info, options, validator }: Construction,
  over: ServerOptions,
): SdkServer {
  const isOlder = !('getNegotiatedProtocolVersion' in (Class.prototype as object));
  const own =
    isOlder && isObject(validator) ? { jsonSchemaValidator: validatorOfForms(validator) } : {};
  return new Class(info, { ...own, ...options, ...over });
}

/**
 * Gives a server methods that its application does not know. They are in its table, so limits and hooks hold for them.
 * An object of the application that is no server of the SDK gets none.
 */
export function serveMethods(
  made: AnyServer,
  capabilities: object,
  methods: readonly string[],
  serve: (request: RpcRequest) => Promise<object>,
): void {
  const server = innerServer(made);
  if (!isSdkServer(server)) return;
  server.registerCapabilities(capabilities);
  for (const method of methods)
    server[TABLES.requests].set(method, (message) => serve(message as RpcRequest));
}

/** What its client declared with `initialize`. */
export function clientCapabilitiesOf(made: AnyServer): unknown {
  const server = innerServer(made);
  return isSdkServer(server) ? server.getClientCapabilities() : undefined;
}

/** A handler as the server runs it: the table may look it up elsewhere (`handlers.ts`). */
export function handlerOf(server: object | undefined, method: string): Handler | undefined {
  const table: unknown = server && Reflect.get(server, TABLES.requests);
  return table instanceof Map ? (table.get(method) as Handler | undefined) : undefined;
}

/**
 * The name that a server of any version gives itself. `made`: an `McpServer`, or the server itself. The constructor of
 * an application's class is not called, so a server of such a class has none.
 */
export function nameOf(made: unknown): string | undefined {
  const server = innerServer(made);
  if (!isSdkServer(server) || isSubclass(server)) return undefined;
  const name = orUndefined(() => constructionOf(server)?.info.name);
  return typeof name === 'string' ? boundedText(name) : undefined;
}

/**
 * The SDK refuses a notification whose capability is not declared, in a method that is protected. A subclass with another
 * one would lose the short way of requests (`request-entry.ts`), so the server gets its own.
 */
export const sendsAllNotifications = (server: Server): Server =>
  Object.assign(server, { assertNotificationCapability: () => {} });

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
  const methods = Object(Object.getPrototypeOf(server)) as Readonly<Record<string, unknown>>;
  return Object.keys(server).find(
    (name) => !REPLACEABLE.has(name) && typeof methods[name] === 'function',
  );
}

/** Whether the class of the application extends the SDK's `Server`, which is the lowest class with this method. */
export function isSubclass(server: object): boolean {
  const own = Object(Object.getPrototypeOf(server)) as object;
  return (
    !Object.hasOwn(own, 'getClientVersion') ||
    'getClientVersion' in (Object.getPrototypeOf(own) as object)
  );
}
