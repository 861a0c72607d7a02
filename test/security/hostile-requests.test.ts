/**
 * Hostile targets and headers by raw socket, in every mode under every face, with `legacySse: true` where there are
 * sessions: each request gets an answer, and other clients are served.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { connectSse } from '../kit/legacy-sse.ts';
import { createLab, say } from '../kit/lab.ts';
import { inMatrix } from '../kit/matrix.ts';
import { serve, type Face } from '../kit/serve.ts';

const HEADERS = {
  Host: 'localhost',
  Accept: 'application/json, text/event-stream',
  'Content-Type': 'application/json',
  Connection: 'close',
};

const nested = (depth: number, open = '[', close = ']'): string =>
  open.repeat(depth) + close.repeat(depth);
const among = fc.constantFrom<string[]>;

const parts = [
  among('', '', '//[::x', '//%zz', 'http://[::x', 'http://a:99999', 'http:', '//', '\\\\['),
  among('/mcp', '/mcp/message', '/mcp/sse', '/message', '/sse'),
  among('', '?sessionId=%zz', '?sessionId=%ff&sessionId', `?sessionId=${'x'.repeat(4_000)}`),
  among('', `?${'?'.repeat(500)}`, '?\xff\xfe', '%00', '/../mcp'),
];
const odd = [
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

const names = fc.oneof(
  among(
    'Host',
    'Origin',
    'Accept',
    'Content-Type',
    'Content-Encoding',
    'Expect',
    'Upgrade',
    'Authorization',
  ),
  among(
    'Mcp-Session-Id',
    'MCP-Protocol-Version',
    'Last-Event-ID',
    'Mcp-Method',
    'Mcp-Name',
    'Mcp-Param-X',
  ),
  among('Access-Control-Request-Method', 'Access-Control-Request-Headers', '__proto__'),
);
const values = fc.oneof(
  among(
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
  ),
  among(
    '=?base64?w6k=?=',
    '-1',
    '9'.repeat(400),
    'x'.repeat(8_000),
    nested(2_000),
    nested(500, '{"a":', '}'),
  ),
);

const methods = among('GET', 'POST', 'DELETE', 'OPTIONS', 'PUT');
const targets = fc.oneof(
  fc.constant('/mcp'),
  fc.tuple(...parts).map((some) => some.join('')),
  among(...odd),
);
const headers = fc.dictionary(names, values, { maxKeys: 2 });

function bytesOf(
  method: string,
  target: string,
  hostile: Readonly<Record<string, string>>,
): Buffer {
  const body =
    method === 'POST' || method === 'PUT' ? '{"jsonrpc":"2.0","id":1,"method":"tools/list"}' : '';
  const lines = Object.entries({ ...HEADERS, ...hostile }).map(
    ([name, value]) => `${name}: ${value}\r\n`,
  );
  const head = `${method} ${target} HTTP/1.1\r\n${lines.join('')}Content-Length: ${body.length}\r\n\r\n`;
  return Buffer.from(head + body, 'latin1');
}

const FACES: readonly Face[] = ['listen', 'node', 'fetch'];
const ENDPOINTS = (['hybrid', 'stateful', 'stateless'] as const).flatMap((mode) =>
  FACES.map((face) => [mode, face] as const),
);
/** Each mode, and each face. */
const SOME = ENDPOINTS.filter((_, n) => n % (FACES.length + 1) === 0);

test.each(inMatrix(ENDPOINTS, SOME))(
  'hostile requests are all answered: %s, over %s',
  async (sessionMode, face) => {
    const legacySse = sessionMode !== 'stateless';
    const served = await serve(createLab().factory, { sessionMode, legacySse }, { face });
    const client = served.client({ timeoutMs: 10_000 });
    if (legacySse) await connectSse(served.client(), '/mcp/sse');
    await fc.assert(
      fc.asyncProperty(methods, targets, headers, async (...request) => {
        expect(await client.statusOf(bytesOf(...request))).toBeLessThan(500);
      }),
      { numRuns: 600 },
    );
    const other = served.client();
    await other.initialize();
    expect(await say(other, 'echo', { text: 'served' })).toBe('served');
    expect(served.log.matching(/./, 'error')).toEqual([]);
  },
);
