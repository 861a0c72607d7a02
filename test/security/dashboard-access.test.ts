/**
 * Attacks on the dashboard: without its token, from pages of other sites, with forms, under other host names, with
 * paths that lead elsewhere, with searches without end.
 */
import { once } from 'node:events';
import { request, type IncomingMessage } from 'node:http';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { McpEndpointOptions } from '../../src/index.ts';
import { createEchoServer } from '../kit/echo-server.ts';
import { ACTION, type Answer, ask, BEARER, jsonOf, mount, TOKEN } from '../kit/dashboard.ts';
import { serve } from '../kit/serve.ts';
import { until } from '../kit/until.ts';
import { watchedStore } from '../kit/watched-store.ts';

const READS = [
  'fleet',
  'sessions',
  'sessions?q=x',
  'sessions/0123456789ab',
  'tasks',
  'tasks/0123456789ab',
];
const ACTIONS = ['sessions/0123456789ab/end', 'instances/abc/drain', 'tasks/0123456789ab/cancel'];

const BAD_TOKENS = [
  {},
  { authorization: '' },
  { authorization: 'Bearer' },
  { authorization: 'Bearer ' },
  { authorization: `Bearer ${TOKEN}x` },
  { authorization: `Bearer ${TOKEN.slice(0, -1)}` },
  { authorization: `Basic ${TOKEN}` },
  { authorization: TOKEN },
  { authorization: `Bearer ${TOKEN.toUpperCase()}` },
  { cookie: `token=${TOKEN}` },
];

const SITES = [
  { origin: 'https://elsewhere.example' },
  { origin: 'null' },
  { origin: '' },
  { origin: 'http://127.0.0.1' },
  { origin: 'http://127.0.0.1.elsewhere.example' },
  { origin: 'http://localhost:1' },
  { 'sec-fetch-site': 'cross-site' },
  { 'sec-fetch-site': 'same-site' },
];

/** The requests of the API with these headers, and no other answer than this status. */
async function expectEach(
  port: number,
  headers: Readonly<Record<string, string>>,
  status: number,
): Promise<void> {
  const acting = { ...headers, 'sojourn-dashboard': '1', 'content-type': 'application/json' };
  const answers = [
    ...(await Promise.all(
      READS.map(async (path) => [path, await ask(port, `/ops/api/${path}`, { headers })] as const),
    )),
    ...(await Promise.all(
      ACTIONS.map(async (path) => [path, await act(port, `/ops/api/${path}`, acting)] as const),
    )),
  ];
  for (const [path, answer] of answers) {
    expect([path, headers, answer.status]).toEqual([path, headers, status]);
    expect(answer.body).not.toContain(TOKEN.slice(0, 6));
  }
}

const act = (port: number, path: string, headers: Readonly<Record<string, string>> = ACTION) =>
  ask(port, path, { method: 'POST', headers, body: '{}' });

async function open(face: 'node' | 'fetch' = 'node', options: McpEndpointOptions = {}) {
  const served = await serve(createEchoServer, options);
  return { ...served, port: await mount(served.endpoint, { token: TOKEN }, face) };
}

