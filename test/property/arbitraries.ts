/** Inputs that clients might send, from arbitrary bytes to almost valid messages. */
import fc from 'fast-check';
import { envelope } from '../kit/modern.ts';

/** The usual value often enough that many inputs pass the first checks. */
const mostly = <T>(usual: T, ...others: fc.Arbitrary<T>[]): fc.Arbitrary<T> =>
  fc.oneof({ weight: 12 * others.length, arbitrary: fc.constant(usual) }, ...others);

/** The characters that a header may hold: tab, blank, visible ASCII and Latin-1. */
const headerText = fc
  .array(fc.oneof(fc.integer({ min: 0x20, max: 0x7e }), fc.integer({ min: 0x80, max: 0xff })), {
    maxLength: 40,
  })
  .map((codes) => String.fromCharCode(...codes));

type Header = fc.Arbitrary<string | null | undefined>;

const version: Header = mostly<string | null | undefined>(
  undefined,
  fc.constantFrom(
    '2025-11-25',
    '2026-07-28',
    '2025-06-18',
    '2025-03-26',
    '2024-11-05',
    '1999-01-01',
  ),
  headerText,
);

const seldom: Header = mostly<string | null | undefined>(undefined, headerText);

/** `mcp-session-id: live` is replaced by the id of a live session. */
export const headers = fc.record({
  accept: mostly<string | null | undefined>(
    'application/json, text/event-stream',
    fc.constantFrom(
      '*/*',
      'application/json',
      'text/event-stream',
      'text/*;q=0.5, application/*',
      null,
    ),
    headerText,
  ),
  'content-type': mostly<string | null | undefined>(
    'application/json',
    fc.constantFrom('application/json; charset=utf-8', 'text/plain', null),
    headerText,
  ),
  'mcp-session-id': mostly<string | null | undefined>(
    'live',
    fc.constantFrom(null, '', 'unknown'),
    headerText,
  ),
  'mcp-protocol-version': version,
  'last-event-id': seldom,
  origin: mostly<string | null | undefined>(
    undefined,
    fc.constantFrom('http://localhost:3000', 'null', 'https://evil.example'),
    headerText,
  ),
  'mcp-method': seldom,
  'mcp-name': seldom,
  'mcp-param-anything': seldom,
});

export type Headers = typeof headers extends fc.Arbitrary<infer T> ? T : never;

const json = fc.jsonValue({ maxDepth: 3 });

const id = fc.oneof(
  fc.nat({ max: 20 }),
  fc.string({ maxLength: 10 }),
  fc.constantFrom(null, 2 ** 53, -1, 1.5, true, '__proto__', ''),
  json,
);

const TOOLS = ['echo', 'fail', 'chatty', 'unknown'];

const METHODS = [
  'initialize',
  'ping',
  'tools/list',
  'tools/call',
  'resources/list',
  'resources/read',
  'resources/templates/list',
  'resources/subscribe',
  'resources/unsubscribe',
  'prompts/list',
  'prompts/get',
  'completion/complete',
  'logging/setLevel',
  'server/discover',
  'subscriptions/listen',
  'notifications/initialized',
  'notifications/cancelled',
  'notifications/progress',
  'notifications/roots/list_changed',
  'roots/list',
  'sampling/createMessage',
  'elicitation/create',
  'tasks/get',
];

const handshake = fc.record({
  protocolVersion: fc.oneof(
    fc.constantFrom('2025-11-25', '2025-06-18', '2025-03-26', '2026-07-28', 'x'),
    json,
  ),
  capabilities: fc.oneof(fc.constantFrom({}, { elicitation: {}, sampling: {}, roots: {} }), json),
  clientInfo: mostly<unknown>({ name: 'any', version: '1' }, json),
});

const meta = fc.oneof(
  fc.constant(undefined),
  fc.constant(envelope()),
  fc.record({ progressToken: id }),
  fc.record({
    'io.modelcontextprotocol/protocolVersion': json,
    'io.modelcontextprotocol/clientCapabilities': json,
  }),
  json,
);

