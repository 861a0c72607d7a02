/**
 * Headers that mirror the body of a modern request (SEP-2243): `Mcp-Method`, `Mcp-Name`, and `Mcp-Param-*` for
 * arguments, which are compared as the body's JSON says.
 */
import { createServer } from 'node:http';
import { fromJsonSchema, McpServer, Server } from '@modelcontextprotocol/server';
import { describe, expect, onTestFinished, test } from 'vitest';
import { createMcpEndpoint } from '../../src/index.ts';
import { stdioServer } from '../../src/stdio/index.ts';
import type { RawClient, RawHeaders } from '../kit/raw-client.ts';
import { createLog } from '../kit/log.ts';
import { callModern, envelope, mirrored } from '../kit/modern.ts';
import { clientBehind } from '../kit/listening.ts';
import { serve } from '../kit/serve.ts';
import { perFace } from '../kit/sessions.ts';

const mirror = (type: string | string[], header: string) => ({ type, 'x-mcp-header': header });

const SCHEMA = {
  type: 'object' as const,
  properties: {
    region: mirror('string', 'Region'),
    note: mirror(['string', 'null'], 'Note'),
    dry: mirror('boolean', 'Dry'),
    count: mirror('integer', 'Count'),
    ratio: mirror('number', 'Ratio'),
    limit: mirror(['integer', 'null'], 'Limit'),
    where: {
      type: 'object',
      properties: {
        tenant: mirror('string', 'Tenant'),
        shard: { type: 'object', properties: { id: mirror('integer', 'Shard-Id') } },
      },
    },
  },
};
const inputSchema = fromJsonSchema<Record<string, unknown>>(SCHEMA);

/** `=?base64?ZWNobw==?=` is the text itself. */
const PROMPTS = [
  'hello',
  'café',
  ' padded ',
  '漢字',
  'with blank',
  '=?base64?ZWNobw==?=',
  'a\tb',
  '\ufeffmarked',
];

function createMirroredServer(): McpServer {
  const server = new McpServer({ name: 'mirrored', version: '1.0.0' });
  server.registerTool('query', { inputSchema }, () => ({ content: [] }));
  for (const name of PROMPTS) server.registerPrompt(name, {}, () => ({ messages: [] }));
  server.registerResource('note', 'note://1', {}, (uri) => ({
    contents: [{ uri: uri.href, text: 'noted' }],
  }));
  return server;
}

/** The bytes of UTF-8 as a header carries them. */
const rawUtf8 = (text: string): string => Buffer.from(text).toString('latin1');
const base64 = (text: string): string => `=?base64?${Buffer.from(text).toString('base64')}?=`;

interface Outcome {
  readonly text?: string | undefined;
  readonly status: number;
  readonly code: number | undefined;
  readonly error: string | undefined;
}

/** `args` is JSON text, as it goes over the wire. */
async function query(client: RawClient, args: string, params: RawHeaders): Promise<Outcome> {
  const name = 'query';
  const meta = JSON.stringify(envelope());
  const response = await client.post(
    `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"${name}","_meta":${meta},"arguments":${args}}}`,
    { headers: { ...mirrored('tools/call', { name }), ...params } },
  );
  const { id, error, result } = response.json() as {
    id: number;
    error?: { code: number; message: string };
    result?: { content: { text: string }[] };
  };
  expect(id).toBe(1);
  const text = result?.content[0]?.text;
  return { status: response.status, code: error?.code, error: error?.message, text };
}

const served: Outcome = { status: 200, code: undefined, error: undefined };
const mismatch = (header: string): Outcome => ({
  status: 400,
  code: -32020,
  error: expect.stringContaining(header) as string,
});
const refused = mismatch('mcp-param-');

const named = [
  ['tools/call', { name: 'query' }],
  ['prompts/get', { name: 'hello' }],
  ['resources/read', { uri: 'note://1' }],
] as const;

