/** The official SDK 2: sessions in a Map, and `createMcpHandler` for clients of 2026-07-28, as `isLegacyRequest` shows. */
import { randomUUID } from 'node:crypto';
import { createMcpExpressApp } from '@modelcontextprotocol/express';
import {
  NodeStreamableHTTPServerTransport,
  toNodeHandler,
  toWebRequest,
} from '@modelcontextprotocol/node';
import {
  createMcpHandler,
  isInitializeRequest,
  isLegacyRequest,
} from '@modelcontextprotocol/server';
import { buildServer } from './second-line.mjs';

const transports = new Map();
const modern = toNodeHandler(
  createMcpHandler(() => buildServer({ hasSession: false }), { legacy: 'reject' }),
);

async function opened() {
  const transport = new NodeStreamableHTTPServerTransport({
    sessionIdGenerator: () => randomUUID(),
    onsessioninitialized: (id) => void transports.set(id, transport),
  });
  transport.onclose = () => transports.delete(transport.sessionId);
  let n = 0;
  await buildServer({ hasSession: true, count: () => (n += 1) }).connect(transport);
  return transport;
}

createMcpExpressApp()
  .all('/mcp', async (req, res) => {
    if (!(await isLegacyRequest(await toWebRequest(req, req.body), req.body)))
      return modern(req, res, req.body);
    const id = req.headers['mcp-session-id'];
    if (id === undefined && isInitializeRequest(req.body))
      return (await opened()).handleRequest(req, res, req.body);
    const transport = transports.get(id);
    if (transport === undefined) return res.status(id === undefined ? 400 : 404).end();
    return transport.handleRequest(req, res, req.body);
  })
  .listen(Number(process.env.PORT), '127.0.0.1');
