/** The log lines about what happens in an endpoint, on real sockets. */
import { McpServer } from '@modelcontextprotocol/server';
import { McpServer as McpServerV1 } from '@modelcontextprotocol/sdk/server/mcp.js';
import { describe, expect, test } from 'vitest';
import { serveFleet } from '../../kit/fleet.ts';
import { createLab } from '../../kit/lab.ts';
import { hashOf, type Log } from '../../kit/log.ts';
import { envelope, postModern } from '../../kit/modern.ts';
import { faces, serve, type ServeSettings } from '../../kit/serve.ts';
import { until } from '../../kit/until.ts';

const LINES =
  /^(request|A client connected|A session|A request is refused|A tool threw|A handler threw)/;

/** `level text {fields}` of the lines about what happens, without their times. */
const said = (log: Log): unknown[] =>
  log
    .matching(LINES)
    .map(({ level, message, fields: { ms: _ms, at: _at, ...fields } }) => [level, message, fields]);

const requests = (log: Log): unknown[] =>
  log.matching(/^request$/).map(({ fields: { ms: _ms, ...fields } }) => fields);

function throwing(): McpServer {
  const server = new McpServer({ name: 'throwing', version: '1.0.0' });
  server.registerTool('boom', {}, () => {
    throw new TypeError('sesame');
  });
  server.registerResource('book', 'book://1', {}, () => {
    throw Object.assign(new Error('sesame'), { code: 'ENOENT' });
  });
  return server;
}

describe.each(faces)('over %s', (face) => {
  test('a client connects, calls and leaves: a line for each, and one per request with accessLog', async () => {
    const served = await serve(createLab().factory, { accessLog: true }, { face });
    const one = await served.openSession();
    await one.call('tools/call', { name: 'echo', arguments: { text: 'x' } });
    await one.delete({ sessionId: one.sessionId });
    const sessionId = hashOf(one.sessionId);
    await until(() => requests(served.log).length === 4, { what: 'four requests' });
    expect(said(served.log)).toEqual([
      [
        'info',
        'A client connected',
        { client: 'raw-client 0.0.0', protocol: '2025-11-25', sessionId },
      ],
      ['info', 'request', { http: 'POST', method: 'initialize', status: 200, sessionId }],
      [
        'info',
        'request',
        { http: 'POST', method: 'notifications/initialized', status: 202, sessionId },
      ],
      [
        'info',
        'request',
        { http: 'POST', method: 'tools/call', tool: 'echo', status: 200, sessionId },
      ],
      ['info', 'A session ended', { reason: 'deleted', sessionId }],
      ['info', 'request', { http: 'DELETE', status: 200, sessionId }],
    ]);
  });

  test('a stream writes its line at its end, also where its client left, and says when it was resumed', async () => {
    const served = await serve(createLab().factory, { accessLog: true }, { face });
    const one = await served.openSession();
    const stream = await one.get();
    const { id } = await stream.next();
    expect(requests(served.log).length).toBe(2);
    stream.abort();
    await until(() => requests(served.log).length === 3, { what: 'the line of the stream' });
    const again = await one.get({ lastEventId: id });
    again.abort();
    await until(() => requests(served.log).length === 4, {
      what: 'the line of the resumed stream',
    });
    const sessionId = hashOf(one.sessionId);
    expect(requests(served.log).slice(2)).toEqual([
      { http: 'GET', status: 200, left: true, sessionId },
      { http: 'GET', status: 200, resumed: true, left: true, sessionId },
    ]);
  });

  test.each([false, true])(
    'a refusal is one line with its reason and the option (accessLog: %s)',
    async (accessLog) => {
      const options = { accessLog, allowedHosts: ['127.0.0.1'], limits: { requestsPerSession: 1 } };
      const served = await serve(createLab().factory, options, { face });
      const one = await served.openSession();
      served.log.lines.length = 0;
      const ping = { jsonrpc: '2.0', id: 1, method: 'ping' };
      await one.post(ping, { headers: { host: 'evil.example' } });
      await one.post(ping, { headers: { origin: 'https://evil.example' } });
      await one.post(ping, { sessionId: 'unknown' });
      await one.post({ ...ping, jsonrpc: '1.0' }, { sessionId: one.sessionId });
      const line = (status: number, reason: string, why: string): unknown[] => [
        'info',
        accessLog ? 'request' : `A request is refused: ${status} ${reason}`,
        reason,
        expect.stringContaining(why),
      ];
      const lines = served.log.matching(LINES);
      expect(
        lines.map(({ level, message, fields: f }) => [
          level,
          message,
          f['refused'] ?? f['reason'],
          f['why'],
        ]),
      ).toEqual([
        line(403, 'host', 'allowedHosts'),
        line(403, 'origin', 'allowedOrigins'),
        line(404, 'session_not_found', 'option store'),
        line(400, 'invalid_request', 'Invalid Request'),
      ]);
      const status = ({ fields }: (typeof lines)[number]) => fields['status'];
      expect(lines.map(status)).toEqual([403, 403, 404, accessLog ? 200 : 400]);
    },
  );
});

