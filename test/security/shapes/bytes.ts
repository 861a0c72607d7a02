/** The bytes of the requests of a shape. */
import type { Place, Shape, ValueKind } from './shape.ts';

const MODERN = '2026-07-28';
const VERSION = '2025-11-25';

/** Characters that no other element of any request has. */
const word = (n: number, request: number, size: number): string =>
  `${n.toString(36)}-${request.toString(36)}`.padEnd(size, 'x').slice(0, Math.max(size, 6));

const nested = (open: string, close: string, depth: number): string =>
  open.repeat(depth) + close.repeat(depth);

type Element = (n: number, request: number, shape: Shape) => string;

const ELEMENTS: Readonly<Record<ValueKind, Element>> = {
  text: (n, request, { size }) => `"${word(n, request, size)}"`,
  'wide text': (n, request, { size }) => `"ж${word(n, request, size)}"`,
  escapes: (_, request, { size }) =>
    `"${String.raw`\u0000`.repeat(Math.ceil(size / 6))}${request}"`,
  'empty objects': () => '{}',
  'empty arrays': () => '[]',
  'nested arrays': (_, __, { depth }) => nested('[', ']', depth),
  'nested objects': (_, __, { depth }) => `${'{"a":'.repeat(depth)}0${'}'.repeat(depth)}`,
  keys: (n, request, { size }) => `"${word(n, request, Math.min(size, 200))}":0`,
  'equal keys': () => '{"a":0,"b":{}}',
  'numbers as keys': (n, request) => `"${n * 1_000 + request}":0`,
  integers: (n) => String(n % 10),
  fractions: (n) => `${n}.5`,
  'separate numbers': () => '-0',
  'short texts': (n) => `"${n.toString(36)}"`,
  'wide texts': (n) => `"${n.toString(36)}ж"`,
  URIs: (n, request, { size }) => `"small://${word(n, request, Math.min(size, 8_000))}"`,
  'equal URIs': (_, __, { size }) => `"small://${'x'.repeat(Math.min(size, 8_000))}"`,
  booleans: () => 'true',
};

/** Values that are a text where there is one of them, and an array where there are more. */
const ALONE: ReadonlySet<ValueKind> = new Set([
  'text',
  'wide text',
  'escapes',
  'URIs',
  'equal URIs',
]);

function valueText(shape: Shape, request: number): string {
  const { value, count } = shape;
  const elements = Array.from({ length: count }, (_, n) => ELEMENTS[value](n, request, shape));
  if (value === 'keys' || value === 'numbers as keys') return `{${elements.join()}}`;
  return count === 1 && ALONE.has(value) ? elements.join() : `[${elements.join()}]`;
}

type Members = Readonly<Record<string, string>>;

/** JSON texts by name. */
const written = (members: Members): string =>
  `{${Object.entries(members)
    .map(([name, text]) => `${JSON.stringify(name)}:${text}`)
    .join()}}`;

const ENVELOPE: Members = {
  'io.modelcontextprotocol/protocolVersion': `"${MODERN}"`,
  'io.modelcontextprotocol/clientInfo': '{"name":"shape","version":"1"}',
  'io.modelcontextprotocol/clientCapabilities': '{}',
};

function argumentsOf(tool: string | undefined, { answer }: Shape): Members {
  switch (tool) {
    case 'echo':
      return { text: '"x"' };
    case 'big':
    case 'last':
      return { bytes: String(answer) };
    case 'long':
      return {
        events: String(1 + Math.floor(answer / 50_000)),
        bytes: String(Math.min(answer, 50_000)),
      };
    case 'keep':
      return { value: `"${'x'.repeat(Math.min(answer, 300_000))}"` };
    case 'wait':
      return { ms: '20000' };
    default:
      return {};
  }
}

/** The parameters that a method has by itself. */
function ownParams(shape: Shape, request: number): Members {
  const [method, tool] = shape.method.split(' ');
  const { era } = shape;
  switch (method) {
    case 'tools/call':
      return { name: `"${tool}"`, arguments: written(argumentsOf(tool, shape)) };
    case 'initialize':
      return {
        protocolVersion: `"${era === 'sse' ? '2024-11-05' : shape.batch > 1 ? '2025-03-26' : VERSION}"`,
        capabilities: '{"roots":{}}',
        clientInfo: '{"name":"shape","version":"1"}',
      };
    case 'prompts/get':
      return { name: '"greet"', arguments: '{"name":"x"}' };
    case 'resources/read':
    case 'resources/subscribe':
    case 'resources/unsubscribe':
      return { uri: `"small://${request}"` };
    case 'completion/complete':
      return {
        ref: '{"type":"ref/resource","uri":"small://{name}"}',
        argument: '{"name":"name","value":"x"}',
      };
    case 'logging/setLevel':
      return { level: '"debug"' };
    case 'notifications/cancelled':
      return { requestId: String(request - 1) };
    case 'notifications/progress':
      return { progressToken: '1', progress: '1' };
    case 'subscriptions/listen':
      return { notifications: '{"toolsListChanged":true,"resourceSubscriptions":["small://x"]}' };
    default:
      return {};
  }
}

