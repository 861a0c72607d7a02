/**
 * What a factory made, recognised by its members: `instanceof` fails across the copies and builds (ES module, CommonJS) of the
 * SDK that one process may hold, a server of another copy is none the worse for it.
 */
import { McpServer, Server } from '@modelcontextprotocol/server';
import { isObject } from './jsonrpc.ts';

/** Members of the SDK's `Server` from version 2 on, by which the modern era is served; version 1 lacks the first. */
const MODERN_MEMBERS = ['getNegotiatedProtocolVersion', 'setRequestHandler', 'getCapabilities', 'connect', 'close'];

/** The SDK's `Server` that serves the modern era: `made` itself, or what an `McpServer` has inside. `undefined`: neither. */
export function modernServerOf(made: unknown): Server | undefined {
  if (made instanceof McpServer) return made.server;
  if (made instanceof Server) return made;
  const inner = inside(made);
  return isObject(inner) && MODERN_MEMBERS.every((name) => typeof inner[name] === 'function')
    ? (inner as unknown as Server)
    : undefined;
}

/** An `McpServer` of version 2, of any copy. */
export function isMcpServer(made: unknown): made is McpServer {
  if (made instanceof McpServer) return true;
  return isObject(made) && typeof made['toolInputSchemaJson'] === 'function' && modernServerOf(made) !== undefined;
}

/** Made by the copy of the SDK that this library itself uses. */
export function isOwnCopy(made: unknown): boolean {
  return made instanceof McpServer || made instanceof Server;
}

/** Why a server cannot serve the modern era, for the log. */
export function whyNotModern(made: unknown): string {
  const inner = inside(made);
  return isObject(inner) && typeof inner['setRequestHandler'] === 'function'
    ? 'its factory makes a server of an SDK version that does not know it; use @modelcontextprotocol/server 2.4 or later'
    : 'its factory makes a server that is none of the SDK';
}

function inside(made: unknown): unknown {
  return isObject(made) && isObject(made['server']) ? made['server'] : made;
}
