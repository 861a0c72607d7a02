/** The ways of mounting an endpoint that docs/guide/mounting.md shows, each used by the official clients. */
import { createServer, type RequestListener } from 'node:http';
import { gzipSync } from 'node:zlib';
import { getRequestListener } from '@hono/node-server';
import express from 'express';
import Fastify, { type FastifyInstance } from 'fastify';
import { Hono } from 'hono';
import { cors } from 'hono/cors';
import { afterAll, describe, expect, onTestFinished, test } from 'vitest';
import * as nextRoute from '../../../examples/nextjs/app/mcp/route.ts';
import { createMcpEndpoint, currentRequest, type McpEndpoint } from '../../../src/index.ts';
import { connectNegotiating, sessionClients, sseClients } from '../../clients/official.ts';
import { until } from '../../kit/until.ts';
import { createLab } from '../../kit/lab.ts';
import { handshake } from '../../kit/legacy-sse.ts';
import { listening, openClient } from '../../kit/listening.ts';

/** The example of Next.js adds a listener to each. */
const SIGNALS = ['SIGTERM', 'SIGINT'] as const;
const othersListen = SIGNALS.flatMap((signal) => process.listeners(signal));
afterAll(() => {
  for (const signal of SIGNALS)
    for (const listener of process.listeners(signal))
      if (!othersListen.includes(listener)) process.off(signal, listener);
});

/** Serves `listener` until the test is over; resolves with its origin. */
const listen = (listener: RequestListener, endpoint?: McpEndpoint): Promise<string> =>
  listening(createServer(listener), () => endpoint?.close());

type Mount = (endpoint: McpEndpoint) => RequestListener | Promise<RequestListener>;

function onFetch(handle: (request: Request) => Response | Promise<Response>): RequestListener {
  const listener = getRequestListener(handle, { overrideGlobalObjects: false });
  return (req, res) => void listener(req, res);
}

const onHono = (app: Hono): RequestListener => onFetch(app.fetch);

/** Fastify as a listener: its own `listen` binds what others bind too. */
async function onFastify(app: FastifyInstance): Promise<RequestListener> {
  await app.ready();
  onTestFinished(() => app.close());
  return (req, res) => app.routing(req, res);
}

const mounts: Array<[name: string, path: string, mount: Mount]> = [
  ['Express', '/mcp', (endpoint) => express().all('/mcp', endpoint.node)],
  [
    'Express behind express.json()',
    '/mcp',
    (endpoint) => express().use(express.json()).all('/mcp', endpoint.node),
  ],
  [
    'an Express router under a prefix',
    '/api/v1/mcp',
    (endpoint) => express().use('/api/v1', express.Router().use('/mcp', endpoint.node)),
  ],
  [
    'Fastify with its body parser',
    '/mcp',
    (endpoint) => {
      const app = Fastify();
      app.all('/mcp', (request, reply) =>
        endpoint.node(request.raw, reply.hijack().raw, request.body),
      );
      return onFastify(app);
    },
  ],
  [
    'Fastify without a body parser, under a prefix',
    '/api/mcp',
    (endpoint) => {
      const app = Fastify();
      app.register(
        async (scope) => {
          scope.removeAllContentTypeParsers();
          scope.addContentTypeParser('*', (_request, _payload, done) => done(null));
          scope.all('/mcp', (request, reply) => endpoint.node(request.raw, reply.hijack().raw));
        },
        { prefix: '/api' },
      );
      return onFastify(app);
    },
  ],
  ['Hono', '/mcp', (endpoint) => onHono(new Hono().all('/mcp', (c) => endpoint.fetch(c.req.raw)))],
  [
    'a Hono route under a prefix, behind CORS and whatever reads the body',
    '/api/mcp',
    (endpoint) =>
      onHono(
        new Hono()
          .basePath('/api')
          .use(cors({ origin: 'http://localhost:5173', exposeHeaders: ['Mcp-Session-Id'] }))
          .all('/mcp', async (c) => {
            const parsedBody: unknown = c.req.method === 'POST' ? await c.req.json() : undefined;
            return endpoint.fetch(c.req.raw, { parsedBody });
          }),
      ),
  ],
  [
    'node:http',
    '/mcp',
    (endpoint) => (req, res) => {
      if (req.url === '/mcp') endpoint.node(req, res);
      else res.writeHead(404).end('Nothing here. Try /mcp.\n');
    },
  ],
];

describe.each(mounts)('mounted in %s', (_name, path, mount) => {
  const open = async () => {
    const lab = createLab();
    const endpoint = createMcpEndpoint(lab.factory, { legacySse: true, retryMs: 5, logger: false });
    return { lab, endpoint, url: `${await listen(await mount(endpoint), endpoint)}${path}` };
  };

  test.each(sessionClients)('serves a session to the %s client', async (_line, connect) => {
    const { lab, endpoint, url } = await open();
    const { say, listening, notifications, terminate } = await connect(url, {
      elicit: () => ({ action: 'accept', content: { colour: 'green' } }),
    });
    await listening;
    expect(await say('echo', { text: 'hello' })).toBe('hello');
    expect(await say('ask')).toBe('accept {"colour":"green"}');
    await lab.made[0]?.server.sendLoggingMessage({ level: 'info', data: 'hello' });
    await until(() => notifications('notifications/message').length === 1, {
      what: 'a message on the GET stream',
    });
    await terminate();
    expect(endpoint.sessions.liveCount).toBe(0);
  });

  test('serves 2026-07-28', async () => {
    const { url } = await open();
    const { say, protocolVersion } = await connectNegotiating(url);
    expect(protocolVersion()).toBe('2026-07-28');
    expect(await say('echo', { text: 'hello' })).toBe('hello');
  });
});

