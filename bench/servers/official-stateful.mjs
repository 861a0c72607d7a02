import { randomUUID } from 'node:crypto';
import { NodeStreamableHTTPServerTransport } from '@modelcontextprotocol/node';
import { buildEchoServer } from './echo-server.mjs';
import { serve } from './serve.mjs';

// The official transport as its documentation mounts it with sessions: a Map of transports, a server per session.
const transports = new Map();

serve(async (req, res) => {
  const id = req.headers['mcp-session-id'];
  const known = id === undefined ? undefined : transports.get(id);
  if (known) return known.handleRequest(req, res, req.body);
  if (id !== undefined) return res.writeHead(404).end();
  const transport = new NodeStreamableHTTPServerTransport({
    sessionIdGenerator: () => randomUUID(),
    onsessioninitialized: (sessionId) => {
      transports.set(sessionId, transport);
    },
  });
  transport.onclose = () => transports.delete(transport.sessionId);
  await buildEchoServer().connect(transport);
  return transport.handleRequest(req, res, req.body);
});
