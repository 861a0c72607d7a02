/**
 * Servers of the SDK, recognised by their members. `instanceof` fails across the copies and builds (ES module,
 * CommonJS) of the SDK that one process may load, and servers of such copies work as well.
 */
import { McpServer, Server } from '@modelcontextprotocol/server';
import type { Notices } from '../base/observe/notices.ts';
import type { ConnectableServer } from '../base/types.ts';
import { isObject } from '../base/protocol/jsonrpc.ts';

/** What a factory may return. */
export type AnyServer = McpServer | Server | ConnectableServer;

/** Members of the SDK's `Server` in every version. A client of the SDK lacks the first. */
const SERVER_MEMBERS = [
  'getClientVersion',
  'setRequestHandler',
  'setNotificationHandler',
  'connect',
  'close',
];

/** What it has besides since version 2, which serves the modern era. */
const MODERN_MEMBERS = ['getNegotiatedProtocolVersion', 'getCapabilities'];

const hasMethods = (value: Readonly<Record<string, unknown>>, names: readonly string[]): boolean =>
  names.every((name) => typeof value[name] === 'function');

/** Whether it is the SDK's low-level `Server`, of any version. */
export const isLowLevel = (value: unknown): value is Record<string, unknown> =>
  isObject(value) && hasMethods(value, SERVER_MEMBERS);

/** Methods of an `McpServer` of version 1. Only since 1.11 it has `registerTool`. */
const OLDER_MEMBERS = ['tool', 'prompt', 'resource'];

/** Whether it is an `McpServer` of any version. */
export const isHighLevel = (value: unknown): value is Record<string, unknown> =>
  isObject(value) &&
  isLowLevel(value['server']) &&
  (hasMethods(value, ['registerTool']) || hasMethods(value, OLDER_MEMBERS));

/**
 * The SDK's `Server` that serves the modern era: `made` itself, or the server inside an `McpServer`. `undefined`:
 * neither.
 */
export function modernServerOf(made: unknown): Server | undefined {
  // The look at each member takes a microsecond, and a request of 2026-07-28 asks several times.
  if (made instanceof McpServer) return made.server;
  if (made instanceof Server) return made;
  const inner = innerServer(made);
  return isLowLevel(inner) && hasMethods(inner, MODERN_MEMBERS)
    ? (inner as unknown as Server)
    : undefined;
}

/** Whether a server that `modernServerOf` knows is an `McpServer`. */
export const isMcpServer = (made: AnyServer): made is McpServer => 'toolInputSchemaJson' in made;

/** Whether it is a server of SDK version 1, when `modernServerOf` does not know it. */
export const isOlderServer = (made: unknown): boolean =>
  modernServerOf(made) === undefined && isOfSdk(made);

/** Whether it is a server of the SDK, or an object whose property `server` is one. */
export const isOfSdk = (made: unknown): boolean => isLowLevel(innerServer(made));

/**
 * Where an object of the application, or of a framework, holds a server of the SDK: in an own property, or in
 * `server`. Servers in private fields cannot be found.
 */
export function propertyWithServer(made: unknown): string | undefined {
  if (!isObject(made)) return undefined;
  const inner = innerServer(made);
  if (inner !== made && isOfSdk(inner)) return 'server';
  return Object.entries(Object.getOwnPropertyDescriptors(made)).find(([, { value }]) =>
    isOfSdk(value),
  )?.[0];
}

/** The SDK's `Server` inside an `McpServer`; anything else as it is. */
export function innerServer(made: unknown): unknown {
  return isObject(made) && isObject(made['server']) ? made['server'] : made;
}

/** Whether an object or its class replaces a method of the SDK's class that it extends. */
export function overrides(made: object, method: string): boolean {
  let base = made;
  for (;;) {
    const next: unknown = Object.getPrototypeOf(base);
    if (!isObject(next) || next === Object.prototype) break;
    base = next;
  }
  return Reflect.get(made, method) !== Reflect.get(base, method);
}

/** Closes a server. An object of the application may return no promise, or throw at once. */
export async function closeServer(made: AnyServer | undefined): Promise<void> {
  await made?.close();
}

/** The methods of the SDK, before tools replace them. */
const OWN: ReadonlySet<unknown> = new Set(
  [McpServer.prototype, Server.prototype].flatMap(({ connect, close }) => [connect, close]),
);

/** Whether it is the SDK's own method: `connect()` starts the transport, and `close()` closes it. */
export const isOwnOfSdk = (made: AnyServer, method: 'connect' | 'close'): boolean =>
  OWN.has(made[method]) && OWN.has((innerServer(made) as AnyServer)[method]);

/** What a server of version 2 makes the context of a handler from. Its `log` sends through this `notify`. */
interface BaseContext {
  readonly mcpReq: {
    notify(this: void, message: { readonly method: string }, options?: unknown): Promise<unknown>;
  };
}

/** The servers whose run hook has not called `run()` yet. */
const AWAITING_RUN = new WeakSet<object>();

/** What the server sends before the returned function is called rejects, as in the SDK. Its run hook runs. */
export function rejectUntilRun(made: unknown): () => void {
  const inner = innerServer(made);
  if (!isObject(inner)) return () => {};
  AWAITING_RUN.add(inner);
  return () => AWAITING_RUN.delete(inner);
}

/**
 * Before its first message: what the server sends while it has no connection is dropped, where the SDK would reject it.
 * Code that does not await its notifications would end the process. Requests still reject. In version 2 the context of a
 * handler does not send through `notification`. A copy of it costs nothing, and a member that is set costs a tenth of
 * the CPU of a call.
 */
export function dropLateNotifications(made: unknown, notices: Pick<Notices, 'dropped'>): void {
  const inner = innerServer(made);
  if (!isObject(inner)) return;
  const { notification, buildContext } = inner;
  const orDropped = async (
    { method }: { readonly method: string },
    send: () => unknown,
  ): Promise<unknown> =>
    inner['transport'] === undefined && !AWAITING_RUN.has(inner) ? notices.dropped(method) : send();
  if (typeof notification === 'function')
    inner['notification'] = (message: { readonly method: string }, ...more: unknown[]) =>
      orDropped(message, () => Reflect.apply(notification, inner, [message, ...more]));
  if (typeof buildContext === 'function')
    inner['buildContext'] = (context: BaseContext, transportInfo: unknown): unknown => {
      const { mcpReq } = context;
      const notify: BaseContext['mcpReq']['notify'] = (message, options) =>
        orDropped(message, () => mcpReq.notify(message, options));
      return Reflect.apply(buildContext, inner, [
        { ...context, mcpReq: { ...mcpReq, notify } },
        transportInfo,
      ]);
    };
}

/** Where servers of version 2 keep the revision that they serve. */
const REVISION = '_negotiatedProtocolVersion';

/**
 * Makes a server of version 2, which is not connected yet, serve a revision. The SDK does the same in its own handler
 * of this era. `getNegotiatedProtocolVersion()` says whether it has taken it.
 */
export function bindToRevision(server: Server, version: string): void {
  Reflect.set(server, REVISION, version);
}

/**
 * Tells the server that its connection is closed. The SDK then creates an error for everything that waits for the
 * connection, even when nothing does (`isAwaited`). Without its stack that error costs little. A listener of the
 * application may make errors, which need their stacks.
 */
export function tellClosed(
  made: unknown,
  onclose: (() => void) | undefined,
  isAwaited: boolean,
): void {
  const inner = innerServer(made);
  if (isAwaited || !isObject(inner) || inner['onclose'] !== undefined) return onclose?.();
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    onclose?.();
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}
