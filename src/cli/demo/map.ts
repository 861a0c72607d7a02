/**
 * The other side: the same tool on the SDK's own transport, as its documentation mounts it. A `Map` holds a transport
 * for each session; a session that is not in it gets 404. Clients of 2026-07-28 get the SDK's `createMcpHandler`.
 */
import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { createMcpHandler, WebStandardStreamableHTTPServerTransport } from '@modelcontextprotocol/server';
import { createCounter, storeNothing } from './counter-tool.ts';
import { endWithParent, tellParent } from './with-parent.ts';

endWithParent();

const transports = new Map<string, WebStandardStreamableHTTPServerTransport>();
const modern = createMcpHandler(() => createCounter(storeNothing));

/** A counter in a closure: the memory of this process. */
function countInMemory(): (number: number) => number {
  let stored = 0;
  return (number) => {
    const before = stored;
    stored = Math.max(stored, number);
    return before;
  };
}

async function answer(request: Request): Promise<Response> {
  if (request.headers.get('mcp-protocol-version') === '2026-07-28') return modern.fetch(request);
  const id = request.headers.get('mcp-session-id');
  const known = id === null ? undefined : transports.get(id);
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

async function serve(req: IncomingMessage, res: ServerResponse): Promise<void> {
  if (req.url === '/healthz') return void res.end('ok\n');
  const left = new AbortController();
  res.once('close', () => left.abort());
  const body = req.method === 'POST' ? await text(req) : null;
  const headers = req.headers as Record<string, string>;
  const { method = 'GET', url = '/' } = req;
  const request = new Request(`http://127.0.0.1${url}`, { method, headers, body, signal: left.signal });
  const response = await answer(request);
  res.writeHead(response.status, [...response.headers].flat());
  res.flushHeaders();
  if (response.body === null) return void res.end();
  const stream = Readable.fromWeb(response.body as never);
  stream.on('error', () => res.destroy());
  res.once('close', () => stream.destroy());
  stream.pipe(res);
}

async function text(req: IncomingMessage): Promise<string> {
  let all = '';
  for await (const chunk of req.setEncoding('utf8')) all += chunk as string;
  return all;
}

const server = createServer((req, res) => void serve(req, res).catch(() => res.destroy()));
server.listen(0, '127.0.0.1', () => tellParent({ port: (server.address() as AddressInfo).port }));

/** The end of the SDK's examples: transports are closed. Running calls end before. */
function drain(): void {
  server.close(() => process.exit(0));
  for (const transport of transports.values()) void transport.close();
  server.closeIdleConnections();
}
process.on('SIGTERM', drain);
process.on('message', (message) => message === 'drain' && drain());