function placed(own: Members, place: Place, text: string, shape: Shape): Members {
  switch (place) {
    case '_meta':
      return { ...own, _meta: `{"x":${text}}` };
    case 'more':
      return { ...own, more: text };
    case 'progressToken':
      return { ...own, _meta: `{"progressToken":${text}}` };
    case 'arguments':
      return {
        ...own,
        arguments: `${(own['arguments'] ?? '{"ms":20000}').slice(0, -1)},"x":${text}}`,
      };
    case 'capabilities':
      return { ...own, capabilities: `{"roots":{},"experimental":{"x":{"y":${text}}}}` };
    case 'clientInfo':
      return { ...own, clientInfo: `{"name":"shape","version":"1","icons":${text}}` };
    case 'uris':
      return shape.method === 'subscriptions/listen'
        ? { ...own, notifications: `{"resourceSubscriptions":${text}}` }
        : { ...own, uri: text };
    case 'log level':
      return { ...own, level: text };
    case 'ref':
      return { ...own, ref: text, argument: `{"name":"name","value":${text}}` };
    case 'name':
    case 'uri':
    case 'cursor':
      return { ...own, [place]: text };
    case 'id':
    case 'result':
      return own;
  }
}

/** One message. `request` is its number, and makes its id and its values different from all others. */
function messageText(shape: Shape, request: number, text: string): string {
  const [method = ''] = shape.method.split(' ');
  const id = shape.place === 'id' ? text : String(request);
  if (method === 'answer')
    return written({ jsonrpc: '"2.0"', id, result: shape.place === 'id' ? '{}' : `{"x":${text}}` });
  if (method === 'error')
    return written({ jsonrpc: '"2.0"', id, error: `{"code":1,"message":"x","data":${text}}` });
  const given = placed(ownParams(shape, request), shape.place, text, shape);
  const meta = { ...(given['_meta'] !== undefined && { more: given['_meta'] }), ...ENVELOPE };
  const params = shape.era === '2026' ? { ...given, _meta: written(meta) } : given;
  const isNotification = method.startsWith('notifications/');
  return written({
    jsonrpc: '"2.0"',
    ...(!isNotification && { id }),
    method: `"${method}"`,
    params: written(params),
  });
}

function bodyText(shape: Shape, request: number): string {
  const text = valueText(shape, request);
  const { batch } = shape;
  if (batch <= 1) return messageText(shape, request, text);
  return `[${Array.from({ length: batch }, (_, n) => messageText(shape, request * batch + n, text)).join()}]`;
}

/** More chunks of one body keep the client busier than the server. */
const MOST_CHUNKS = 50_000;

export interface Target {
  /** The path with its query. */
  readonly path: string;
  readonly sessionId?: string | undefined;
  readonly lastEventId?: string | undefined;
}

function headOf(shape: Shape, target: Target): string[] {
  const [method = '', tool] = shape.method.split(' ');
  const http = /^[A-Z]+$/.test(method) ? method : 'POST';
  const name = method === 'tools/call' ? tool : method === 'prompts/get' ? 'greet' : undefined;
  const { sessionId, lastEventId, path } = target;
  return [
    `${http} ${path} HTTP/1.1`,
    'Host: localhost',
    'Content-Type: application/json',
    `Accept: ${http === 'GET' ? 'text/event-stream' : 'application/json, text/event-stream'}`,
    ...(shape.named ? ['X-User: attacker'] : []),
    ...(shape.face === 'parsed' ? ['X-Parsed: yes'] : []),
    ...(shape.era === '2026' ? [`Mcp-Protocol-Version: ${MODERN}`, `Mcp-Method: ${method}`] : []),
    ...(shape.era === '2026' && name !== undefined ? [`Mcp-Name: ${name}`] : []),
    ...(sessionId === undefined || method === 'initialize' ? [] : [`Mcp-Session-Id: ${sessionId}`]),
    ...(lastEventId === undefined ? [] : [`Last-Event-ID: ${lastEventId}`]),
    ...Array.from({ length: shape.headers }, (_, n) => `X-${n}: ${'x'.repeat(shape.headerSize)}`),
  ];
}

/** The bytes of one request. */
export function requestBytes(shape: Shape, target: Target, request: number): Buffer {
  const head = headOf(shape, target);
  if (!head[0]?.startsWith('POST')) return Buffer.from(`${head.join('\r\n')}\r\n\r\n`);
  const body = Buffer.from(bodyText(shape, request));
  if (shape.chunk === 0) {
    return Buffer.concat([
      Buffer.from(`${head.join('\r\n')}\r\nContent-Length: ${body.length}\r\n\r\n`),
      body,
    ]);
  }
  const parts: Buffer[] = [
    Buffer.from(`${head.join('\r\n')}\r\nTransfer-Encoding: chunked\r\n\r\n`),
  ];
  const bytes = Math.max(shape.chunk, Math.ceil(body.length / MOST_CHUNKS));
  for (let at = 0; at < body.length; at += bytes) {
    const part = body.subarray(at, at + bytes);
    parts.push(Buffer.from(`${part.length.toString(16)}\r\n`), part, Buffer.from('\r\n'));
  }
  return Buffer.concat([...parts, Buffer.from('0\r\n\r\n')]);
}