const params = fc.oneof(
  fc.constant(undefined),
  json,
  handshake,
  fc.record({
    name: fc.constantFrom(...TOOLS),
    arguments: fc.oneof(fc.dictionary(fc.string(), json), json),
    _meta: meta,
  }),
  fc.record({ uri: fc.oneof(fc.constant('note://a'), fc.string()), _meta: meta }),
  fc.record({
    requestId: id,
    progressToken: id,
    progress: json,
    level: fc.oneof(fc.constant('info'), json),
  }),
);

const method = fc.oneof(fc.constantFrom(...METHODS), fc.string(), json);

/** Members vary; `undefined` members are omitted from the JSON. */
const loose = fc.record(
  {
    jsonrpc: mostly<unknown>('2.0', json),
    id,
    method,
    params,
    result: fc.oneof(fc.constant(undefined), json),
    error: fc.oneof(fc.constant(undefined), fc.record({ code: json, message: json }), json),
    extra: fc.oneof(fc.constant(undefined), json),
  },
  { requiredKeys: [] },
);

/** A request that is valid JSON-RPC. */
export const request = fc.record({
  jsonrpc: fc.constant('2.0'),
  id: fc.oneof(fc.maxSafeInteger(), fc.string({ maxLength: 20 })),
  method: fc.oneof(fc.constantFrom(...METHODS), fc.string({ maxLength: 20 })),
  params: fc.oneof(
    fc.constant(undefined),
    fc.dictionary(fc.string(), json),
    fc.record({ name: fc.constantFrom(...TOOLS), arguments: fc.dictionary(fc.string(), json) }),
    fc.record({ uri: fc.constantFrom('note://a', 'note://b', 'x') }),
    fc.record({ level: fc.constantFrom('info', 'x') }),
    handshake,
  ),
});

const silent = fc.oneof(
  fc.record({ jsonrpc: fc.constant('2.0'), method: fc.constantFrom(...METHODS), params }),
  fc.record({
    jsonrpc: fc.constant('2.0'),
    id: fc.string(),
    result: fc.dictionary(fc.string(), json),
  }),
  fc.record({
    jsonrpc: fc.constant('2.0'),
    id: fc.nat(),
    error: fc.record({ code: fc.integer(), message: fc.string(), data: json }),
  }),
);

const initialize = handshake.map((shaken) => ({
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: shaken,
}));

const message = fc.oneof(loose, request, silent, initialize);

/** `JSON.parse` accepts it, and recursive code overflows on it. */
const deep = fc
  .nat({ max: 20_000 })
  .map(
    (n) =>
      `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":${'{"a":'.repeat(n)}1${'}'.repeat(n)}}}`,
  );

export const body: fc.Arbitrary<string | Uint8Array> = fc.oneof(
  { weight: 6, arbitrary: message.map((value) => JSON.stringify(value)) },
  {
    weight: 2,
    arbitrary: fc.array(message, { maxLength: 4 }).map((value) => JSON.stringify(value)),
  },
  { weight: 1, arbitrary: json.map((value) => JSON.stringify(value)) },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 200 }) },
  { weight: 1, arbitrary: fc.string({ maxLength: 200, unit: 'binary' }) },
  { weight: 1, arbitrary: deep },
  // A message that is cut off.
  {
    weight: 1,
    arbitrary: fc
      .tuple(message, fc.nat({ max: 200 }))
      .map(([value, n]) => JSON.stringify(value).slice(0, n)),
  },
);

export const httpMethod = fc.oneof(
  { weight: 12, arbitrary: fc.constant('POST') },
  { weight: 2, arbitrary: fc.constantFrom('GET', 'DELETE') },
  { weight: 1, arbitrary: fc.constantFrom('HEAD', 'PUT', 'PATCH', 'OPTIONS') },
);