describe.each(perFace)('over $face', ({ serve }) => {
  const open = async () => (await serve(createMirroredServer)).client();

  /** Of a call with these headers instead of the right ones. */
  const outcome = async (
    method: string,
    params: Record<string, unknown>,
    headers: RawHeaders,
  ): Promise<Outcome> => {
    const { id, response, message } = await callModern(await open(), method, params, { headers });
    expect(message.id).toBe(id);
    return { status: response.status, code: message.error?.code, error: message.error?.message };
  };

  test.each([null, 'tools/list', 'TOOLS/CALL', 'tools/calls', '', 'tools/call, tools/call'])(
    'B156 Mcp-Method %j is not the method tools/call',
    async (method) => {
      expect(await outcome('tools/call', { name: 'query' }, { 'mcp-method': method })).toEqual(
        mismatch('Mcp-Method'),
      );
    },
  );

  test('B156 Mcp-Method must be there where nothing else is mirrored', async () => {
    expect(await outcome('tools/list', {}, { 'mcp-method': null })).toEqual(mismatch('Mcp-Method'));
  });

  test('B157 sessions know none of these headers', async () => {
    const client = await open();
    await client.initialize();
    const wrong = {
      'mcp-method': 'prompts/get',
      'mcp-name': 'other',
      'mcp-param-region': 'elsewhere',
    };
    for (const headers of [{}, wrong]) {
      const params = { name: 'query', arguments: { region: 'here' } };
      const { response, message } = await client.call('tools/call', params, { headers });
      expect([response.status, message.result]).toEqual([200, { content: [] }]);
    }
  });

  test.each(named)(
    'B156 B158 %s is served under its own Mcp-Name alone',
    async (method, params) => {
      expect(await outcome(method, params, {})).toEqual(served);
      for (const name of [null, 'another', Object.values(params).join().toUpperCase()])
        expect(await outcome(method, params, { 'mcp-name': name })).toEqual(mismatch('Mcp-Name'));
    },
  );

  test('B158 methods without a name need no Mcp-Name', async () => {
    expect(await outcome('tools/list', {}, { 'mcp-name': null })).toEqual(served);
    expect(await outcome('resources/list', {}, { 'mcp-name': 'whatever' })).toEqual(served);
  });

  test('B160 B223 blanks around a value are not part of it, and header names compare without case', async () => {
    const padded = {
      'MCP-PROTOCOL-VERSION': ' \t2026-07-28 ',
      'mCp-MeThOd': '  tools/call\t ',
      'MCP-NAME': '\tquery  ',
    };
    expect(await outcome('tools/call', { name: 'query' }, padded)).toEqual(served);
    const region = { 'mcp-param-region': ' here\t' };
    expect(
      await outcome('tools/call', { name: 'query', arguments: { region: 'here' } }, region),
    ).toEqual(served);
    // No-break spaces are no blanks of HTTP.
    expect(await outcome('tools/call', { name: 'query' }, { 'mcp-name': 'query\u00a0' })).toEqual(
      mismatch('Mcp-Name'),
    );
    expect(
      await outcome('tools/call', { name: 'query' }, { 'mcp-method': 'tools/call\u00a0' }),
    ).toEqual(mismatch('Mcp-Method'));
  });

  test.each([
    ['Base64', 'hello', base64('hello'), served],
    ['Base64, beyond ASCII', 'café', base64('café'), served],
    ['Base64, with blanks at both ends', ' padded ', base64(' padded '), served],
    ['Base64, beyond Latin-1', '漢字', base64('漢字'), served],
    ['Base64, with a tab', 'a\tb', base64('a\tb'), served],
    ['Base64, with a byte-order mark', '\ufeffmarked', base64('\ufeffmarked'), served],
    [
      'Base64 of the name after a byte-order mark',
      'hello',
      base64('\ufeffhello'),
      mismatch('Mcp-Name'),
    ],
    [
      'Base64, although it looks like it',
      '=?base64?ZWNobw==?=',
      base64('=?base64?ZWNobw==?='),
      served,
    ],
    [
      'the Base64 that it is itself',
      '=?base64?ZWNobw==?=',
      '=?base64?ZWNobw==?=',
      mismatch('Mcp-Name'),
    ],
    ['its own letters, with a blank', 'with blank', 'with blank', served],
    ['its own letters, with a blank and padded', 'with blank', ' with blank\t', served],
    ['raw UTF-8', 'café', rawUtf8('café'), mismatch('Mcp-Name')],
    ['raw Latin-1, which compares equal', 'café', 'café', mismatch('Mcp-Name')],
    ['blanks that HTTP takes away', ' padded ', ' padded ', mismatch('Mcp-Name')],
    ['Base64 of another name', 'hello', base64('query'), mismatch('Mcp-Name')],
    ['Base64 that is none', 'hello', '=?base64?hel-lo?=', mismatch('Mcp-Name')],
    ['Base64 without its padding', 'hello', '=?base64?aGVsbG8?=', mismatch('Mcp-Name')],
    ['Base64 with a blank in it', 'hello', '=?base64?aGVs bG8=?=', mismatch('Mcp-Name')],
    ['Base64 without its end', 'hello', '=?base64?aGVsbG8=', mismatch('Mcp-Name')],
    ['Base64 of no UTF-8', '\ufffd', '=?base64?/w==?=', mismatch('Mcp-Name')],
    [
      'markers in upper case',
      'hello',
      base64('hello').replace('base64', 'BASE64'),
      mismatch('Mcp-Name'),
    ],
  ])('B161 B223 a name in %s: %s as %s', async (_, name, header, expected) => {
    expect(await outcome('prompts/get', { name }, { 'mcp-name': header })).toEqual(expected);
  });

  test.each([
    ['a string', '{"region":"here"}', { 'mcp-param-region': 'here' }, served],
    ['a boolean', '{"dry":true}', { 'mcp-param-dry': 'true' }, served],
    ['an integer', '{"count":-7}', { 'mcp-param-count': '-7' }, served],
    ['one property down', '{"where":{"tenant":"t1"}}', { 'mcp-param-tenant': 't1' }, served],
    ['two properties down', '{"where":{"shard":{"id":3}}}', { 'mcp-param-shard-id': '3' }, served],
    ['a header in other letters', '{"region":"here"}', { 'MCP-PARAM-REGION': 'here' }, served],
    [
      'all together',
      '{"region":"r","count":1,"where":{"tenant":"t"}}',
      { 'mcp-param-region': 'r', 'mcp-param-count': '1', 'mcp-param-tenant': 't' },
      served,
    ],
    ['a string without its header', '{"region":"here"}', {}, refused],
    ['a boolean without its header', '{"dry":false}', {}, refused],
    ['zero without its header', '{"count":0}', {}, refused],
    ['one property down without its header', '{"where":{"tenant":"t1"}}', {}, refused],
    ['two properties down without its header', '{"where":{"shard":{"id":3}}}', {}, refused],
    [
      'two of them, with one header',
      '{"region":"here","dry":true}',
      { 'mcp-param-region': 'here' },
      refused,
    ],
    ['none of them', '{}', {}, served],
    ['null', '{"limit":null}', {}, served],
    [
      'null, and a header that means nothing then',
      '{"limit":null}',
      { 'mcp-param-limit': '5' },
      served,
    ],
    ['none, and a header that means nothing then', '{}', { 'mcp-param-region': 'here' }, served],
  ])('B162 %s', async (_, args, headers, outcome) => {
    expect(await query(await open(), args, headers)).toEqual(outcome);
  });

  test.each([
    ['{"region":""}', { 'mcp-param-region': '' }, served],
    ['{"region":"here"}', { 'mcp-param-region': '' }, refused],
    ['{"region":""}', { 'mcp-param-region': 'here' }, refused],
    ['{"region":""}', {}, refused],
    ['{"count":0}', { 'mcp-param-count': '' }, refused],
  ])(
    'B163 an empty header is an empty string and nothing else: %s, %j',
    async (args, headers, outcome) => {
      expect(await query(await open(), args, headers)).toEqual(outcome);
    },
  );

  test.each([
    ['a line break', 'line1\nline2', 'line1 line2'],
    ['a NUL', 'a\0b', 'ab'],
    ['an escape', '\u001b[0m', '[0m'],
  ])('B164 %s comes in Base64 and in no other way', async (_, region, plain) => {
    const args = JSON.stringify({ region });
    expect(await query(await open(), args, { 'mcp-param-region': base64(region) })).toEqual(served);
    expect(await query(await open(), args, { 'mcp-param-region': plain })).toEqual(refused);
  });

  const spellings = ['42', '42.0', '4.2e1', '420e-1', '4200E-2', '0.42e+2'];
  const pairs = spellings.flatMap((header) =>
    spellings.map((body): [string, string] => [header, body]),
  );

  test.each(['count', 'limit'])('B165 the spellings of 42 are one number, in %s', async (param) => {
    const client = await open();
    for (const [header, body] of pairs) {
      const outcome = await query(client, `{"${param}":${body}}`, {
        [`mcp-param-${param}`]: header,
      });
      expect({ header, body, ...outcome }).toEqual({ header, body, ...served });
    }
  });

  test.each([
    ['B166', 'exact', ['9007199254740991', '-9007199254740991', '0', '-0'], served],
    [
      'B166',
      'beyond what is exact',
      ['9007199254740992', '9007199254740993', '-9007199254740992'],
      refused,
    ],
    [
      'B166',
      'far beyond it',
      ['1e100', '1e400', '123456789012345678901234567890123456789'],
      refused,
    ],
    ['B167', 'no integer', ['42.5', '12e-1', '4.25e1'], refused],
  ])('%s a number that is %s, equal on both sides: %j', async (_, __, numbers, outcome) => {
    const client = await open();
    for (const number of numbers) {
      const got = await query(client, `{"count":${number}}`, { 'mcp-param-count': number });
      expect(got, number).toEqual(outcome);
    }
  });

  test('B168 another number, or none, is not 42', async () => {
    const client = await open();
    for (const header of ['43', '-42', '4.2', '420', '0x2a', '+42', '4 2', '42,42', 'forty-two']) {
      for (const param of ['count', 'limit'])
        expect(
          await query(client, `{"${param}":42}`, { [`mcp-param-${param}`]: header }),
          header,
        ).toEqual(refused);
    }
  });

  test('B168 a number that is not declared an integer is compared as the SDK compares it', async () => {
    const client = await open();
    expect(await query(client, '{"ratio":0.5}', { 'mcp-param-ratio': '0.50' })).toEqual(served);
    expect(await query(client, '{"ratio":42}', { 'mcp-param-ratio': '42.0' })).toEqual(served);
    expect(await query(client, '{"ratio":0.5}', { 'mcp-param-ratio': '0.6' })).toEqual(refused);
    expect(await query(client, '{"ratio":0.5}', {})).toEqual(refused);
  });

  test('B168 of two members of one name the last counts', async () => {
    const args = '{"count":1,"where":{"tenant":"a,}\\"{","tenant":"b"},"count": 2 }';
    const right = { 'mcp-param-count': '2', 'mcp-param-tenant': 'b' };
    expect(await query(await open(), args, right)).toEqual(served);
    expect(await query(await open(), args, { ...right, 'mcp-param-count': '1' })).toEqual(refused);
  });
});

