/**
 * Every way of a request into a server, for the tests of `aroundRequest`: each version of the SDK, as a factory and as
 * one server, in each era.
 */
import { McpServer, type ServerContext } from '@modelcontextprotocol/server';
import { z } from 'zod';
import type { McpEndpointOptions } from '../../src/index.ts';
import type { JsonRpcAnswer, RawClient } from './raw-client.ts';
import { openSse } from './legacy-sse.ts';
import { type Giving, givings } from './making-servers.ts';
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
function fill(server: McpServer, sdk: 1 | 2, add: Add, wrap: Wrap): void {
  const signalOf = (ctx: ServerContext): AbortSignal =>
    ctx.mcpReq?.signal ?? (ctx as unknown as { signal: AbortSignal }).signal;
  const run = wrap(async ({ a, b }: Sum, ctx: ServerContext) => said(await add(a + b, signalOf(ctx))));
  server.registerTool('add', { inputSchema }, run);
  const shape = { who: z.string() };
  const argsSchema = (sdk === 1 ? shape : z.object(shape)) as z.ZodObject<typeof shape>;
  server.registerPrompt('greet', { argsSchema }, ({ who }) => greeting(who));
  server.registerResource('note', 'note://a', {}, () => ({ contents: [{ uri: 'note://a', text: 'a' }] }));
}

const greeting = (who: string) => ({
  messages: [{ role: 'user' as const, content: { type: 'text' as const, text: who } }],
});

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

const [factory, one, factoryV1, oneV1] = givings as [Giving, Giving, Giving, Giving];
/** The SDK's own handler serves it in 2026-07-28, because it does not pass `ctx.serverOptions` on. */
const bySdk: Giving = {
  name: 'by way of the SDK',
  sdk: 2,
  give: (filling) => () => {
    const server = new McpServer({ name: 'given', version: '1.0.0' });
    filling(server);
    return server;
  },
};

function way(name: string, { sdk, give }: Giving, open: Open, more: McpEndpointOptions = {}): Way {
  return {
    name,
    era: open === modern ? 'modern' : 'legacy',
    inSession: open === stateful || open === sse,
    named: open !== stateless,
    open: async (add, options, settings, wrap = bare) => {
      const given = give((server) => fill(server, sdk, add, wrap));
      const served = await serve(given, { ...more, ...options }, settings);
      return { served, ask: await open(served.client()) };
    },
  };
}

const STATELESS: McpEndpointOptions = { sessionMode: 'stateless' };
const SSE: McpEndpointOptions = { legacySse: true };

export const ways: readonly Way[] = [
  way('a session', factory, stateful),
  way('a session of one server', one, stateful),
  way('a session of SDK 1', factoryV1, stateful),
  way('a session of one server of SDK 1', oneV1, stateful),
  way('2024-11-05', factory, sse, SSE),
  way('2024-11-05, SDK 1', factoryV1, sse, SSE),
  way('stateless', factory, stateless, STATELESS),
  way('stateless, SDK 1', factoryV1, stateless, STATELESS),
  way('2026-07-28', factory, modern),
  way('2026-07-28 with one server', one, modern),
  way('2026-07-28 by way of the SDK', bySdk, modern),
];
