/** The default export is a server that was built once: it serves every session. */
import { currentSession } from 'sojourn';
import { McpServer } from '@modelcontextprotocol/server';
import { z } from 'zod';

const server = new McpServer({ name: 'one', version: '1.0.0' });
let calls = 0;
server.registerTool('who', { inputSchema: z.object({ name: z.string() }) }, ({ name }, ctx) => ({
  content: [
    { type: 'text', text: JSON.stringify([name, (calls += 1), currentSession()?.id ?? null, ctx.sessionId ?? null]) },
  ],
}));

export default server;
