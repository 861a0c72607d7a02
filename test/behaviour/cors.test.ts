/** Browsers, middleware around the endpoint, and headers of the client's own. */
import { createServer } from 'node:http';
import { getRequestListener } from '@hono/node-server';
import {
  Client as ClientV2,
  StreamableHTTPClientTransport as TransportV2,
} from '@modelcontextprotocol/client';
import { describe, expect, onTestFinished, test } from 'vitest';
import { createMcpEndpoint } from '../../src/index.ts';
import type { RawClient, RawHeaders } from '../kit/raw-client.ts';
import type { RawResponse } from '../kit/raw-response.ts';
import { createEchoServer } from '../kit/echo-server.ts';
import { createLab } from '../kit/lab.ts';
import { createLog } from '../kit/log.ts';
import { type Face, faces, serve, userHeader } from '../kit/serve.ts';
import { said, toolServer } from '../kit/tool-server.ts';
import { until } from '../kit/until.ts';
import { clientBehind } from '../kit/listening.ts';
import { perFace } from '../kit/sessions.ts';

async function options(client: RawClient, headers: RawHeaders): Promise<RawResponse> {
  const { request, response } = client.start('OPTIONS', { headers });
  request.end();
  return response;
}

const preflight = (
  client: RawClient,
  origin: string,
  more: RawHeaders = {},
): Promise<RawResponse> =>
  options(client, { origin, 'access-control-request-method': 'POST', ...more });

/** Everything that a browser would read a permission from. */
const permissions = (response: RawResponse): Record<string, string> =>
  Object.fromEntries(
    response.rawHeaders
      .map(([name, value]): [string, string] => [name.toLowerCase(), value])
      .filter(([name]) => name.startsWith('access-control-')),
  );

test('B195 middleware finds the session id in the request before and in the response after, and keeps what it set', async () => {
  const endpoint = createMcpEndpoint(createEchoServer, { logger: createLog() });
  const seen: unknown[] = [];
  const server = createServer((req, res) => {
    res.setHeader('X-Middleware', 'was here');
    res.on('finish', () => {
      const after = [
        res.statusCode,
        res.getHeader('mcp-session-id'),
        res.getHeader('content-type'),
      ];
      seen.push([req.method, req.headers['mcp-session-id'], ...after]);
    });
    endpoint.node(req, res);
  });
  const client = await clientBehind(server, endpoint, { path: '/' });
  const { response } = await client.initialize({ initialized: false });
  const id = client.sessionId;
  const responses = [
    response,
    await client.notify('notifications/initialized'),
    await client.post({ bad: true }),
  ];
  const get = await client.get();
  responses.push(get, await client.delete());
  await get.untilEnd();
  await until(() => seen.length === 5);
  expect(responses.map((one) => one.header('x-middleware'))).toEqual(
    Array.from({ length: 5 }, () => 'was here'),
  );
  expect(seen).toHaveLength(5);
  expect(seen).toEqual(
    expect.arrayContaining([
      ['POST', undefined, 200, id, 'text/event-stream'],
      ['POST', id, 202, id, undefined],
      ['POST', id, 400, undefined, 'application/json'],
      ['GET', id, 200, id, 'text/event-stream'],
      ['DELETE', id, 200, undefined, undefined],
    ]),
  );
});

test('B195 so does middleware around fetch', async () => {
  const endpoint = createMcpEndpoint(createEchoServer, { logger: createLog() });
  const seen: unknown[] = [];
  const listener = getRequestListener(
    async (request) => {
      const response = await endpoint.fetch(request);
      seen.push([
        request.headers.get('mcp-session-id'),
        response.status,
        response.headers.get('mcp-session-id'),
      ]);
      return response;
    },
    { overrideGlobalObjects: false },
  );
  const server = createServer((req, res) => void listener(req, res));
  const client = await clientBehind(server, endpoint, { path: '/' });
  await client.initialize();
  await client.call('ping');
  const id = client.sessionId;
  expect(seen).toEqual([
    [null, 200, id],
    [id, 202, id],
    [id, 200, id],
  ]);
});