describe.each(['node', 'fetch'] as const)('over the %s face', (face) => {
  test('no request without the token is answered, and none tells a length or a prefix of it', async () => {
    const { port } = await open(face);
    for (const headers of BAD_TOKENS) await expectEach(port, headers, 401);
    // In the query, where logs would have it.
    expect((await ask(port, `/ops/api/sessions?token=${TOKEN}`)).status).toBe(401);
  });

  test('a page of another site reads nothing and causes nothing, even with the token', async () => {
    const { port } = await open(face);
    for (const site of SITES) await expectEach(port, { ...BEARER, ...site }, 403);
    const own = { origin: `http://127.0.0.1:${port}`, 'sec-fetch-site': 'same-origin' };
    expect((await ask(port, '/ops/api/sessions', { headers: { ...BEARER, ...own } })).status).toBe(
      200,
    );
    const preflight = await ask(port, '/ops/api/sessions', {
      method: 'OPTIONS',
      headers: { origin: 'https://elsewhere.example', 'access-control-request-method': 'GET' },
    });
    expect(preflight.status).toBe(405);
    expect(
      Object.keys(preflight.headers).filter((name) => name.startsWith('access-control')),
    ).toEqual([]);
  });

  test('no form can act, and no action is a GET', async () => {
    const { endpoint, openSession, port } = await open(face);
    await openSession();
    const [row] = jsonOf<{ rows: { hash: string }[] }>(
      await ask(port, '/api/sessions', { headers: BEARER }),
    ).rows;
    const path = `/api/sessions/${row?.hash}/end`;
    const forms = [
      'application/x-www-form-urlencoded',
      'multipart/form-data; boundary=x',
      'text/plain',
    ];
    for (const type of forms) {
      const headers = { ...BEARER, 'content-type': type };
      const answer = await ask(port, path, {
        method: 'POST',
        headers,
        body: 'sojourn-dashboard=1',
      });
      expect([type, answer.status]).toEqual([type, 403]);
    }
    for (const method of ['GET', 'PUT', 'DELETE', 'HEAD']) {
      expect([method, (await ask(port, path, { method, headers: ACTION })).status]).toEqual([
        method,
        405,
      ]);
    }
    expect(endpoint.sessions.liveCount).toBe(1);
    expect((await act(port, path)).status).toBe(200);
    expect(endpoint.sessions.liveCount).toBe(0);
  });

  test('every answer has its policy, and those of the API are stored nowhere', async () => {
    const { port } = await open(face);
    for (const path of ['/ops/', '/ops', '/ops/x.js', '/ops/api/sessions', '/ops/api/unknown']) {
      for (const headers of [{}, BEARER]) {
        const answer = await ask(port, path, { headers });
        expect(answer.headers['content-security-policy']).toBe(
          "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
            "frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
        );
        expect(answer.headers['x-content-type-options']).toBe('nosniff');
        expect(answer.headers['referrer-policy']).toBe('no-referrer');
        if (path.includes('/api/sessions'))
          expect(answer.headers['cache-control']).toBe('no-store');
        expect(answer.headers['access-control-allow-origin']).toBeUndefined();
      }
    }
  });

  test('no path leads out of the page, and none makes the answer send a browser elsewhere', async () => {
    const { port } = await open(face);
    const out = [
      '/ops/../../package.json',
      '/ops/..%2f..%2fpackage.json',
      '/ops/%2e%2e/%2e%2e/package.json',
      '/ops/....//package.json',
      '/ops/..\\..\\package.json',
      '/ops/mounted.js',
      '/ops/server/mounted.js',
      '/ops/__proto__',
      '/ops/constructor',
      '/ops/api/../../package.json',
      '/ops/api/sessions/..%2f..%2fetc/end',
      '/ops/api/__proto__/x/end',
      '/ops//evil.example',
      '//evil.example',
      '//evil.example/%2f..',
      '/ops/javascript:alert(1)',
      '/ops/https:%2f%2fevil.example',
    ];
    for (const path of out) {
      const answer = await ask(port, path, { headers: ACTION });
      expect(answer.body).not.toContain('"name": "sojourn"');
      expect([path, [200, 304].includes(answer.status)]).toEqual([path, false]);
      const { location } = answer.headers;
      if (location !== undefined)
        expect(new URL(location, `http://127.0.0.1:${port}/ops/`).host).toBe(`127.0.0.1:${port}`);
    }
  });

  test('long queries and cursors of another kind are refused, and the process serves on', async () => {
    const { port } = await open(face);
    const long = 'x'.repeat(12_000);
    expect((await ask(port, `/api/sessions?cursor=${long}`, { headers: BEARER })).status).toBe(400);
    expect(
      (await ask(port, `/api/fleet?${'a=1&'.repeat(3_000)}`, { headers: BEARER })).status,
    ).toBe(200);
    for (const cursor of ['%00%ff..%2f', 'abc', '1', '__proto__'])
      expect((await ask(port, `/api/sessions?cursor=${cursor}`, { headers: BEARER })).status).toBe(
        400,
      );
    expect((await ask(port, `/api/sessions/${long}`, { headers: BEARER })).status).toBe(404);
    expect((await act(port, `/api/instances/${'y'.repeat(65)}/drain`)).status).toBe(404);
  });

  test('four searches run at one time, and a fifth is refused', async () => {
    const records = watchedStore();
    const { port } = await open(face, { store: records });
    let free = (): void => {};
    const freed = new Promise<void>((resolve) => (free = resolve));
    records.before['sessions.list'] = () => freed;
    const search = () => ask(port, '/api/sessions?q=nothing', { headers: BEARER });
    const running = Array.from({ length: 4 }, search);
    const answer = await until(async () => {
      const found = await Promise.race([search(), freed]);
      return found?.status === 503 ? found : undefined;
    });
    expect(jsonOf<{ error: string }>(answer as Answer).error).toBe('busy');
    // Whether the store has it is not known.
    expect((await ask(port, '/api/sessions/0123456789ab', { headers: BEARER })).status).toBe(503);
    free();
    expect((await Promise.all(running)).map(({ status }) => status)).toEqual([200, 200, 200, 200]);
  });
});

test('a dashboard without a token is not mounted, and a short token is not taken', async () => {
  const { endpoint } = await serve(createEchoServer);
  const short = ['', 'short', 'with blanks in the token'];
  for (const token of short) expect(() => endpoint.dashboard({ token })).toThrow('16 characters');
  expect(() => endpoint.dashboard({} as { token: string })).toThrow('give a token');
  expect(() => endpoint.dashboard({ tokens: TOKEN } as unknown as { token: string })).toThrow(
    'did you mean token?',
  );
});

test('the names of allowedHosts hold for the dashboard too', async () => {
  const { port } = await open('node', { allowedHosts: ['ops.example'] });
  for (const host of [
    'evil.example',
    '127.0.0.1',
    'ops.example.evil.example',
    'ops.example@evil.example',
    '',
  ]) {
    for (const path of ['/', '/api/sessions', '/api/fleet']) {
      expect([
        host,
        path,
        (await ask(port, path, { headers: { ...BEARER, host } })).status,
      ]).toEqual([host, path, 403]);
    }
  }
  expect(
    (await ask(port, '/api/sessions', { headers: { ...BEARER, host: 'ops.example:8080' } })).status,
  ).toBe(200);
});

test('a body of any size is not kept: the action is answered, and the connection ends', async () => {
  const { port } = await open();
  const sent = request({
    host: '127.0.0.1',
    port,
    path: '/api/instances/none/drain',
    method: 'POST',
    headers: { ...ACTION, 'transfer-encoding': 'chunked' },
    agent: false,
  });
  onTestFinished(() => void sent.destroy());
  sent.on('error', () => {});
  const pump = setInterval(() => sent.write('x'.repeat(65_536)), 1);
  onTestFinished(() => clearInterval(pump));
  const [res] = (await once(sent, 'response')) as [IncomingMessage];
  expect(res.statusCode).toBe(404);
  expect(res.headers.connection).toBe('close');
});
