/**
 * Servers of the SDK, recognised by their members. `instanceof` fails across the copies and builds (ES module,
 * CommonJS) of the SDK that one process may load, and servers of such copies work as well.
 */
import { McpServer, Server } from '@modelcontextprotocol/server';
import type { ConnectableServer } from '../types.ts';
import { isObject } from './jsonrpc.ts';

/** What a factory may return. */
export type AnyServer = McpServer | Server | ConnectableServer;

/** Members of the SDK's `Server` since version 2, which serve the modern era. Version 1 lacks the first. */
const MODERN_MEMBERS = ['getNegotiatedProtocolVersion', 'setRequestHandler', 'getCapabilities', 'connect', 'close'];

/**
 * The SDK's `Server` that serves the modern era: `made` itself, or the server inside an `McpServer`. `undefined`:
 * neither.
 */
export function modernServerOf(made: unknown): Server | undefined {
  if (made instanceof McpServer) return made.server;
  if (made instanceof Server) return made;
  const inner = innerServer(made);
  return isObject(inner) && MODERN_MEMBERS.every((name) => typeof inner[name] === 'function')
    ? (inner as unknown as Server)
    : undefined;
}

/** Whether it is an `McpServer` of version 2, from any copy of the SDK. */
export function isMcpServer(made: unknown): made is McpServer {
  if (made instanceof McpServer) return true;
  return isObject(made) && typeof made['toolInputSchemaJson'] === 'function' && modernServerOf(made) !== undefined;
}

/** Whether the copy of the SDK that this library imports created it. */
export function isOwnCopy(made: unknown): boolean {
  return made instanceof McpServer || made instanceof Server;
}

/** Whether it is a server of SDK version 1, when `modernServerOf` does not know it. */
export function isOlderServer(made: unknown): boolean {
  const inner = innerServer(made);
  return isObject(inner) && typeof inner['setRequestHandler'] === 'function';
}

/** The SDK's `Server` inside an `McpServer`; anything else as it is. */
export function innerServer(made: unknown): unknown {
  return isObject(made) && isObject(made['server']) ? made['server'] : made;
}

/**
 * Tells the server that its connection is closed. The SDK then creates an error for everything that waits for the
 * connection, even when nothing waits. Without its stack that error costs little.
 */
export function closeUnawaited(onclose: (() => void) | undefined): void {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    onclose?.();
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}
