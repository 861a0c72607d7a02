/**
 * The ways to give an endpoint its server: a function that makes one for each session and request, or one server for
 * all of them, of each version of the SDK.
 *
 * `givings` is the table for `describe.each`. `SOJOURN_ONE_DEFINITION=1` makes the server of a test once and passes
 * that server to the endpoint. Without the switch an endpoint gets the factory. A test gets its factory all the same
 * where that reads more of its context than `serverOptions`, or is marked as `perSession`. Tests tagged `per-session`
 * look at the servers of their sessions one by one.
 */
import { McpServer } from '@modelcontextprotocol/server';
import { McpServer as McpServerV1 } from '@modelcontextprotocol/sdk/server/mcp.js';
import type { ConnectableServer, McpEndpointContext, McpEndpointFactory } from '../../src/index.ts';

export type Given = McpEndpointFactory | ConnectableServer;

/** Registers what a test needs. `registerTool` with a schema of zod and a handler is the same in both versions. */
export type Fill = (server: McpServer) => void;

export interface Giving {
  readonly name: string;
  readonly sdk: 1 | 2;
  give(fill: Fill): Given;
}

const INFO = { name: 'given', version: '1.0.0' };

function filled<Made extends McpServer | McpServerV1>(server: Made, fill: Fill): Made {
  fill(server as McpServer);
  return server;
}

export const givings: readonly Giving[] = [
  {
    name: 'a factory',
    sdk: 2,
    give: (fill) =>
      perSession((ctx: McpEndpointContext) =>
        filled(new McpServer(INFO, { ...ctx.serverOptions }), fill),
      ),
  },
  { name: 'one server', sdk: 2, give: (fill) => filled(new McpServer(INFO), fill) },
  {
    name: 'a factory of SDK 1',
    sdk: 1,
    give: (fill) => perSession(() => filled(new McpServerV1(INFO), fill)),
  },
  { name: 'one server of SDK 1', sdk: 1, give: (fill) => filled(new McpServerV1(INFO), fill) },
];

const ONE_DEFINITION = process.env['SOJOURN_ONE_DEFINITION'] === '1';
const perSessions = new WeakSet<object>();

/** Marks a factory whose servers keep something of their session or request, or are counted by the test. */
export function perSession<Factory extends object>(factory: Factory): Factory {
  perSessions.add(factory);
  return factory;
}

/** What an endpoint of a test gets. */
export function serverOf(given: Given): Given {
  if (!ONE_DEFINITION || typeof given !== 'function' || perSessions.has(given)) return given;
  return madeOnce(given) ?? given;
}

/** `undefined`: the factory returns a promise, or reads what a context has of one session or request. */
function madeOnce(factory: McpEndpointFactory): ConnectableServer | undefined {
  if (factory.constructor.name === 'AsyncFunction') return undefined;
  const reads = { isMore: false };
  const context = new Proxy({ serverOptions: {} } as McpEndpointContext, {
    get: (target, name) => {
      reads.isMore ||= name !== 'serverOptions';
      return Reflect.get(target, name);
    },
  });
  try {
    const server = factory(context);
    return reads.isMore || server instanceof Promise ? undefined : server;
  } catch (cause) {
    if (reads.isMore) return undefined;
    throw cause;
  }
}