/** Its tool says how often it ran. `lists`: what it answers to `tools/list`. */
function lowLevel(lists = () => [{ name: 'query', inputSchema: SCHEMA }]): () => Server {
  let runs = 0;
  return () => {
    const server = new Server(
      { name: 'low', version: '1.0.0' },
      { capabilities: { tools: { listChanged: true } } },
    );
    server.setRequestHandler('tools/list', () => ({ tools: lists() }));
    server.setRequestHandler('tools/call', () => ({
      content: [{ type: 'text' as const, text: String((runs += 1)) }],
    }));
    return server;
  };
}

/** The same as a program on stdio. */
const PROGRAM = `
let runs = 0;
const INFO = { name: 'program', version: '1.0.0' };
const capabilities = { tools: {} };
const METHODS = {
  initialize: ({ protocolVersion }) => ({ protocolVersion, capabilities, serverInfo: INFO }),
  ping: () => ({}),
  'tools/list': () => ({ tools: [{ name: 'query', inputSchema: ${JSON.stringify(SCHEMA)} }] }),
  'tools/call': () => ({ content: [{ type: 'text', text: String((runs += 1)) }] }),
};
require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => {
  const { id, method, params } = JSON.parse(line);
  if (id === undefined) return;
  const result = METHODS[method]?.(params);
  const error = { code: -32601, message: 'Method not found' };
  console.log(JSON.stringify({ jsonrpc: '2.0', id, ...(result ? { result } : { error }) }));
});`;

