/**
 * Hostile targets and headers by raw socket, in every mode under every face, with `legacySse: true` where there are
 * sessions: each request gets an answer, and other clients are served all the while.
 */
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { connectSse } from '../kit/legacy-sse.ts';
import { say } from '../kit/lab.ts';
import { inMatrix } from '../kit/matrix.ts';
import { serve, type Face, type Served } from '../kit/serve.ts';
import { said, toolServer } from '../kit/tool-server.ts';

const HEAD =
  'Host: localhost\r\nAccept: application/json, text/event-stream\r\nContent-Type: application/json\r\n' +
  'Connection: close\r\n';

const nested = (depth: number, open = '[', close = ']'): string => open.repeat(depth) + close.repeat(depth);

const METHODS = ['GET', 'POST', 'DELETE', 'OPTIONS', 'PUT'];

const PATHS = ['/mcp', '/mcp/message', '/mcp/sse', '/message', '/sse'];

const TARGETS = [
  ...PATHS.flatMap((path) => [
    `//[::x${path}`,
    `//%zz${path}`,
    `http://[::x${path}`,
    `http://a:99999${path}`,
    `http:${path}`,
    `//${path}`,
    `${path}?sessionId=%zz`,
    `${path}?sessionId=%ff&sessionId`,
    `${path}?sessionId=${'x'.repeat(4_000)}`,
    `${path}?${'?'.repeat(500)}`,
    `${path}?\xff\xfe`,
    `${path}%00`,
    `${path}/..${path}`,
    `\\\\[${path}`,
  ]),
  '*',
  '//',
  '///',
  '/',
  '/?',
  'http://',
  'http:///',
  'mailto:mcp',
  '/__proto__/message?sessionId=__proto__',
];

function* targets(): Generator<Buffer> {
  const body = '{"jsonrpc":"2.0","id":1,"method":"ping"}';
  for (const target of TARGETS) {
    for (const method of METHODS) {
      const bytes = method === 'POST' || method === 'PUT' ? body : '';
      const head = `${method} ${target} HTTP/1.1\r\n${HEAD}Content-Length: ${bytes.length}\r\n\r\n`;
      yield Buffer.from(head + bytes, 'latin1');
    }
  }
}

const HEADER_VALUES = [
  '',
  '\t',
  '\xff\xfe\x80',
  '__proto__',
  '%zz',
  '//[::x',
  'http://[::x',
  '"',
  '"\\',
  '=?base64?////?=',
  '=?base64?w6k=?=',
  'x'.repeat(8_000),
  nested(2_000),
  nested(500, '{"a":', '}'),
  '-1',
  '9'.repeat(400),
];

const HEADER_NAMES = [
  'Host',
  'Origin',
  'Accept',
  'Content-Type',
  'Mcp-Session-Id',
  'MCP-Protocol-Version',
  'Last-Event-ID',
  'Mcp-Method',
  'Mcp-Name',
  'Mcp-Param-X',
  'Authorization',
  'Access-Control-Request-Method',
  'Access-Control-Request-Headers',
  'Content-Encoding',
  'Expect',
  'Upgrade',
  '__proto__',
];

function* headers(): Generator<Buffer> {
  const body = '{"jsonrpc":"2.0","id":1,"method":"tools/list"}';
  for (const name of HEADER_NAMES) {
    for (const value of HEADER_VALUES) {
      const others = HEAD.split('\r\n').filter((line) => !line.startsWith(`${name}:`));
      const head = [...others.slice(0, -1), `${name}: ${value}`].join('\r\n');
      for (const [start, content] of [
        ['POST /mcp', body],
        ['GET /mcp', ''],
        ['POST /mcp/message?sessionId=x', body],
      ] as const) {
        const line = `${start} HTTP/1.1\r\n${head}\r\nContent-Length: ${content.length}\r\n\r\n${content}`;
        yield Buffer.from(line, 'latin1');
      }
    }
  }
}

/** Its tool does with a request what handlers do. */
const factory = toolServer({}, (server, { requestInfo }) => {
  server.registerTool('echo', { inputSchema: z.looseObject({}) }, (args) =>
    said(`${requestInfo && new URL(requestInfo.url).pathname} ${JSON.stringify(args)}`),
  );
});

/** A tool call of another client, over a separate connection. */
async function expectServed({ client }: Served): Promise<void> {
  const other = client({ timeoutMs: 20_000 });
  await other.initialize();
  expect(await say(other, 'echo', { a: 1 })).toContain('{"a":1}');
  other.close();
}

/** Requests between two looks at another client. */
const EVERY = 500;

const MODES = ['hybrid', 'stateful', 'stateless'] as const;
const FACES: readonly Face[] = ['listen', 'node', 'fetch'];
const ENDPOINTS = MODES.flatMap((mode) => FACES.map((face) => [mode, face] as const));
/** Each mode, and each face. */
const SOME = ENDPOINTS.filter((_, n) => n % (FACES.length + 1) === 0);

describe.each(inMatrix(ENDPOINTS, SOME))('%s, over %s', (sessionMode, face) => {
  test.each([
    ['targets', targets],
    ['headers', headers],
  ])('hostile %s are all answered, and others are served', { timeout: 120_000 }, async (_, requests) => {
    const legacySse = sessionMode !== 'stateless';
    const served = await serve(factory, { sessionMode, legacySse }, { face });
    const client = served.client({ timeoutMs: 10_000 });
    if (legacySse) await connectSse(served.client(), '/mcp/sse');
    const wrong: string[] = [];
    for (const [n, bytes] of [...requests()].entries()) {
      const answer = await client.statusOf(bytes);
      if (!(answer < 500)) wrong.push(`${answer}: ${bytes.subarray(0, 400)}`);
      if (n % EVERY === 0) await expectServed(served);
    }
    await expectServed(served);
    expect(wrong).toEqual([]);
    expect(served.log.matching(/./, 'error')).toEqual([]);
  });
});
