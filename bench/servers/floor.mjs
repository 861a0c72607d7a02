import { AsyncLocalStorage } from 'node:async_hooks';
import { randomUUID } from 'node:crypto';
import { buildEchoServer } from './echo-server.mjs';
import { serve } from './serve.mjs';

// The floor of what a server on the SDK can cost: bare node:http, the SDK's own dispatch of a request, and one run of an
// AsyncLocalStorage. No check, no log, no stream. The answers of a turn leave together, which takes a third off a call.
// With BENCH_FLOOR=bare the SDK answers the first request of a method, and node:http alone the others, each at once.
const isBare = process.env.BENCH_FLOOR === 'bare';
const MODERN = '2026-07-28';
const current = new AsyncLocalStorage();
const sessions = new Map();
const results = new Map();

/** The SDK's server inside an `McpServer`, connected to a transport that passes answers to those who wait for them. */
async function connected(version) {
  const waiting = new Map();
  const { server } = buildEchoServer();
  if (version) server._negotiatedProtocolVersion = version;
  await server.connect({
    start: async () => {},
    close: async () => {},
    send: async (message) => {
      const take = waiting.get(message.id);
      waiting.delete(message.id);
      take(message);
    },
  });
  const ask = (message, take) => {
    waiting.set(message.id, take);
    server._onrequest(message, {});
  };
  return { ask: (message, take) => current.run(message, ask, message, take) };
}
const modern = await connected(MODERN);

async function opened() {
  const id = randomUUID();
  const session = await connected();
  sessions.set(id, session);
  return [session, { 'mcp-session-id': id }];
}

let due = [];
function flush() {
  const now = due;
  due = [];
  for (const send of now) send();
}
function together(send) {
  if (due.push(send) === 1) setImmediate(flush);
}

async function answer(text, req, res) {
  const message = typeof text === 'string' ? JSON.parse(text) : text;
  if (message.id === undefined) return res.writeHead(202).end();
  const { method } = message;
  const send = (said, headers = {}) => {
    const json = JSON.stringify(said);
    const own = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(json) };
    res.writeHead(200, { ...own, ...headers }).end(json);
  };
  const known = isBare ? results.get(method) : undefined;
  if (known) return send({ jsonrpc: '2.0', id: message.id, result: known });
  const [session, headers] =
    method === 'initialize'
      ? await opened()
      : [sessions.get(req.headers['mcp-session-id']) ?? modern];
  session.ask(message, (said) => {
    if (isBare) results.set(method, said.result);
    together(() => send(said, headers));
  });
}

serve((req, res) => {
  if (req.body !== undefined) return answer(req.body, req, res);
  let text = '';
  req.setEncoding('utf8');
  req.on('data', (chunk) => (text += chunk));
  req.on('end', () => answer(text, req, res));
});
