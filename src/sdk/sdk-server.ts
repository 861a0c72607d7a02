/**
 * What a definition relies on in the SDK's low-level `Server`, by version: every private member that `src/definition/`
 * touches (ADR 0019), behind functions. A server that lacks one of them is served through one connection
 * (`gateway.ts`), unless older versions lack it too.
 */
import { Server } from '@modelcontextprotocol/server';
import { orUndefined } from '../base/or-undefined.ts';
import { isObject } from '../protocol/jsonrpc.ts';
import { isLowLevel } from './server-shape.ts';

/** A stored request handler. `ctx` is the SDK's context, or `extra` in version 1. */
export type RequestHandler = (request: unknown, ctx: unknown) => unknown;
/** A stored notification handler. Version 2 passes its codec as the second argument. */
type NotificationHandler = (notification: unknown, codec?: unknown) => unknown;

/** The members of the SDK's `Server` that a definition reads, writes or replaces. */
export interface SdkServer {
  readonly constructor: SdkServerClass;
  readonly transport: unknown;
  onclose: (() => void) | undefined;
  onerror: ((error: Error) => void) | undefined;
  fallbackRequestHandler: RequestHandler | undefined;
  fallbackNotificationHandler: ((notification: unknown) => unknown) | undefined;
  close(): Promise<void>;
  getCapabilities(): Readonly<Record<string, unknown>>;
  readonly _serverInfo: unknown;
  readonly _options: Readonly<Record<string, unknown>> | undefined;
  readonly _instructions: string | undefined;
  _requestHandlers: Map<string, RequestHandler>;
  _notificationHandlers: Map<string, NotificationHandler>;
  readonly _customSchemaRequestMethods?: Set<string>;
}

export type SdkServerClass = new (info: unknown, options: Readonly<Record<string, unknown>>) => SdkServer;

export interface Seams {
  readonly sdk: string;
  /** The oldest version that has all of this, and the newest that was tested. */
  readonly oldest: string;
  readonly newest: string;
  /** Properties that belong to one connection. Reading or writing them on the definition reaches the running server. */
  readonly connection: readonly string[];
  /** Methods that change what belongs to one connection. They run on the running server. */
  readonly methods: readonly string[];
  /** Properties and methods that must exist besides these. */
  readonly required: readonly string[];
  /** Those of the above that some versions do not have, and need not. */
  readonly optional: ReadonlySet<string>;
  /** `transport` reads a property of `connection`. */
  readonly forwardsTransport: boolean;
}

const REQUIRED = ['_serverInfo', '_options', '_requestHandlers', '_notificationHandlers', 'getCapabilities'];

/** In both versions. */
const CONNECTION = ['_clientCapabilities', '_clientVersion', '_loggingLevels'];

const V2: Seams = {
  sdk: '@modelcontextprotocol/server',
  oldest: '2.0.0',
  newest: '2.4.0',
  connection: [
    ...CONNECTION,
    '_negotiatedProtocolVersion',
    '_requestStateVerify',
    '_inputRequiredServing',
    '_legacyShim',
  ],
  methods: ['_oninitialize', '_ondiscover', '_oncancel', '_onprogress'],
  required: REQUIRED,
  optional: new Set(['_customSchemaRequestMethods']),
  forwardsTransport: false,
};

const V1: Seams = {
  sdk: '@modelcontextprotocol/sdk',
  oldest: '1.0.1',
  newest: '1.32.2',
  // `_transport` and the next two: the handlers of `tasks/result` use them. Versions without `_oncancel` cancel the
  // signals of the last one in a handler.
  connection: [
    ...CONNECTION,
    '_transport',
    '_requestResolvers',
    '_taskProgressTokens',
    '_requestHandlerAbortControllers',
  ],
  methods: ['_oninitialize', '_oncancel', '_onprogress'],
  required: REQUIRED,
  // `_loggingLevels` since 1.17, the others since 1.24, with tasks.
  optional: new Set(['_loggingLevels', '_requestResolvers', '_taskProgressTokens', '_oncancel']),
  forwardsTransport: true,
};

/** Version 1 creates these with the first connection. */
const UNSET_BEFORE_CONNECT = new Set(['_clientCapabilities', '_clientVersion', '_transport']);

/** The validator that the server created with itself. `undefined` in version 2, whose validators create little. */
export function eagerValidatorOf(server: SdkServer): object | undefined {
  const validator: unknown = seamsOf(server) === V1 ? Reflect.get(server, '_jsonSchemaValidator') : undefined;
  return isObject(validator) && typeof validator['getValidator'] === 'function' ? validator : undefined;
}

export function seamsOf(server: SdkServer): Seams {
  return 'getNegotiatedProtocolVersion' in server ? V2 : V1;
}

/** The first member that a definition needs and this version of the SDK lacks. */
export function missingSeam(server: SdkServer): string | undefined {
  const { required, connection, methods, optional } = seamsOf(server);
  const isMissing = (name: string): boolean => !optional.has(name) && !hasSeam(server, name);
  return [...required, ...connection, ...methods].find(isMissing);
}

/** Whether this version has the member, or creates it later. */
export function hasSeam(server: SdkServer, name: string): boolean {
  return name in server || (seamsOf(server) === V1 && UNSET_BEFORE_CONNECT.has(name));
}

export const isSdkServer = (value: unknown): value is SdkServer => isLowLevel(value);

/** The tables in which the SDK looks handlers up. */
export interface HandlerTables {
  requests: Map<string, RequestHandler>;
  notifications: Map<string, NotificationHandler>;
}

