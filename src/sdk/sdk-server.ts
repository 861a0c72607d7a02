/**
 * The SDK's low-level `Server` as a definition uses it (docs/adr/one-definition.md). Of its members that are not public
 * only these are named: the two tables of handlers, and what it was constructed with. Whatever else a version has,
 * `src/definition/` forwards.
 */
import type { Server } from '@modelcontextprotocol/server';
import { isObject } from '../protocol/jsonrpc.ts';
import { innerServer, isLowLevel } from './server-shape.ts';

/** A stored handler. `given`: the SDK's context of a request, or its codec of a notification, in version 2. */
export type Handler = (message: unknown, given?: unknown) => unknown;

type ServerOptions = Readonly<Record<string, unknown>>;

type ServerClass = new (info: unknown, options: ServerOptions) => SdkServer;

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
  /** Since version 2. */
  getNegotiatedProtocolVersion?(): string | undefined;
  _requestHandlers: Map<string, Handler>;
  _notificationHandlers: Map<string, Handler>;
  readonly _serverInfo: { readonly name?: unknown };
  readonly _options: ServerOptions | undefined;
  /** What it validates answers of forms with, since 1.20. */
  readonly _jsonSchemaValidator?: unknown;
}

/** The tables in which the SDK looks handlers up. */
export const TABLES = { requests: '_requestHandlers', notifications: '_notificationHandlers' } as const;

export const isSdkServer = (value: unknown): value is SdkServer => isLowLevel(value);

const NEEDED = [...Object.values(TABLES), '_serverInfo', '_options'];

/** The member that this version of the SDK has elsewhere. */
export const lackingMember = (server: SdkServer): string | undefined => NEEDED.find((name) => !(name in server));

/** Whether the application gave it a store of tasks, an option of SDK 1. */
export const hasTaskStore = (server: SdkServer): boolean => server._options?.['taskStore'] !== undefined;

/** The instructions that the application gave its server of version 2. */
export function givenInstructions(server: Server): { instructions?: string } {
  const { instructions } = { ...(server as unknown as SdkServer)._options };
  return typeof instructions === 'string' ? { instructions } : {};
}

interface Validator {
  getValidator(schema: unknown): unknown;
}

/**
 * A server of SDK 1 creates its validator with itself: 18 KB and 0.2 ms. Only the answer of a form is validated. A
 * validator keeps every schema that it has seen, so each form gets a new one.
 */
const validatorOfForms = ({ constructor }: object): Validator => ({
  getValidator: (schema) => new (constructor as new () => Validator)().getValidator(schema),
});

/** A server of the same class, name and options, with `over` over these. */
export function createAlike(server: SdkServer, over: ServerOptions): SdkServer {
  const { constructor: Class, _jsonSchemaValidator: validator } = server;
  const isOlder = !('getNegotiatedProtocolVersion' in server);
  const own = isOlder && isObject(validator) ? { jsonSchemaValidator: validatorOfForms(validator) } : {};
  return new Class(server._serverInfo, { ...own, ...server._options, ...over });
}

/** A handler as the server runs it: the table may look it up elsewhere (`handlers.ts`). */
export function handlerOf(server: object | undefined, method: string): Handler | undefined {
  const table: unknown = server && Reflect.get(server, TABLES.requests);
  return table instanceof Map ? (table.get(method) as Handler | undefined) : undefined;
}

/** The name that a server of any version gives itself. `made`: an `McpServer`, or the server itself. */
export function nameOf(made: unknown): unknown {
  const server = innerServer(made);
  return isSdkServer(server) ? Object(server._serverInfo).name : undefined;
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
  const methods = Object(Object.getPrototypeOf(server)) as Readonly<Record<string, unknown>>;
  return Object.keys(server).find((name) => !REPLACEABLE.has(name) && typeof methods[name] === 'function');
}

/** Whether the class of the application extends the SDK's `Server`, which is the lowest class with this method. */
export function isSubclass(server: object): boolean {
  const own = Object(Object.getPrototypeOf(server)) as object;
  return !Object.hasOwn(own, 'getClientVersion') || 'getClientVersion' in (Object.getPrototypeOf(own) as object);
}
