/** SDK 1 as its example `simpleStreamableHttp` has it, without what it logs. */
import { randomUUID } from 'node:crypto';
import { InMemoryEventStore } from '@modelcontextprotocol/sdk/examples/shared/inMemoryEventStore.js';
import { createMcpExpressApp } from '@modelcontextprotocol/sdk/server/express.js';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { isInitializeRequest } from '@modelcontextprotocol/sdk/types.js';
import * as z from 'zod';
import { QUESTION, ran, READ_ONLY, slowly, text } from './tools.mjs';

const inputSchema = { nonce: z.string() };
const transports = new Map();

function getServer() {
  const server = new McpServer({ name: 'kills', version: '1.0.0' });
  let n = 0;
  server.registerTool('echo', { inputSchema, annotations: READ_ONLY }, ({ nonce }) => text(nonce));
  server.registerTool('slow', { inputSchema, annotations: READ_ONLY }, async ({ nonce }) =>
    text(await slowly(nonce)),
  );
  server.registerTool('count', { inputSchema }, ({ nonce }) => {
    ran('count', nonce);
    return text((n += 1));
  });
  server.registerTool('ask', { inputSchema }, async ({ nonce }, { requestId }) => {
    const { content } = await server.server.elicitInput(QUESTION, { relatedRequestId: requestId });
    ran('ask', nonce);
    return text(content.colour);
  });
  return server;
}

async function opened() {
  const transport = new StreamableHTTPServerTransport({
    sessionIdGenerator: () => randomUUID(),
    eventStore: new InMemoryEventStore(),
    onsessioninitialized: (id) => void transports.set(id, transport),
  });
  transport.onclose = () => transports.delete(transport.sessionId);
  await getServer().connect(transport);
  return transport;
}

const refusal = (code, message) => ({ jsonrpc: '2.0', error: { code, message }, id: null });
createMcpExpressApp()
  .all('/mcp', async (req, res) => {
    const id = req.headers['mcp-session-id'];
    if (id === undefined && isInitializeRequest(req.body))
      return (await opened()).handleRequest(req, res, req.body);
    if (id === undefined)
      return res.status(400).json(refusal(-32000, 'Bad Request: No valid session ID provided'));
    const transport = transports.get(id);
    if (transport === undefined) return res.status(404).json(refusal(-32001, 'Session not found'));
    return transport.handleRequest(req, res, req.body);
  })
  .listen(Number(process.env.PORT), '127.0.0.1');
