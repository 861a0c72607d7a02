/** A factory written for the SDK's `createMcpHandler`, without any knowledge of sojourn. */
import {
  acceptedContent,
  createRequestStateCodec,
  inputRequired,
  McpServer,
  type McpServerFactory,
} from '@modelcontextprotocol/server';
import { z } from 'zod';

const codec = createRequestStateCodec({ key: 'k'.repeat(32) });
const named = z.object({ name: z.string() });
/** The state of each call of `wait`, by its name. */
export const waits = new Map<string, 'running' | 'aborted'>();

export const theirFactory: McpServerFactory = ({ era, authInfo, requestInfo }) => {
  const server = new McpServer(
    { name: 'theirs', version: '1' },
    { capabilities: { logging: {}, resources: { subscribe: true } }, requestState: { verify: codec.verify } },
  );
  server.registerTool(
    'add',
    { inputSchema: z.object({ a: z.number(), b: z.number() }), outputSchema: z.object({ sum: z.number() }) },
    ({ a, b }) => ({ content: [{ type: 'text', text: `${a + b}` }], structuredContent: { sum: a + b } }),
  );
  server.registerTool('fail', {}, () => {
    throw new Error('No luck');
  });
  server.registerTool('context', {}, (ctx) => {
    const seen = {
      era,
      client: authInfo?.clientId ?? null,
      same: ctx.http?.authInfo?.clientId === authInfo?.clientId,
      header: ctx.http?.req?.headers.get('x-tenant') ?? null,
      requestInfo: requestInfo?.headers.get('x-tenant') ?? null,
      path: new URL(ctx.http?.req?.url ?? 'http://x/').pathname,
    };
    return { content: [{ type: 'text', text: JSON.stringify(seen) }] };
  });
  server.registerTool('count', { inputSchema: z.object({ steps: z.number() }) }, async ({ steps }, ctx) => {
    const progressToken = ctx.mcpReq._meta?.progressToken;
    for (let progress = 1; progress <= steps; progress++) {
      if (progressToken !== undefined)
        await ctx.mcpReq.notify({
          method: 'notifications/progress',
          params: { progressToken, progress, total: steps },
        });
    }
    return { content: [{ type: 'text', text: `${steps}` }] };
  });
  server.registerTool('greet', {}, async (ctx) => {
    const state = ctx.mcpReq.requestState<{ greeting: string }>();
    const given = acceptedContent(ctx.mcpReq.inputResponses, 'who', named);
    if (state !== undefined && given !== undefined)
      return { content: [{ type: 'text', text: `${state.greeting}, ${given.name}` }] };
    return inputRequired({
      inputRequests: { who: inputRequired.elicit({ message: 'Who?', requestedSchema: named }) },
      requestState: await codec.mint({ greeting: 'Hello' }, ctx),
    });
  });
  server.registerTool(
    'wait',
    { inputSchema: z.object({ name: z.string() }) },
    ({ name }, ctx) =>
      new Promise((resolve) => {
        waits.set(name, 'running');
        ctx.mcpReq.signal.addEventListener('abort', () => {
          waits.set(name, 'aborted');
          resolve({ content: [] });
        });
      }),
  );
  server.registerPrompt('hello', { argsSchema: z.object({ name: z.string() }) }, ({ name }) => ({
    messages: [{ role: 'user', content: { type: 'text', text: `Hello ${name}` } }],
  }));
  server.registerResource('note', 'note://1', {}, (uri) => ({ contents: [{ uri: uri.href, text: 'noted' }] }));
  return server;
};
