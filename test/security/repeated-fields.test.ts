/**
 * Fields that two servers may read differently: two `Host` or `Authorization` fields, hosts that `URL` takes for
 * another name, users with blanks that HTTP does not know. What a request would do as another caller counts as let in.
 */
import { createServer, type RequestListener } from 'node:http';
import { getRequestListener } from '@hono/node-server';
import { expect, test } from 'vitest';
import { createMcpEndpoint, type McpEndpointOptions } from '../../src/index.ts';
import { serve, type Face } from '../kit/serve.ts';
import { mount } from '../kit/dashboard.ts';
import { createLab } from '../kit/lab.ts';
import { handshake } from '../kit/legacy-sse.ts';
import { toolServer } from '../kit/tool-server.ts';
import { listening, openClient } from '../kit/listening.ts';
import { userToken } from '../kit/issuer.ts';

const INITIALIZE = handshake(1, '2025-11-25');

/** The status of a POST with these very fields, on a new connection. */
function ask(port: number, fields: readonly string[], message: object = INITIALIZE, path?: string) {
  const body = path === undefined ? JSON.stringify(message) : '';
  const lines = [
    `${path === undefined ? 'POST' : 'GET'} ${path ?? '/mcp'} HTTP/1.1`,
    ...fields,
    'Content-Type: application/json',
    'Accept: application/json, text/event-stream',
    `Content-Length: ${body.length}`,
    'Connection: close',
    '',
    body,
  ];
  return openClient(`http://127.0.0.1:${port}`).statusOf(Buffer.from(lines.join('\r\n'), 'latin1'));
}

const FACES: readonly Face[] = ['listen', 'node', 'fetch'];
const TOKEN = ['Host: localhost', 'Authorization: Bearer ada'];

const TWO: Readonly<Record<string, readonly string[]>> = {
  'two hosts': ['Host: localhost', 'Host: evil.example'],
  'two hosts, the other first': ['Host: evil.example', 'Host: localhost'],
  'the same host twice': ['Host: localhost', 'hOST: localhost'],
  'two tokens': ['Host: localhost', 'Authorization: Bearer ada', 'Authorization: Bearer bob'],
  'two tokens, in other cases': [
    'Host: localhost',
    'AUTHORIZATION: Bearer ada',
    'authorization: bearer bob',
  ],
  'the same token twice': [
    'Host: localhost',
    'Authorization: Bearer ada',
    'Authorization: Bearer ada',
  ],
  'a password and a token': [
    'Host: localhost',
    'Authorization: Basic YTpi',
    'Authorization: Bearer ada',
  ],
  'two tokens in one field': ['Host: localhost', 'Authorization: Bearer ada, Bearer bob'],
};
const MODES: Readonly<Record<string, McpEndpointOptions>> = {
  'with auth': {
    auth: { verify: userToken },
    allowedHosts: ['localhost'],
    sessionMode: 'stateful',
  },
  'without auth': { allowedHosts: ['localhost'], sessionMode: 'stateful' },
  'without sessions': { sessionMode: 'stateless' },
};

test.each(FACES)('two Host or Authorization fields are 400, at %s', async (face) => {
  for (const [mode, options] of Object.entries(MODES)) {
    const served = await serve(toolServer({}), options, { face });
    for (const [what, fields] of Object.entries(TWO)) {
      const got = await ask(served.port, fields);
      expect([mode, what, got]).toEqual([mode, what, 400]);
    }
    expect(await ask(served.port, TOKEN)).toBe(200);
  }
});

test.each(['node', 'fetch'] as const)(
  'two Host or Authorization fields are 400 at the dashboard, at %s',
  async (face) => {
    const { endpoint } = await serve(toolServer({}), { allowedHosts: ['localhost'] });
    const port = await mount(endpoint, undefined, face);
    for (const [what, fields] of Object.entries(TWO))
      for (const path of ['/', '/api/fleet'])
        expect([what, await ask(port, fields, undefined, path)]).toEqual([what, 400]);
  },
);

test.each(FACES)('a credential with parameters is one credential, at %s', async (face) => {
  const served = await serve(toolServer({}), {}, { face });
  for (const field of [
    'Digest username="ada", realm="x"',
    'AWS4-HMAC-SHA256 Credential=AK/20260101, Signature=ab',
  ])
    expect(await ask(served.port, ['Host: localhost', `Authorization: ${field}`])).toBe(200);
});