test.each([
  ['SDK 2', () => new McpServer({ name: 'silent', version: '1.0.0' })],
  ['SDK 1', () => new McpServerV1({ name: 'silent', version: '1.0.0' })],
])(
  'a tool of %s that returns nothing is a warning, and its client learns what it returned',
  async (_sdk, make) => {
    const server = make();
    (server as McpServer).registerTool('nothing', {}, () => undefined as never);
    const served = await serve(server);
    const one = await served.openSession();
    const { message } = await one.call('tools/call', { name: 'nothing', arguments: {} });
    const text = 'The tool returned undefined, not a result such as { content: [] }';
    expect(message.result).toEqual({ content: [{ type: 'text', text }], isError: true });
    const fields = { tool: 'nothing', error: 'NoResultError', sessionId: hashOf(one.sessionId) };
    expect(served.log.matching(/threw/)).toEqual([
      { level: 'warn', message: 'A tool threw', fields },
    ]);
  },
);

test('an middleware that returns nothing is a warning that says what it must return', async () => {
  const served = await serve(throwing, { middleware: () => undefined as never });
  const { body } = await postModern(served.client(), 'tools/call', { name: 'boom', arguments: {} });
  expect(body).toContain('"message":"Internal error"');
  const [line] = served.log.matching(/threw/);
  expect(line?.fields['message']).toContain('middleware must return the answer of next()');
});

test('a header that differs from the body is named, and its value is not', async () => {
  const served = await serve(throwing);
  const params = { name: 'boom', arguments: {}, _meta: envelope() };
  const headers = {
    'mcp-protocol-version': '2026-07-28',
    'mcp-method': 'tools/call',
    'mcp-name': 'sesame',
  };
  await served.client().post({ jsonrpc: '2.0', id: 1, method: 'tools/call', params }, { headers });
  expect(served.log.matching(/400/).map(({ fields }) => fields)).toEqual([
    {
      status: 400,
      reason: 'header_mismatch',
      why: 'Mcp-Name is missing, or differs from the body',
    },
  ]);
});

test('a resource that throws is a warning with the method and the code, without its URI', async () => {
  const served = await serve(throwing());
  const one = await served.openSession();
  await one.call('resources/read', { uri: 'book://1' });
  expect(said(served.log).at(-1)).toEqual([
    'warn',
    'A handler threw',
    { method: 'resources/read', error: 'Error ENOENT', sessionId: hashOf(one.sessionId) },
  ]);
});

test('a client of 2026-07-28 is said once, and its requests and its throwing tools each time', async () => {
  const served = await serve(throwing, { accessLog: true });
  for (let n = 0; n < 2; n++)
    await postModern(served.client(), 'tools/call', { name: 'boom', arguments: {} });
  await until(() => requests(served.log).length === 2, { what: 'two requests' });
  const threw = ['warn', 'A tool threw', { tool: 'boom', error: 'TypeError' }];
  const request = [
    'info',
    'request',
    { http: 'POST', method: 'tools/call', tool: 'boom', status: 200, isError: true },
  ];
  expect(said(served.log)).toEqual([
    ['info', 'A client connected', { client: 'modern-client 0.0.0', protocol: '2026-07-28' }],
    threw,
    request,
    threw,
    request,
  ]);
});

