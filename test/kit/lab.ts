/**
 * Servers that a test controls and inspects. Every call of `hold` waits until the test answers it, and the factory's
 * arguments are kept. Each other tool shows one behaviour.
 */
import { McpServer, type ServerContext, type ServerOptions } from '@modelcontextprotocol/server';
import { z } from 'zod';
import { currentSession, type McpEndpointContext, type McpSession } from '../../src/index.ts';
import type { RawClient } from './raw-client.ts';
import type { RawResponse } from './raw-response.ts';
import type { Message } from './sse-parser.ts';
import { said } from './tool-server.ts';
import { until } from './until.ts';

/** One server that the factory created. */
interface Made {
  readonly ctx: McpEndpointContext;
  readonly server: McpServer;
  closed: boolean;
}

/** A waiting call of `hold`. */
export interface Held {
  readonly ctx: ServerContext;
  readonly session: McpSession | undefined;
  /** The server that runs it. */
  readonly made: Made;
  /** Progress of the call; without a token, of the token `none`. */
  progress(n: number): Promise<void>;
  answer(text: string): void;
}

export interface Lab {
  readonly factory: (ctx: McpEndpointContext) => McpServer;
  /** In the order of creation. */
  readonly made: Made[];
  /** Every call of `hold` so far. */
  readonly holds: Held[];
  /** The n-th call of `hold`, from 0, once it runs. */
  held(n?: number): Promise<Held>;
}

const question = {
  message: 'Which colour?',
  requestedSchema: { type: 'object' as const, properties: { colour: { type: 'string' as const } } },
};

async function describe(
  session: McpSession | undefined,
  { restored }: McpEndpointContext,
  server: McpServer,
) {
  return said(
    JSON.stringify({
      id: session?.id,
      user: session?.userKey,
      version: session?.protocolVersion,
      clientInfo: server.server.getClientVersion(),
      capabilities: server.server.getClientCapabilities(),
      restored,
    }),
  );
}

/** `onServer` adds the test's own tools to each server, `optionsOf` options of it. */
export function createLab(
  onServer: (server: McpServer, ctx: McpEndpointContext) => void = () => {},
  optionsOf: (ctx: McpEndpointContext) => ServerOptions = () => ({}),
): Lab {
  const made: Made[] = [];
  const holds: Held[] = [];

  const factory = (ctx: McpEndpointContext): McpServer => {
    const server = new McpServer(
      { name: 'lab', version: '1.0.0' },
      {
        ...ctx.serverOptions,
        capabilities: { logging: {}, resources: { subscribe: true, listChanged: true } },
        ...optionsOf(ctx),
      },
    );
    const entry: Made = { ctx, server, closed: false };
    made.push(entry);
    server.server.onclose = () => {
      entry.closed = true;
    };
    const hold = (call: ServerContext) =>
      new Promise<ReturnType<typeof said>>((resolve) => {
        const progressToken = call.mcpReq._meta?.progressToken ?? 'none';
        holds.push({
          ctx: call,
          session: currentSession(),
          made: entry,
          progress: (progress) =>
            call.mcpReq.notify({
              method: 'notifications/progress',
              params: { progressToken, progress },
            }),
          answer: (text) => resolve(said(text)),
        });
      });
    server.registerTool('hold', { description: 'Waits' }, hold);
    server.registerTool('echo', { inputSchema: z.object({ text: z.string() }) }, ({ text }) =>
      said(text),
    );
    server.registerTool('who', { description: 'Who is calling' }, () =>
      describe(currentSession(), ctx, server),
    );
    server.registerTool('count', { description: 'Counts in session.state' }, async () =>
      said(String(await currentSession()?.state.update('count', (n = 0) => n + 1))),
    );
    server.registerTool('ask', { description: 'Elicits' }, async (call) => {
      const { action, content } = await call.mcpReq.elicitInput(question);
      return said(`${action} ${JSON.stringify(content)}`);
    });
    server.registerTool('log', { description: 'Logs at debug and at error' }, async (call) => {
      await call.mcpReq.log('debug', 'small');
      await call.mcpReq.log('error', 'big');
      return said('logged');
    });
    server.registerResource('note', 'note://a', {}, () => ({
      contents: [{ uri: 'note://a', text: 'a' }],
    }));
    server.server.setRequestHandler('resources/subscribe', () => ({}));
    server.server.setRequestHandler('resources/unsubscribe', () => ({}));
    onServer(server, ctx);
    return server;
  };

  return {
    factory,
    made,
    holds,
    held: (n = 0) => until(() => holds[n] as Held, { what: `call ${n} of hold` }),
  };
}

/** The text of a tool's answer. */
export function textOf(message: unknown): string | undefined {
  return (message as Message).result?.['content']?.[0]?.text as string | undefined;
}

/** What a stream's events said: texts of answers, progress, data of log messages; else the message itself. */
export const saidOn = ({ messages }: Pick<RawResponse, 'messages'>): unknown[] =>
  messages.map(
    (message) =>
      textOf(message) ?? message.params?.['progress'] ?? message.params?.['data'] ?? message,
  );

/** The numbers `n` in the data of a stream's log messages. */
export const numbersOn = (stream: Parameters<typeof saidOn>[0]): number[] =>
  saidOn(stream).flatMap((data) => (data as { n?: number }).n ?? []);

export const upTo = (end: number, from = 0): number[] =>
  Array.from({ length: end - from }, (_, i) => from + i);

/** `tools/call`, for `client.call`. */
export function tool(
  name: string,
  args: object = {},
): ['tools/call', { name: string; arguments: object }] {
  return ['tools/call', { name, arguments: args }];
}

/** Calls a tool; resolves with the text of its answer. */
export async function say(
  client: RawClient,
  name: string,
  args?: object,
): Promise<string | undefined> {
  return textOf((await client.call(...tool(name, args))).message);
}

/** The same as a whole message. */
export const toolCall = (id: number | string, name: string, args: object = {}, meta?: object) => ({
  jsonrpc: '2.0',
  id,
  method: 'tools/call',
  params: { name, arguments: args, ...(meta && { _meta: meta }) },
});
