/** Requests that no client sends, as the bytes of HTTP/1.1. */

const HEAD = 'Host: localhost\r\nAccept: application/json, text/event-stream\r\nContent-Type: application/json\r\n';

export const nested = (depth: number, open = '[', close = ']'): string => open.repeat(depth) + close.repeat(depth);

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
