/** What is refused before anything is read: foreign origins and hosts, and methods that there are not. */
import { describe, expect, test } from 'vitest';
import type { RawClient } from '../kit/raw-client.ts';
import type { RawResponse } from '../kit/raw-response.ts';
import { createEchoServer } from '../kit/echo-server.ts';
import { openClient } from '../kit/listening.ts';
import { callModern } from '../kit/modern.ts';
import { faces, serve } from '../kit/serve.ts';
import { session } from '../kit/sessions.ts';
import { failure } from '../kit/refusals.ts';

const everyFace = ['listen', ...faces] as const;

async function send(
  client: RawClient,
  method: string,
  headers = {},
  path?: string,
): Promise<RawResponse> {
  const { request, response } = client.start(method, { headers, path });
  request.end();
  return response;
}

const foreign = (origin: string): unknown =>
  failure(
    null,
    -32000,
    `Origin ${JSON.stringify(origin)} is not allowed here; name it in the option allowedOrigins`,
    {
      reason: 'origin',
    },
  );

const wrongHost = (host: string): unknown =>
  failure(
    null,
    -32000,
    `Host ${JSON.stringify(host)} is not allowed here; name it in the option allowedHosts`,
    {
      reason: 'host',
    },
  );

describe.each(everyFace)('over %s', (face) => {
  test.each([
    'https://evil.example',
    'http://localhost.evil.example',
    'http://127.0.0.1.evil.example:3000',
    'null',
    'localhost',
    'not an origin',
    '',
  ])('B201 the origin %j gets 403 from POST, GET and DELETE, in both eras', async (origin) => {
    const { one, client, endpoint } = await session(createEchoServer, {}, {}, { face });
    const evil = { headers: { origin } };
    const answers = [
      (await one.call('ping', {}, evil)).response,
      await one.get(evil),
      await one.delete(evil),
      (await client().initialize(evil)).response,
      (await callModern(client(), 'tools/list', {}, evil)).response,
    ];
    expect(answers.map((answer) => [answer.status, answer.json()])).toEqual(
      answers.map(() => [403, foreign(origin)]),
    );
    expect((await one.call('ping')).response.status).toBe(200);
    expect(endpoint.sessions.liveCount).toBe(1);
  });

  test.each([
    undefined,
    'http://localhost',
    'https://localhost:5173',
    'http://127.0.0.1:8080',
    'http://[::1]:3000',
  ])('B201 the origin %j passes by default', async (origin) => {
    const { client } = await serve(createEchoServer, {}, { face });
    const { response } = await client({ headers: { origin } }).initialize();
    expect(response.status).toBe(200);
  });

  test.each<[string, string[], number]>([
    ['https://app.example', ['https://app.example'], 200],
    ['https://app.example:8443', ['https://app.example'], 403],
    ['http://app.example', ['https://app.example'], 403],
    ['http://app.example:81', ['app.example'], 200],
    ['https://sub.app.example', ['app.example'], 403],
    ['http://localhost', ['app.example'], 403],
    ['https://anything.example', ['*'], 200],
    // Of a page from a file, and of a sandboxed frame.
    ['null', ['null'], 200],
    ['null', ['app.example'], 403],
  ])(
    'B201 the origin %s, where %j are allowed, gets %i',
    async (origin, allowedOrigins, status) => {
      const { client } = await serve(createEchoServer, { allowedOrigins }, { face });
      expect((await client({ headers: { origin } }).initialize()).response.status).toBe(status);
    },
  );

  test('B201 the 2024-11-05 transport is guarded too', async () => {
    const { client } = await serve(createEchoServer, { legacySse: true }, { face });
    const evil = { origin: 'https://evil.example', accept: 'text/event-stream' };
    for (const [method, path] of [
      ['GET', '/mcp/sse'],
      ['POST', '/mcp/message?sessionId=x'],
      ['OPTIONS', '/mcp/sse'],
    ] as const) {
      const answer = await send(client(), method, evil, path);
      expect([answer.status, answer.json()]).toEqual([403, foreign('https://evil.example')]);
    }
  });

  test('B202 allowedHosts is held, whatever the port', async () => {
    const { client } = await serve(
      createEchoServer,
      { allowedHosts: ['mcp.example'], legacySse: true },
      { face },
    );
    const at = (host: string) => client({ headers: { host } });
    expect((await at('mcp.example').initialize()).response.status).toBe(200);
    expect((await at('mcp.example:8443').initialize()).response.status).toBe(200);
    for (const host of ['evil.example', 'mcp.example.evil.example', '127.0.0.1']) {
      const { response } = await at(host).initialize();
      expect([response.status, response.json()]).toEqual([403, wrongHost(host)]);
      expect(
        (await send(at(host), 'GET', { accept: 'text/event-stream' }, '/mcp/sse')).status,
      ).toBe(403);
      expect((await send(at(host), 'GET', { accept: 'text/event-stream' })).status).toBe(403);
    }
  });

  test.each(['HEAD', 'PUT', 'PATCH', 'OPTIONS'])(
    'B226 %s is 405, with what is allowed',
    async (method) => {
      const { client } = await serve(createEchoServer, {}, { face });
      const answer = await send(client(), method);
      expect([answer.status, answer.header('allow')]).toEqual([405, 'GET, POST, DELETE']);
      if (method === 'HEAD') return expect(answer.body).toBe('');
      expect(answer.json()).toEqual(
        failure(null, -32000, `Method ${method} is not allowed here; use GET, POST, DELETE`),
      );
    },
  );

  test.each([
    ['POST', '/mcp/sse', 'GET'],
    ['GET', '/mcp/message?sessionId=1', 'POST'],
  ])('B169 B226 %s %s is 405, with what is allowed', async (method, path, allowed) => {
    const { client } = await serve(createEchoServer, { legacySse: true }, { face });
    const answer = await send(client(), method, {}, path);
    expect([answer.status, answer.header('allow')]).toEqual([405, allowed]);
  });

  test.each(['GET', 'DELETE', 'HEAD', 'PUT', 'PATCH', 'OPTIONS'])(
    'B88 B226 %s is 405 without sessions, where POST alone is allowed',
    async (method) => {
      const { client } = await serve(createEchoServer, { sessionMode: 'stateless' }, { face });
      for (const session of [{}, { 'mcp-session-id': 'made-up' }]) {
        const answer = await send(client(), method, { accept: 'text/event-stream', ...session });
        expect([answer.status, answer.header('allow')]).toEqual([405, 'POST']);
      }
    },
  );
});