// Only where the route takes every path below it.
const withPaths: typeof mounts = [
  [
    'Express behind express.json()',
    '/mcp',
    (endpoint) => express().use(express.json()).use('/mcp', endpoint.node),
  ],
  [
    'an Express router',
    '/api/mcp',
    (endpoint) => express().use('/api', express.Router().use('/mcp', endpoint.node)),
  ],
  [
    'Hono',
    '/mcp',
    (endpoint) => onHono(new Hono().all('/mcp/*', (c) => endpoint.fetch(c.req.raw))),
  ],
];

describe.each(withPaths)('B170 the 2024-11-05 transport mounted in %s', (_name, path, mount) => {
  test.each(sseClients)('serves the %s client', async (_line, connect) => {
    const endpoint = createMcpEndpoint(createLab().factory, { legacySse: true, logger: false });
    const { say } = await connect(`${await listen(await mount(endpoint), endpoint)}${path}`);
    expect(await say('echo', { text: 'hello' })).toBe('hello');
  });
});

test('handlers find the Express request', async () => {
  const found: unknown[] = [];
  const endpoint = createMcpEndpoint(
    (ctx) => {
      const server = createLab().factory(ctx);
      server.registerTool('look', {}, () => {
        const request = currentRequest();
        found.push(
          request?.node?.req.headers['x-tenant'],
          request?.headers.get('x-tenant'),
          request?.url,
        );
        return { content: [] };
      });
      return server;
    },
    { logger: false },
  );
  const url = `${await listen(express().use('/a', express.Router().use('/mcp', endpoint.node)), endpoint)}/a/mcp`;
  const client = openClient(url, { headers: { 'x-tenant': 'acme' } });
  await client.initialize();
  await client.call('tools/call', { name: 'look', arguments: {} });
  expect(found).toEqual(['acme', 'acme', url]);
});

test.each<[string, (endpoint: McpEndpoint) => RequestListener | Promise<RequestListener>, RegExp?]>(
  [
    ['express.text()', ({ node }) => express().use(express.text({ type: '*/*' }), node)],
    ['express.raw()', ({ node }) => express().use(express.raw({ type: '*/*' }), node)],
    [
      "Fastify's parser as string",
      ({ node }) => {
        const app = Fastify();
        app.removeAllContentTypeParsers();
        app.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) =>
          done(null, body),
        );
        app.all('/', (request, reply) => node(request.raw, reply.hijack().raw, request.body));
        return onFastify(app);
      },
    ],
    [
      'code that keeps the body',
      ({ node }) =>
        (req, res) =>
          void req.resume().on('end', () => node(req, res)),
      /other code has read the request body: pass what it made of it as parsedBody/,
    ],
    [
      'code that keeps the body, over fetch',
      ({ fetch }) =>
        onFetch(async (request) => {
          await request.text();
          return fetch(request);
        }),
      /pass what it made of it as parsedBody/,
    ],
  ],
)('a body behind %s is parsed, or the answer says to pass it on', async (_what, mount, message) => {
  const endpoint = createMcpEndpoint(createLab().factory, { logger: false });
  const sent = await openClient(await listen(await mount(endpoint), endpoint)).post(
    handshake(1, '2025-11-25'),
  );
  expect([sent.status, sent.body]).toEqual(
    message === undefined
      ? [200, expect.stringContaining('serverInfo')]
      : [400, expect.stringMatching(message)],
  );
});

test('a body that express.json() has decoded is served, handed over or not', async () => {
  const endpoint = createMcpEndpoint(createLab().factory, { logger: false });
  const app = express().use(express.json()).all('/mcp', endpoint.node);
  const origin = await listen(
    app.all('/given', (req, res) => endpoint.node(req, res, req.body)),
    endpoint,
  );
  for (const path of ['/mcp', '/given']) {
    const body = gzipSync(JSON.stringify(handshake(1, '2025-11-25')));
    const sent = await openClient(origin + path).post(body, {
      headers: { 'content-encoding': 'gzip' },
    });
    expect(sent.status).toBe(200);
  }
});

test.each(sessionClients)('examples/nextjs serves the %s client', async (_line, connect) => {
  const { GET, POST, DELETE, OPTIONS } = nextRoute;
  const handlers: Record<string, (request: Request) => Promise<Response>> = {
    GET,
    POST,
    DELETE,
    OPTIONS,
  };
  // Next.js answers other methods by itself, OPTIONS too.
  const url = await listen(
    onFetch((request) => handlers[request.method]?.(request) ?? new Response()),
  );
  const page = { origin: 'http://localhost:6274', 'access-control-request-method': 'POST' };
  expect((await fetch(`${url}/mcp`, { method: 'OPTIONS', headers: page })).status).toBe(204);
  const { say, listening, terminate } = await connect(`${url}/mcp`);
  await listening;
  expect(await say('greet', { name: 'Ada' })).toBe('Hello Ada!');
  await terminate();
});
