/**
 * Every way of a request into a server, for the tests of `middleware`: each version of the SDK, as a factory and as
 * one server, in each era.
 */
import { McpServer, type ServerContext } from '@modelcontextprotocol/server';
import { z } from 'zod';
import type { McpEndpointFactory, McpEndpointOptions } from '../../src/index.ts';
import type { JsonRpcAnswer } from './raw-client.ts';
import { type Giving, givings } from './making-servers.ts';
import type { Served } from './serve.ts';
import { said } from './tool-server.ts';
import { anyone, type Kind, start } from './ways.ts';

/** Calls a method of the server, and resolves with the answer. */
export type Ask = (method: string, params?: object) => Promise<JsonRpcAnswer>;

/** What the handler of the tool `add` runs. `signal`: aborts with its request. */
export type Add = (sum: number, signal: AbortSignal) => unknown;

/** Wraps the handler of `add`, of either version of the SDK. */
export type Wrap = <Given extends unknown[], Result>(
  handler: (...given: Given) => Promise<Result>,
) => (...given: Given) => Promise<Result>;

const bare: Wrap = (handler) => handler;

interface Sum {
  readonly a: number;
  readonly b: number;
}

const inputSchema = z.object({ a: z.number(), b: z.number() });

/** Both versions register alike, but for the arguments of a prompt; the first one gives the signal itself. */
function fill(server: McpServer, sdk: 1 | 2, add: Add, wrap: Wrap): void {
  const signalOf = (ctx: ServerContext): AbortSignal =>
    ctx.mcpReq?.signal ?? (ctx as unknown as { signal: AbortSignal }).signal;
  const run = wrap(async ({ a, b }: Sum, ctx: ServerContext) =>
    said(await add(a + b, signalOf(ctx))),
  );
  server.registerTool('add', { inputSchema }, run);
  const shape = { who: z.string() };
  const argsSchema = (sdk === 1 ? shape : z.object(shape)) as z.ZodObject<typeof shape>;
  server.registerPrompt('greet', { argsSchema }, ({ who }) => greeting(who));
  server.registerResource('note', 'note://a', {}, () => ({
    contents: [{ uri: 'note://a', text: 'a' }],
  }));
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
  open(add: Add, options: McpEndpointOptions, wrap?: Wrap): Promise<{ ask: Ask; served: Served }>;
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

function way(name: string, { sdk, give }: Giving, kind: Kind): Way {
  return {
    name,
    era: kind === MODERN ? 'modern' : 'legacy',
    inSession: kind === SESSION || kind === SSE,
    named: kind !== STATELESS,
    open: async (add, options, wrap = bare) => {
      const given = give((server) => fill(server, sdk, add, wrap));
      const { send, served } = await start(kind, anyone(options), {
        ran: [],
        factory: given as McpEndpointFactory,
      });
      const ask: Ask = async (method, params = {}) =>
        (await send(method, { ...params }, '')).answer();
      return { served, ask };
    },
  };
}

const SESSION: Kind = { version: '2025-11-25' };
const STATELESS: Kind = { options: { sessionMode: 'stateless' } };
const SSE: Kind = { transport: 'legacy SSE', options: { legacySse: true } };
const MODERN: Kind = { transport: '2026-07-28' };

export const ways: readonly Way[] = [
  way('a session', factory, SESSION),
  way('a session of one server', one, SESSION),
  way('a session of SDK 1', factoryV1, SESSION),
  way('a session of one server of SDK 1', oneV1, SESSION),
  way('2024-11-05', factory, SSE),
  way('2024-11-05, SDK 1', factoryV1, SSE),
  way('stateless', factory, STATELESS),
  way('stateless, SDK 1', factoryV1, STATELESS),
  way('2026-07-28', factory, MODERN),
  way('2026-07-28 with one server', one, MODERN),
  way('2026-07-28 by way of the SDK', bySdk, MODERN),
];
