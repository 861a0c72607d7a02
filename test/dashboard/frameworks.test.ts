/** `endpoint.dashboard()` in the frameworks that people use, under a prefix: files, API and actions. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { serve as serveHono } from '@hono/node-server';
import express from 'express';
import fastify from 'fastify';
import { Hono } from 'hono';
import { expect, onTestFinished, test } from 'vitest';
import type { Dashboard } from '../../src/dashboard/server/options.ts';
import type { FleetPage, RecordPage, SessionRow } from '../../src/dashboard/wire.ts';
import { createEchoServer } from '../kit/echo-server.ts';
import { ACTION, ask, TOKEN, valueOf } from '../kit/dashboard.ts';
import { serve } from '../kit/serve.ts';

async function listening(server: Server): Promise<number> {
  if (!server.listening) await once(server, 'listening');
  onTestFinished(async () => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  });
  return (server.address() as AddressInfo).port;
}

/** Each starts a server with the dashboard below `/ops/dashboard`. */
const FRAMEWORKS: Readonly<Record<string, (dashboard: Dashboard) => Promise<number>>> = {
  'node:http': async ({ node }) => listening(createServer(node).listen(0, '127.0.0.1')),
  Express: async ({ node }) => {
    const app = express();
    app.use('/ops/dashboard', node);
    return listening(app.listen(0, '127.0.0.1'));
  },
  'Express behind a body parser': async ({ node }) => {
    const app = express();
    app.use(express.json());
    app.use('/ops/dashboard', node);
    return listening(app.listen(0, '127.0.0.1'));
  },
  Hono: async ({ fetch }) => {
    const app = new Hono();
    app.all('/ops/dashboard/*', (c) => fetch(c.req.raw));
    return listening(serveHono({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }) as Server);
  },
  'Hono, mounted': async ({ fetch }) => {
    const app = new Hono();
    app.mount('/ops/dashboard', fetch);
    return listening(serveHono({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }) as Server);
  },
  Fastify: async ({ node }) => {
    const app = fastify();
    app.all('/ops/dashboard/*', (request, reply) => {
      reply.hijack();
      node(request.raw, reply.raw);
    });
    await app.listen({ port: 0, host: '127.0.0.1' });
    onTestFinished(async () => app.close());
    return (app.server.address() as AddressInfo).port;
  },
};

test.each(Object.entries(FRAMEWORKS))('%s serves all of it below a prefix', async (_name, start) => {
  const { endpoint, client } = await serve(createEchoServer);
  const port = await start(endpoint.dashboard({ token: TOKEN }));
  const prefix = '/ops/dashboard';
  await ask(port, `${prefix}/`);
  const session = client();
  await session.initialize();
  // The build has the page; the source has none.
  expect((await ask(port, `${prefix}/`)).headers['content-security-policy']).toContain("frame-ancestors 'none'");
  expect((await ask(port, `${prefix}/api/sessions`)).status).toBe(401);
  const page = await valueOf<RecordPage<SessionRow>>(port, 'sessions?cursor=', prefix);
  expect(page.rows).toHaveLength(1);
  const fleet = await valueOf<FleetPage>(port, 'fleet', prefix);
  expect(fleet).toMatchObject({ store: 'memory', instances: [{ figures: { sessions: 1 } }] });
  const end = `${prefix}/api/sessions/${page.rows[0]?.hash}/end`;
  expect((await ask(port, end, { method: 'POST', headers: ACTION, body: '{}' })).status).toBe(200);
  expect(endpoint.sessions.count).toBe(0);
});
