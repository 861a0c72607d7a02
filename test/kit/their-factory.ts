/** A factory written for the SDK's `createMcpHandler`, without any knowledge of sojourn. */
import { McpServer, type McpServerFactory } from '@modelcontextprotocol/server';
import { z } from 'zod';

export const theirFactory: McpServerFactory = ({ era, authInfo, requestInfo }) => {
  const server = new McpServer({ name: 'theirs', version: '1' }, { capabilities: { resources: { subscribe: true } } });
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
  return server;
};