function program() {
  const made = stdioServer({ command: process.execPath, args: ['-e', PROGRAM], oneChild: true });
  onTestFinished(() => made.close());
  return made;
}

describe('a server that is asked for its list', () => {
  const runs = async (client: RawClient, params: RawHeaders): Promise<unknown> => {
    const outcome = await query(client, '{"region":"here","where":{"tenant":"t"}}', params);
    return outcome.status === 200 ? outcome.text : outcome;
  };
  const right = { 'mcp-param-region': 'here', 'mcp-param-tenant': 't' };

  test.each([
    ['a low-level server', lowLevel],
    ['a program', program],
  ])(
    'B162 %s: a header that differs, or is missing where its last list asks for it',
    async (_, made) => {
      const client = (await serve(made())).client();
      expect(await runs(client, { ...right, 'mcp-param-tenant': 'u' })).toEqual(refused);
      expect(await runs(client, { 'mcp-param-region': 'here' })).toEqual(refused);
      expect(await runs(client, right)).toBe('1');
      expect((await callModern(client, 'tools/list')).message.result).toBeDefined();
      expect(await runs(client, {})).toEqual(refused);
      expect(await runs(client, right)).toBe('2');
    },
  );

  test('B162 a list that fails compares nothing, and neither does one that asks for no header', async () => {
    let tools = (): { name: string; inputSchema: typeof SCHEMA }[] => {
      throw new Error('no list today');
    };
    const client = (await serve(lowLevel(() => tools()))).client();
    expect(await runs(client, { 'mcp-param-region': 'there' })).toBe('1');
    tools = () => [{ name: 'query', inputSchema: SCHEMA }];
    await callModern(client, 'tools/list');
    expect(await runs(client, {})).toEqual(refused);
    tools = () => [{ name: 'query', inputSchema: { ...SCHEMA, properties: {} as never } }];
    await callModern(client, 'tools/list');
    expect(await runs(client, {})).toBe('2');
  });
});

