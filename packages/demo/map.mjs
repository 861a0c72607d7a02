/**
 * The other side: the same tool on the SDK's own transport, as its documentation mounts it. A `Map` holds a transport
 * for each session; a session that is not in it gets 404. Clients of 2026-07-28 get the SDK's `createMcpHandler`.
 */
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import {
  createMcpHandler,
  WebStandardStreamableHTTPServerTransport,
} from '@modelcontextprotocol/server';
import { createCounter, endWithParent } from './counter-tool.mjs';

endWithParent();

const transports = new Map();
const modern = createMcpHandler(() => createCounter());

/** A counter in a closure: the memory of this process. */
function countInMemory() {
  let stored = 0;
  return (number) => {
    const before = stored;
    stored = Math.max(stored, number);
    return before;
  };
}

async function answer(request) {
  if (request.headers.get('mcp-protocol-version') === '2026-07-28') return modern.fetch(request);
  const id = request.headers.get('mcp-session-id');
  const known = transports.get(id);
  if (known !== undefined) return known.handleRequest(request);
  if (id !== null) {
    const error = { code: -32_001, message: 'Session not found' };
    return Response.json({ jsonrpc: '2.0', error, id: null }, { status: 404 });
  }
  const transport = new WebStandardStreamableHTTPServerTransport({
    sessionIdGenerator: () => randomUUID(),
    onsessioninitialized: (sessionId) => void transports.set(sessionId, transport),
    onsessionclosed: (sessionId) => void transports.delete(sessionId),
  });
  await createCounter(countInMemory()).connect(transport);
  return transport.handleRequest(request);
}

async function serve(req, res) {
  if (req.url === '/healthz') return void res.end('ok\n');
  const left = new AbortController();
  res.once('close', () => left.abort());
  const body = req.method === 'POST' ? await text(req) : null;
  const request = new Request(`http://127.0.0.1${req.url}`, {
    method: req.method,
    headers: req.headers,
    body,
    signal: left.signal,
  });
  const response = await answer(request);
  res.writeHead(response.status, [...response.headers].flat()).flushHeaders();
  if (response.body === null) return void res.end();
  const stream = Readable.fromWeb(response.body).on('error', () => res.destroy());
  res.once('close', () => stream.destroy());
  stream.pipe(res);
}

const server = createServer((req, res) => void serve(req, res).catch(() => res.destroy()));
server.listen(Number(process.argv[2]), '127.0.0.1', () => console.log('listening'));

// The end of the SDK's examples: transports are closed. Running calls end before.
process.on('SIGTERM', () => {
  server.close(() => process.exit(0));
  for (const transport of transports.values()) void transport.close();
  server.closeIdleConnections();
});