test('a client of an endpoint without sessions is said once', async () => {
  const served = await serve(createLab().factory, { sessionMode: 'stateless' });
  for (let n = 0; n < 2; n++) await served.client().initialize();
  expect(said(served.log)).toEqual([
    ['info', 'A client connected', { client: 'raw-client 0.0.0', protocol: '2025-11-25' }],
  ]);
});

test.each(faces)('a client that is refused has not connected, over %s', async (face) => {
  const served = await serve(
    throwing,
    { limits: { perTool: { boom: { requests: 0 } } } },
    { face },
  );
  // A header that the body does not agree with, and a tool without a place.
  const refused = {
    'mcp-protocol-version': '2026-07-28',
    'mcp-session-id': null,
    'mcp-method': 'tools/list',
  };
  const call = { name: 'boom', arguments: {} };
  const body = {
    jsonrpc: '2.0',
    id: 1,
    method: 'tools/call',
    params: { ...call, _meta: envelope() },
  };
  await served.client().post(body, { headers: refused });
  await postModern(served.client(), 'tools/call', call);
  const lines = () => served.log.matching(LINES).map(({ message }) => message);
  expect(lines()).toEqual([
    'A request is refused: 400 header_mismatch',
    'A request is refused: 429 tool_limit',
  ]);
  await postModern(served.client(), 'tools/list', {});
  expect(lines().slice(2)).toEqual(['A client connected']);
});

test('a user past a limit is named, an anonymous one by its address', async () => {
  const auth: NonNullable<ServeSettings['auth']> = ({ 'x-user': user }) =>
    typeof user === 'string'
      ? { token: 't', clientId: 'c', scopes: [], extra: { sub: `${user}\u001b[2J` } }
      : undefined;
  const options = { limits: { perUser: { requestsPerMinute: 1 } } };
  const served = await serve(throwing, options, { face: 'node', auth });
  for (const headers of [{ 'x-user': 'ann' }, {}] as Array<Record<string, string>>) {
    const one = served.client({ headers });
    for (let n = 0; n < 2; n++)
      await one.post({ jsonrpc: '2.0', id: n, method: 'initialize', params: {} });
  }
  const refused = served.log.matching(/^A request is refused: 429 user_limit$/);
  expect(refused.map(({ fields }) => fields['share'])).toEqual(['ann\\u001b[2J', '127.0.0.1']);
});

test('a request to another path is refused with the path of the endpoint', async () => {
  const served = await serve(createLab().factory);
  await (await fetch(served.url.replace('/mcp', '/other'))).text();
  expect(said(served.log)).toEqual([
    [
      'info',
      'A request is refused: 404 path',
      { status: 404, reason: 'path', why: 'Not found. The MCP endpoint is /mcp' },
    ],
  ]);
});

test('a relayed request is one line, with how it failed, at the instance that has its client', async () => {
  const [owner, other] = await serveFleet(2, { accessLog: true });
  const one = await owner.openSession();
  const joined = other.join(one);
  await until(() => requests(owner.log).length === 2, { what: 'the requests at the owner' });
  await joined.call('tools/call', { name: 'echo', arguments: { text: 'x' } });
  await joined.call('tools/call', { name: 'no such tool', arguments: {} });
  await until(() => requests(other.log).length === 2, { what: 'the relayed requests' });
  const sessionId = hashOf(one.sessionId);
  const relayed = { http: 'POST', method: 'tools/call', status: 200, sessionId };
  expect(requests(other.log)).toEqual([
    { ...relayed, tool: 'echo' },
    { ...relayed, tool: 'no such tool', error: -32602 },
  ]);
  expect(requests(owner.log).length).toBe(2);
  expect(said(other.log).length).toBe(2);
});

test('a relayed request that its owner refuses is one refusal, at the instance that has the client', async () => {
  const [owner, other] = await serveFleet(2, {});
  const one = await owner.openSession();
  const joined = other.join(one, { headers: { 'mcp-protocol-version': '2025-03-26' } });
  await joined.post({ jsonrpc: '2.0', id: 7, method: 'ping' }, { sessionId: one.sessionId });
  const refused = [owner, other].map(
    ({ log }) => log.matching(/^A request is refused: 400 version_changed$/).length,
  );
  expect(refused).toEqual([0, 1]);
});