test('B157 stateless serving of the 2025 era knows none of these headers either', async () => {
  const { client } = await serve(createMirroredServer, { stateless: true });
  const headers = {
    'mcp-method': 'prompts/get',
    'mcp-name': 'other',
    'mcp-param-region': 'elsewhere',
  };
  const params = { name: 'query', arguments: { region: 'here' } };
  const { response, message } = await client().call('tools/call', params, {
    headers,
    version: '2025-11-25',
  });
  expect([response.status, message.result]).toEqual([200, { content: [] }]);
});

describe('behind a body parser', () => {
  const open = async (): Promise<RawClient> => {
    const endpoint = createMcpEndpoint(createMirroredServer, { logger: createLog() });
    const server = createServer((req, res) => {
      let text = '';
      req.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      req.on('end', () => endpoint.node(req, res, JSON.parse(text)));
    });
    const client = await clientBehind(server, endpoint);
    return client;
  };

  test('B166 the parsed number is what there is to compare with', async () => {
    const client = await open();
    expect(await query(client, '{"count":4.2e1}', { 'mcp-param-count': '42.0' })).toEqual(served);
    expect(
      await query(client, '{"count":42.000000000000000000001}', { 'mcp-param-count': '42' }),
    ).toEqual(served);
    expect(await query(client, '{"count":43}', { 'mcp-param-count': '42' })).toEqual(refused);
    for (const number of ['9007199254740992', '1e100', '42.5']) {
      expect(await query(client, `{"count":${number}}`, { 'mcp-param-count': number })).toEqual(
        refused,
      );
    }
  });
});