describe.each<Face>([...faces, 'listen'])('B196 the face %s', (face) => {
  const allowedOrigins = ['https://app.example'];

  test.each<[string, RawHeaders, string]>([
    [
      'the headers that are asked for',
      { 'access-control-request-headers': 'content-type,mcp-session-id,x-own' },
      'content-type,mcp-session-id,x-own',
    ],
    [
      'its own, when none are asked for',
      {},
      'Content-Type, Accept, Authorization, Mcp-Session-Id, MCP-Protocol-Version, Last-Event-ID, Mcp-Method, Mcp-Name',
    ],
  ])('answers the preflight of an allowed origin with %s', async (_, headers, allowed) => {
    const { client } = await serve(createEchoServer, { allowedOrigins }, { face });
    const response = await preflight(client(), 'https://app.example', headers);
    expect(response.status).toBe(204);
    expect(response.header('vary')).toBe('Origin');
    expect(permissions(response)).toEqual({
      'access-control-allow-origin': 'https://app.example',
      'access-control-allow-methods': 'GET, POST, DELETE',
      'access-control-allow-headers': allowed,
      'access-control-expose-headers': 'Mcp-Session-Id, WWW-Authenticate, Retry-After',
      'access-control-max-age': '600',
    });
    expect(response.body).toBe('');
  });

  test('exposes the session id to an allowed origin, in answers, streams and refusals', async () => {
    const { client } = await serve(createEchoServer, { allowedOrigins }, { face });
    const browser = client({ headers: { origin: 'https://app.example' } });
    const { response } = await browser.initialize();
    const get = await browser.get();
    const refused = await browser.post('{');
    expect([response.status, get.status, refused.status]).toEqual([200, 200, 400]);
    for (const one of [response, get, refused]) {
      expect(permissions(one)).toEqual({
        'access-control-allow-origin': 'https://app.example',
        'access-control-expose-headers': 'Mcp-Session-Id, WWW-Authenticate, Retry-After',
      });
    }
  });

  test('gives a foreign origin nothing, and a client without origin no CORS header', async () => {
    const { client } = await serve(createEchoServer, { allowedOrigins }, { face });
    for (const origin of ['https://evil.example', 'https://app.example.evil.example', 'null', '']) {
      const asked = await preflight(client(), origin);
      const { response } = await client({ headers: { origin } }).initialize();
      expect([asked.status, permissions(asked), response.status, permissions(response)]).toEqual([
        403,
        {},
        403,
        {},
      ]);
    }
    const { response } = await client().initialize();
    expect([response.status, response.header('vary'), permissions(response)]).toEqual([
      200,
      undefined,
      {},
    ]);
    expect((await options(client(), { origin: 'https://app.example' })).status).toBe(405);
  });
});

test('B196 a CORS header that middleware has set stays', async () => {
  const endpoint = createMcpEndpoint(createEchoServer, {
    logger: createLog(),
    allowedOrigins: ['https://app.example'],
  });
  const server = createServer((req, res) => {
    res
      .setHeader('Access-Control-Expose-Headers', 'Mcp-Session-Id, X-Own')
      .setHeader('Vary', 'Cookie');
    endpoint.node(req, res);
  });
  const client = await clientBehind(server, endpoint, {
    path: '/',
    headers: { origin: 'https://app.example' },
  });
  const { response } = await client.initialize();
  expect(permissions(response)).toEqual({
    'access-control-allow-origin': 'https://app.example',
    'access-control-expose-headers': 'Mcp-Session-Id, X-Own',
  });
  expect(
    response.rawHeaders.filter(([name]) => name.toLowerCase() === 'vary').map(([, value]) => value),
  ).toEqual(['Cookie', 'Origin']);
});

/** Without `x-user` a session has another owner: each method works only because its header arrived. */
test.each(perFace)(
  'B197 over $face, a header of the client’s own reaches the server on GET, POST and DELETE',
  async ({ serve }) => {
    const lab = createLab((server) => {
      server.registerTool('key', {}, (call) => said(call.http?.req?.headers.get('x-user')));
    });
    const { url, endpoint } = await serve(lab.factory, {}, { auth: userHeader });
    const ended: unknown[] = [];
    endpoint.notices.on('sessionEnded', ({ reason }) => ended.push(reason));
    const client = new ClientV2({ name: 'v2', version: '1' });
    onTestFinished(() => client.close());
    let changes = 0;
    client.setNotificationHandler('notifications/tools/list_changed', () => void (changes += 1));
    const transport = new TransportV2(new URL(url), {
      requestInit: { headers: { 'X-User': 'sesame' } },
    });
    await client.connect(transport);
    expect(await client.callTool({ name: 'key' })).toMatchObject({ content: [{ text: 'sesame' }] });
    // Its GET is opened in the background; a notification before that is dropped.
    await until(() => {
      lab.made[0]?.server.sendToolListChanged();
      return changes > 0;
    });
    await transport.terminateSession();
    expect([ended, endpoint.sessions.liveCount]).toEqual([['deleted'], 0]);
  },
);

test('B197 a header that came twice is one value for the handler', async () => {
  const { openSession } = await serve(
    toolServer({ key: (_args, ctx) => said(ctx.http?.req?.headers.get('x-key')) }),
  );
  const one = await openSession({}, { headers: { 'x-key': ['a', 'b'] } });
  const { message } = await one.call('tools/call', { name: 'key', arguments: {} });
  expect(message.result).toMatchObject({ content: [{ text: 'a, b' }] });
});