test('B202 listen() binds the loopback address alone, and serves it under loopback names', async () => {
  const { port, client, url } = await serve(createEchoServer);
  expect(url).toBe(`http://127.0.0.1:${port}/mcp`);
  for (const host of [`127.0.0.1:${port}`, 'localhost', `localhost:${port}`, '[::1]']) {
    expect((await client({ headers: { host } }).initialize()).response.status).toBe(200);
  }
  for (const host of ['evil.example', `evil.example:${port}`, '169.254.169.254']) {
    const { response } = await client({ headers: { host } }).initialize();
    expect([response.status, response.json()]).toEqual([403, wrongHost(host)]);
  }
});

/** Every 127.x.y.z is this machine on Linux; elsewhere only the first is there to connect to. */
test.runIf(process.platform === 'linux')(
  'B202 another address of this machine is served where it is bound alone',
  async () => {
    const { port, endpoint } = await serve(createEchoServer);
    const elsewhere = (at: number) => openClient(`http://127.0.0.2:${at}/mcp`);
    const away = elsewhere(port);
    await expect(away.initialize()).rejects.toThrow(/ECONNREFUSED/);
    for (const host of ['0.0.0.0', '127.0.0.2']) {
      const there = elsewhere((await endpoint.listen({ port: 0, host })).port);
      expect((await there.initialize()).response.status).toBe(200);
    }
  },
);

test('B202 bound to every address, no host is guessed: any passes, unless allowedHosts says which', async () => {
  const { endpoint } = await serve(createEchoServer);
  const { port, url } = await endpoint.listen({ port: 0, host: '0.0.0.0' });
  expect(url).toBe(`http://127.0.0.1:${port}/mcp`);
  const client = openClient(url, { headers: { host: 'mcp.example' } });
  expect((await client.initialize()).response.status).toBe(200);
});