/** The members that hold them. */
export const TABLE_NAMES = { requests: '_requestHandlers', notifications: '_notificationHandlers' } as const;

export function tablesOf({ _requestHandlers, _notificationHandlers }: SdkServer): HandlerTables {
  return { requests: _requestHandlers, notifications: _notificationHandlers };
}

export const requestsOf = (server: SdkServer): HandlerTables['requests'] => server._requestHandlers;

/** A handler as the server runs it: the table may look it up elsewhere (`light-server.ts`). */
export function handlerOf(server: object | undefined, method: string): RequestHandler | undefined {
  const table: unknown = server && Reflect.get(server, TABLE_NAMES.requests);
  return table instanceof Map ? (table.get(method) as RequestHandler | undefined) : undefined;
}

/**
 * Makes the tables of a server `tables`, and those of the server of one session while it is being connected: a handler
 * registers for all sessions, and what `connect()` wraps, it wraps for one.
 */
export function forwardTables(server: SdkServer, tables: HandlerTables, connecting: () => SdkServer | undefined): void {
  for (const key of ['requests', 'notifications'] as const) {
    const name = TABLE_NAMES[key];
    Object.defineProperty(server, name, {
      configurable: true,
      enumerable: true,
      get: () => connecting()?.[name] ?? tables[key],
      set: (table: never) => {
        const session = connecting();
        if (session === undefined) tables[key] = table;
        else session[name] = table;
      },
    });
  }
}

export function replaceTables(server: SdkServer, { requests, notifications }: HandlerTables): void {
  server._requestHandlers = requests;
  server._notificationHandlers = notifications;
}

/** A server of the same class, with the same name and version, and the application's own methods. */
export function createAlike(server: SdkServer, options: Readonly<Record<string, unknown>>): SdkServer {
  const alike = new server.constructor(server._serverInfo, options);
  for (const method of server._customSchemaRequestMethods ?? []) alike._customSchemaRequestMethods?.add(method);
  return alike;
}

/** The options that the application gave its server, and instructions that it set later. */
export function optionsOf({ _options, _instructions }: SdkServer): Record<string, unknown> {
  return { ..._options, ...(_instructions !== undefined && { instructions: _instructions }) };
}

/** A server of 2026-07-28 has this version from the start. */
export function setNegotiatedVersion(server: SdkServer, version: string): void {
  Reflect.set(server, '_negotiatedProtocolVersion', version);
}

/** The name that a server of any version gives itself. `made`: an `McpServer`, or the server itself. */
export function nameOf(made: unknown): unknown {
  const { server = made } = Object(made) as { server?: unknown };
  return (Object(Reflect.get(Object(server), '_serverInfo')) as { name?: unknown }).name;
}

/** What a definition may replace: registration, and what is read when a session starts. */
const REPLACEABLE = new Set([
  'setRequestHandler',
  'removeRequestHandler',
  'assertCanSetRequestHandler',
  'setNotificationHandler',
  'removeNotificationHandler',
  'registerCapabilities',
  'getCapabilities',
]);

/**
 * A method that this object has in place of that of its class, and what set it. The servers of sessions would not have
 * what the application set. Where the constructor sets it in every object, the application may have replaced it or not.
 */
export function ownMethod(
  server: SdkServer,
): { readonly name: string; readonly by: 'application' | 'SDK' } | undefined {
  const own: unknown = Object.getPrototypeOf(server);
  const isOwn = (name: string): boolean => !REPLACEABLE.has(name) && isObject(own) && typeof own[name] === 'function';
  const names = Object.keys(server).filter(isOwn);
  if (names.length === 0) return undefined;
  const fresh = orUndefined(() => new server.constructor(PROBE, {})) ?? server;
  const replaced = names.find((name) => !Object.hasOwn(fresh, name));
  return replaced === undefined ? { name: String(names[0]), by: 'SDK' } : { name: replaced, by: 'application' };
}

/**
 * Whether the class of the application extends the SDK's `Server`, which may have any number of classes below it. The
 * SDK's class is the lowest class with `getClientVersion`, what this library imports, or what an `McpServer` creates.
 */
export function isSubclass(server: object, highLevel?: object): boolean {
  const own: unknown = Object.getPrototypeOf(server);
  const lowest = lowestWith('getClientVersion', server);
  if (lowest === undefined || lowest === own || own === Server.prototype) return false;
  return highLevel === undefined || own !== createdBy(highLevel);
}

/** The last object of the prototype chain that has the member itself. */
function lowestWith(member: string, of: object): object | undefined {
  let lowest: object | undefined;
  for (let proto: unknown = of; isObject(proto); proto = Object.getPrototypeOf(proto))
    if (Object.hasOwn(proto, member)) lowest = proto;
  return lowest;
}

/** An object of the application around a server has some of them at most. */
const HIGH_LEVEL = [
  'connect',
  'isConnected',
  'registerTool',
  'registerResource',
  'registerPrompt',
  'sendToolListChanged',
];

/** The prototype of the server that the SDK's `McpServer` creates. No class of the application runs. */
function createdBy(highLevel: object): unknown {
  const sdk = lowestWith('connect', highLevel);
  if (sdk === undefined || !HIGH_LEVEL.every((name) => Object.hasOwn(sdk, name))) return undefined;
  const create = sdk.constructor as new (info: object) => { readonly server: object };
  return orUndefined(() => Object.getPrototypeOf(new create(PROBE).server) as unknown);
}

const PROBE = { name: 'sojourn', version: '0' };
