/**
 * The ways to give an endpoint its server: a function that makes one for each session and request, or one server for
 * all of them, of each version of the SDK.
 *
 * `givings` is the table for `describe.each`. `SOJOURN_ONE_DEFINITION=1` makes the server of a test once and passes
 * that server to the endpoint, where the fixture allows it. Without the switch an endpoint gets the factory. A fixture
 * allows it when its server needs nothing of the context that a factory gets, and keeps nothing of one session.
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
    give: (fill) => (ctx: McpEndpointContext) => filled(new McpServer(INFO, { ...ctx.serverOptions }), fill),
  },
  { name: 'one server', sdk: 2, give: (fill) => filled(new McpServer(INFO), fill) },
  { name: 'a factory of SDK 1', sdk: 1, give: (fill) => () => filled(new McpServerV1(INFO), fill) },
  { name: 'one server of SDK 1', sdk: 1, give: (fill) => filled(new McpServerV1(INFO), fill) },
];

const ONE_DEFINITION = process.env['SOJOURN_ONE_DEFINITION'] === '1';
const shareable = new WeakSet<object>();

/** Marks a factory whose server may serve every session. */
export function shared<Factory extends object>(factory: Factory): Factory {
  shareable.add(factory);
  return factory;
}

/** What an endpoint of a test gets. */
export function serverOf(given: Given): Given {
  if (!ONE_DEFINITION || typeof given !== 'function' || !shareable.has(given)) return given;
  return (given as (ctx: object) => ConnectableServer)({ serverOptions: {} });
}
