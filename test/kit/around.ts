/**
 * Every way of a request into a server, for the tests of `aroundRequest`: each version of the SDK, as a factory and as
 * one server, in each era.
 */
import { McpServer, type ServerContext } from '@modelcontextprotocol/server';
import { McpServer as McpServerV1 } from '@modelcontextprotocol/sdk/server/mcp.js';
import { z } from 'zod';
import type { ConnectableServer, McpEndpointContext, McpEndpointFactory, McpEndpointOptions } from '../../src/index.ts';
import type { JsonRpcAnswer, RawClient } from './raw-client.ts';
import { openSse } from './legacy-sse.ts';
import { callModern } from './modern.ts';
import { serve, type Served, type ServeSettings } from './serve.ts';
import { said } from './tool-server.ts';

/** Calls a method of the server, and resolves with the answer. */
export type Ask = (method: string, params?: object) => Promise<JsonRpcAnswer>;

/** What the handler of the tool `add` runs. `signal`: aborts with its request. */
export type Add = (sum: number, signal: AbortSignal) => unknown;

/** Wraps the handler of `add`, of either version of the SDK. */
export type Wrap = <Given extends unknown[], Result>(
  handler: (...given: Given) => Promise<Result>,
) => (...given: Given) => Promise<Result>;

const bare: Wrap = (handler) => handler;

/** Connects to the endpoint, and performs the handshake if there is one. */
type Open = (client: RawClient) => Promise<Ask>;

const stateful: Open = async (client) => {
  await client.initialize();
  return async (method, params) => (await client.call(method, params)).message;
};

const sse: Open = async (client) => {
  const connection = await openSse(client);
  return async (method, params) => {
    const id = client.nextId();
    const posted = await connection.post({ jsonrpc: '2.0', id, method, params });
    if (posted.status !== 202) return posted.json() as JsonRpcAnswer;
    return (await connection.stream.nextMessage()) as JsonRpcAnswer;
  };
};

const stateless: Open = async (client) => async (method, params) => (await client.call(method, params)).message;
const modern: Open = async (client) => async (method, params) =>
  (await callModern(client, method, { ...params })).message;

interface Sum {
  readonly a: number;
  readonly b: number;
}

const inputSchema = z.object({ a: z.number(), b: z.number() });

/** Both versions register alike, but for the arguments of a prompt; the first one gives the signal itself. */
function fill<Made extends McpServer | McpServerV1>(made: Made, add: Add, wrap: Wrap): Made {
  const server = made as McpServer;
  const signalOf = (ctx: ServerContext): AbortSignal =>
    ctx.mcpReq?.signal ?? (ctx as unknown as { signal: AbortSignal }).signal;
  const run = wrap(async ({ a, b }: Sum, ctx: ServerContext) => said(await add(a + b, signalOf(ctx))));
  server.registerTool('add', { inputSchema }, run);
  const shape = { who: z.string() };
  const argsSchema = (made instanceof McpServerV1 ? shape : z.object(shape)) as z.ZodObject<typeof shape>;
  server.registerPrompt('greet', { argsSchema }, ({ who }) => greeting(who));
  server.registerResource('note', 'note://a', {}, () => ({ contents: [{ uri: 'note://a', text: 'a' }] }));
  return made;
}

const greeting = (who: string) => ({
  messages: [{ role: 'user' as const, content: { type: 'text' as const, text: who } }],
});

const info = { name: 'adder', version: '1.0.0' };
type Made = McpEndpointFactory | ConnectableServer;

const v2 =
  (add: Add, wrap: Wrap): Made =>
  (ctx: McpEndpointContext) =>
    fill(new McpServer(info, { ...ctx.serverOptions }), add, wrap);
const v2One = (add: Add, wrap: Wrap): Made => fill(new McpServer(info), add, wrap);
/** The SDK's own handler serves it in 2026-07-28, because it does not pass `ctx.serverOptions` on. */
const bySdk =
  (add: Add, wrap: Wrap): Made =>
  () =>
    fill(new McpServer(info), add, wrap);
const v1 =
  (add: Add, wrap: Wrap): Made =>
  () =>
    fill(new McpServerV1(info), add, wrap);
const v1One = (add: Add, wrap: Wrap): Made => fill(new McpServerV1(info), add, wrap);

export interface Way {
  readonly name: string;
  readonly era: 'legacy' | 'modern';
  readonly inSession: boolean;
  /** A client names the version of the protocol. */
  readonly named: boolean;
  open(
    add: Add,
    options: McpEndpointOptions,
    settings?: ServeSettings,
    wrap?: Wrap,
  ): Promise<{ ask: Ask; served: Served }>;
}

function way(name: string, make: (add: Add, wrap: Wrap) => Made, open: Open, more: McpEndpointOptions = {}): Way {
  return {
    name,
    era: open === modern ? 'modern' : 'legacy',
    inSession: open === stateful || open === sse,
    named: open !== stateless,
    open: async (add, options, settings, wrap = bare) => {
      const served = await serve(make(add, wrap), { ...more, ...options }, settings);
      return { served, ask: await open(served.client()) };
    },
  };
}

const STATELESS: McpEndpointOptions = { sessionMode: 'stateless' };
const SSE: McpEndpointOptions = { legacySse: true };

export const ways: readonly Way[] = [
  way('a session', v2, stateful),
  way('a session of one server', v2One, stateful),
  way('a session of SDK 1', v1, stateful),
  way('a session of one server of SDK 1', v1One, stateful),
  way('2024-11-05', v2, sse, SSE),
  way('2024-11-05, SDK 1', v1, sse, SSE),
  way('stateless', v2, stateless, STATELESS),
  way('stateless, SDK 1', v1, stateless, STATELESS),
  way('2026-07-28', v2, modern),
  way('2026-07-28 with one server', v2One, modern),
  way('2026-07-28 by way of the SDK', bySdk, modern),
];
