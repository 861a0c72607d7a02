/** Requests that no client sends, as the bytes of HTTP/1.1. */

const HEAD = 'Host: localhost\r\nAccept: application/json, text/event-stream\r\nContent-Type: application/json\r\n';

export const nested = (depth: number, open = '[', close = ']'): string => open.repeat(depth) + close.repeat(depth);
const objects = (depth: number): string => nested(depth, '{"a":', '}').replace(':}', ':1}');

function post(target: string, body: string | Buffer, headers = ''): Buffer {
  const bytes = Buffer.from(body);
  return Buffer.concat([
    Buffer.from(`POST ${target} HTTP/1.1\r\n${HEAD}${headers}Content-Length: ${bytes.length}\r\n\r\n`, 'latin1'),
    bytes,
  ]);
}

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

export function* targets(): Generator<Buffer> {
  const body = '{"jsonrpc":"2.0","id":1,"method":"ping"}';
  for (const target of TARGETS) {
    for (const method of METHODS) {
      const bytes = method === 'POST' || method === 'PUT' ? body : '';
      const head = `${method} ${target} HTTP/1.1\r\n${HEAD}Content-Length: ${bytes.length}\r\n\r\n`;
      yield Buffer.from(head + bytes, 'latin1');
    }
  }
}

const DEPTHS = [129, 1_000, 60_000];
const CLIENT = '"clientInfo":{"name":"a","version":"1"}';
const META =
  '"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"a","version":"1"}';

/** Values where a message has an object; `deep` is JSON. */
const around = (deep: string): string[] => [
  `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2024-11-05","capabilities":{"experimental":{"x":${deep}}},${CLIENT}}}`,
  `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":${deep},${CLIENT}}}`,
  `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"x":${deep}}}}`,
  `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{},"_meta":{${META},"io.modelcontextprotocol/clientCapabilities":{"experimental":{"x":${deep}}}}}}`,
  `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"x":${deep}},"_meta":{${META},"io.modelcontextprotocol/clientCapabilities":{}}}}`,
  `{"jsonrpc":"2.0","method":"notifications/x","params":{"x":${deep}}}`,
  `{"jsonrpc":"2.0","id":1,"result":{"x":${deep}}}`,
  `{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"x","data":${deep}}}`,
  `{"jsonrpc":"2.0","id":${deep},"method":"ping"}`,
  `[{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":${deep}}}]`,
  deep,
];

const ODD_BODIES = [
  '',
  ' ',
  'null',
  'true',
  '"x"',
  '0',
  '[]',
  '{}',
  '[[]]',
  '\ufeff{}',
  '{',
  '['.repeat(100_000),
  '{"a":'.repeat(100_000),
  ']'.repeat(10_000),
  '{"jsonrpc":"2.0","id":1,"method":"__proto__"}',
  '{"jsonrpc":"2.0","id":1,"method":"constructor","params":{"__proto__":{"x":1}}}',
  '{"__proto__":{"method":"ping"},"jsonrpc":"2.0","id":1}',
  '{"jsonrpc":"2.0","id":"__proto__","method":"ping"}',
  '{"jsonrpc":"2.0","id":1e400,"method":"ping"}',
  '{"jsonrpc":"2.0","id":-0,"method":"ping"}',
  '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"__proto__"}}',
  '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"toJSON":1,"then":1}}}',
  '{"jsonrpc":"2.0","id":"\\ud800","method":"\\udfff","params":{}}',
  '{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":{"progressToken":{}}}}',
  '{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"//[::x"}}',
  '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}',
  `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"x","capabilities":{},${CLIENT}}}`,
];

const MODERN = 'MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: echo\r\n';
const SESSION = 'MCP-Protocol-Version: 2025-11-25\r\nMcp-Session-Id: unknown\r\n';

/** `messagePath`: where the messages of an open connection of the 2024-11-05 transport go. */
export function* bodies(messagePath: string): Generator<Buffer> {
  const deep = DEPTHS.flatMap((depth) => [nested(depth), objects(depth)]);
  for (const body of [...deep.flatMap(around), ...ODD_BODIES, Buffer.from([0xff, 0xfe, 0x7b, 0x7d])]) {
    yield post('/mcp', body);
    yield post('/mcp', body, MODERN);
    yield post('/mcp', body, SESSION);
    yield post(messagePath, body);
  }
}

const HEADER_VALUES = [
  '',
  ' ',
  '\t',
  '\xff\xfe\x80',
  '__proto__',
  '%zz',
  '//[::x',
  'http://[::x',
  '"',
  '"\\',
  ',,,;;;===',
  '=?base64?////?=',
  '=?base64?w6k=?=',
  'x'.repeat(8_000),
  ';'.repeat(4_000),
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
  'Cookie',
  'Forwarded',
  'X-Forwarded-For',
  'X-Forwarded-Host',
  'Access-Control-Request-Method',
  'Access-Control-Request-Headers',
  'Content-Encoding',
  'Expect',
  'Upgrade',
  '__proto__',
];

export function* headers(): Generator<Buffer> {
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
