/** `endpoint.dashboard()` in the frameworks that people use, under a prefix: files, API and actions. */
import { createServer, type RequestListener } from 'node:http';
import { getRequestListener } from '@hono/node-server';
import express from 'express';
import fastify from 'fastify';
import { Hono } from 'hono';
import { expect, onTestFinished, test } from 'vitest';
import type { Dashboard } from '../../src/dashboard/server/options.ts';
import type { FleetPage, RecordRows, SessionRow } from '../../src/dashboard/wire.ts';
import { createEchoServer } from '../kit/echo-server.ts';
import { ACTION, ask, TOKEN, valueOf } from '../kit/dashboard.ts';
import { listening } from '../kit/listening.ts';
import { serve } from '../kit/serve.ts';

/** A server with the dashboard below `/ops/dashboard`. */
const FRAMEWORKS: Readonly<
  Record<string, (dashboard: Dashboard) => RequestListener | Promise<RequestListener>>
> = {
  'node:http': ({ node }) => node,
  Express: ({ node }) => express().use('/ops/dashboard', node),
  'Express behind a body parser': ({ node }) =>
    express().use(express.json()).use('/ops/dashboard', node),
  Hono: ({ fetch }) =>
    getRequestListener(new Hono().all('/ops/dashboard/*', (c) => fetch(c.req.raw)).fetch),
  'Hono, mounted': ({ fetch }) =>
    getRequestListener(new Hono().mount('/ops/dashboard', fetch).fetch),
  Fastify: async ({ node }) => {
    const app = fastify();
    app.all('/ops/dashboard/*', (request, reply) => {
      reply.hijack();
      node(request.raw, reply.raw);
    });
    await app.ready();
    onTestFinished(async () => app.close());
    return (req, res) => app.routing(req, res);
  },
};

test.each(Object.entries(FRAMEWORKS))(
  '%s serves all of it below a prefix',
  async (_name, listener) => {
    const { endpoint, openSession } = await serve(createEchoServer);
    const server = createServer(await listener(endpoint.dashboard({ token: TOKEN })));
    const port = Number(new URL(await listening(server)).port);
    const prefix = '/ops/dashboard';
    await ask(port, `${prefix}/`);
    await openSession();
    // The build has the page; the source has none.
    expect((await ask(port, `${prefix}/`)).headers['content-security-policy']).toContain(
      "frame-ancestors 'none'",
    );
    expect((await ask(port, `${prefix}/api/sessions`)).status).toBe(401);
    const page = await valueOf<RecordRows<SessionRow>>(port, 'sessions?cursor=', prefix);
    expect(page.rows).toHaveLength(1);
    const fleet = await valueOf<FleetPage>(port, 'fleet', prefix);
    expect(fleet).toMatchObject({ store: 'memory', instances: [{ figures: { sessions: 1 } }] });
    const end = `${prefix}/api/sessions/${page.rows[0]?.hash}/end`;
    expect((await ask(port, end, { method: 'POST', headers: ACTION, body: '{}' })).status).toBe(
      200,
    );
    expect(endpoint.sessions.liveCount).toBe(0);
  },
);

test('a Request of HTTP/2 has its host in the URL alone', async () => {
  const { endpoint } = await serve(createEchoServer, { allowedHosts: ['ops.example'] });
  const { fetch } = endpoint.dashboard({ token: TOKEN });
  const end = async (host: string): Promise<number> => {
    const headers = { origin: 'https://ops.example', ...ACTION };
    return (
      await fetch(
        new Request(`https://${host}/api/sessions/0123456789ab/end`, { method: 'POST', headers }),
      )
    ).status;
  };
  // Nothing is refused, and there is no such session.
  expect([await end('ops.example'), await end('evil.example')]).toEqual([404, 403]);
});