const HOSTS = [
  'localhost\\evil.example',
  'localhost/evil.example',
  'localhost?evil.example',
  'localhost#evil.example',
  'evil.example@localhost',
  'local\thost',
  '%6cocalhost',
  'localhost%2eevil.example',
  'localhost:8a',
  '[::1]evil.example',
  'localhost, localhost',
  'loc\u00adalhost',
];

test.each(FACES)(
  'a Host that only URL takes for an allowed one is refused, at %s',
  async (face) => {
    const served = await serve(toolServer({}), { allowedHosts: ['localhost', '[::1]'] }, { face });
    for (const host of HOSTS) {
      const got = await ask(served.port, [`Host: ${host}`]);
      expect([host, [400, 403].includes(Number(got))]).toEqual([host, true]);
    }
    for (const host of ['localhost', 'LOCALHOST', 'localhost:3000', '[::1]', '[::1]:80'])
      expect([host, await ask(served.port, [`Host: ${host}`])]).toEqual([host, 200]);
  },
);

test.each<Face>(['listen', 'node'])(
  "a proxy's user keeps what HTTP does not trim, at %s",
  async (face) => {
    const from = ['127.0.0.0/8', '::1'];
    const auth = { trustedProxyUser: { header: 'x-forwarded-user', from } };
    const { openSession, port } = await serve(
      createLab().factory,
      { auth, sessionMode: 'stateful' },
      { face },
    );
    const ada = await openSession({}, { headers: { 'x-forwarded-user': 'ada' } });
    for (const user of [
      '\u00a0ada',
      'ada\u00a0',
      '\u00a0ada\u00a0',
      'ada\u0085',
      '\u00c2\u00a0ada',
    ]) {
      const session = `Mcp-Session-Id: ${ada.sessionId}`;
      const ping = { jsonrpc: '2.0', id: 7, method: 'ping' };
      const got = await ask(port, ['Host: localhost', `X-Forwarded-User: ${user}`, session], ping);
      expect([JSON.stringify(user), got]).toEqual([JSON.stringify(user), 403]);
    }
    expect(await ask(port, ['Host: localhost', 'X-Forwarded-User: \t ada \t'])).toBe(200);
  },
);

/** Node.js keeps the first 1,000 fields, or as many as the application's server says. */
const JUNK = (fields: number): string[] => Array.from({ length: fields }, (_, n) => `a${n}:`);
const BEHIND: Readonly<Record<string, readonly string[]>> = {
  'a second token': [
    'Host: localhost',
    'Authorization: Bearer ada',
    'JUNK',
    'Authorization: Bearer bob',
  ],
  'a second host': ['Host: localhost', 'Authorization: Bearer ada', 'JUNK', 'Host: evil.example'],
  'the only token': ['Host: localhost', 'JUNK', 'Authorization: Bearer ada'],
};

test.each([1_000, 1_500, 2_000])('fields behind %i others are read by listen()', async (junk) => {
  const served = await serve(toolServer({}), MODES['with auth']);
  const got: unknown[] = [];
  for (const fields of Object.values(BEHIND)) {
    const sent = fields.flatMap((field) => (field === 'JUNK' ? JUNK(junk) : [field]));
    got.push(await ask(served.port, sent));
  }
  expect(got).toEqual([400, 400, 200]);
  // A head of more than 16 KiB is refused by Node.js.
  expect(await ask(served.port, ['Host: localhost', ...JUNK(4_000)])).toBe(431);
});

test.each([undefined, 60, 20, 0])(
  'a request that may lack fields is 431 under an http server with maxHeadersCount %j',
  async (most) => {
    const endpoint = createMcpEndpoint(toolServer({}), MODES['with auth']);
    const onFetch = getRequestListener((request, { incoming }) =>
      endpoint.fetch(request, { incoming }),
    );
    for (const listener of [endpoint.node, onFetch] as RequestListener[]) {
      const server = createServer((req, res) => listener(req, res));
      if (most !== undefined) server.maxHeadersCount = most;
      const port = Number(
        new URL(await listening(server, () => endpoint.close({ timeoutMs: 0 }))).port,
      );
      for (const fields of Object.values(BEHIND)) {
        const junk = JUNK(most === 0 ? 1_200 : (most ?? 1_000));
        const got = await ask(
          port,
          fields.flatMap((field) => (field === 'JUNK' ? junk : [field])),
        );
        expect(got).toBe(most === 0 ? (fields === BEHIND['the only token'] ? 200 : 400) : 431);
      }
      expect(await ask(port, TOKEN)).toBe(200);
    }
  },
);
