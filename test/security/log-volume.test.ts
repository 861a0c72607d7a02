// @module-tag matrix
/**
 * What hostile requests can write into the log. Every value that a client chooses is 100 KB or as long as HTTP lets it
 * be; the log stays small at every level. What cuts a text also keeps it in its line (`test/base/options/log-fields.test.ts`).
 */
import { inspect } from 'node:util';
import { describe, expect, onTestFinished, test } from 'vitest';
import { createMcpEndpoint, type McpEndpointOptions } from '../../src/index.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import type { RawClient, RawHeaders } from '../kit/raw-client.ts';
import { createLab } from '../kit/lab.ts';
import { createLog, type LogLine } from '../kit/log.ts';
import { envelope, mirrored } from '../kit/modern.ts';
import { serve, type Served } from '../kit/serve.ts';

const REQUESTS = 20;
const HUGE = 'A'.repeat(100_000);
/** Node takes 16 KiB of header. */
const LONG = 12_000;

interface Attack {
  readonly body: unknown;
  readonly headers?: RawHeaders;
}

const request = (method: string, params?: object, id: string | number = 1) => ({
  jsonrpc: '2.0',
  id,
  method,
  params,
});
/** An `initialize` with this change, outside of the session. */
const opening = (change: object): Attack => {
  const params = {
    protocolVersion: '2025-11-25',
    capabilities: {},
    clientInfo: { name: 'c', version: '1' },
  };
  const headers = { 'mcp-session-id': null, 'mcp-protocol-version': null };
  return { body: request('initialize', { ...params, ...change }), headers };
};
const printable = (value: string): string => value.replace(/[^\x20-\x7e]/g, '').slice(0, LONG);

/** Each by the value that is chosen. */
function attacks(value: string): Record<string, Attack> {
  const header = printable(value);
  const modern = (
    method: string,
    params: object,
    meta: Record<string, unknown> = {},
    headers: RawHeaders = {},
  ): Attack => ({
    body: request(method, { ...params, _meta: envelope({}, meta) }),
    headers: { ...mirrored(printable(method)), 'mcp-session-id': null, ...headers },
  });
  return {
    'the id of an answer': { body: { jsonrpc: '2.0', id: value, result: {} } },
    'the id of an error': {
      body: { jsonrpc: '2.0', id: value, error: { code: 1, message: value } },
    },
    'the id of a request': { body: request('tools/call', { name: 'echo', arguments: {} }, value) },
    'an id that is twice in a batch': {
      body: [request('ping', {}, value), request('ping', {}, value)],
    },
    'a method': { body: request(value) },
    'a notification': { body: { jsonrpc: '2.0', method: value } },
    'a member': { body: { ...request('ping'), [value]: 1 } },
    'the name of a tool': { body: request('tools/call', { name: value, arguments: {} }) },
    'an argument': {
      body: request('tools/call', { name: 'echo', arguments: { [value]: value, text: 5 } }),
    },
    'a resource': { body: request('resources/read', { uri: value }) },
    'a subscription': { body: request('resources/subscribe', { uri: [value] }) },
    'a prompt': { body: request('prompts/get', { name: value }) },
    'a log level': { body: request('logging/setLevel', { level: value }) },
    'a cursor': { body: request('tools/list', { cursor: { [value]: value } }) },
    'a progress token': { body: request('ping', { _meta: { progressToken: [value] } }) },
    'a version of initialize': opening({ protocolVersion: value }),
    'a client': opening({ clientInfo: { name: value, version: 5 } }),
    capabilities: opening({
      capabilities: { [value]: value, roots: { [value]: 1 }, sampling: value },
    }),
    'a second initialize': { body: opening({ protocolVersion: value }).body },
    'the header MCP-Protocol-Version': {
      body: request('ping'),
      headers: { 'mcp-protocol-version': header },
    },
    'the header Host': { body: request('ping'), headers: { host: header } },
    'the header Origin': { body: request('ping'), headers: { origin: header } },
    'the header Content-Type': { body: request('ping'), headers: { 'content-type': header } },
    'the header Accept': { body: request('ping'), headers: { accept: header } },
    'the header Mcp-Session-Id': { body: request('ping'), headers: { 'mcp-session-id': header } },
    'a method of 2026-07-28': modern(value, {}),
    'a tool of 2026-07-28': modern(
      'tools/call',
      { name: value, arguments: {} },
      {},
      { 'mcp-name': header },
    ),
    'a name that no header mirrors': modern(
      'tools/call',
      { name: value, arguments: {} },
      {},
      { 'mcp-name': 'echo' },
    ),
    'the header Mcp-Method': modern('ping', {}, {}, { 'mcp-method': header }),
    'the header Mcp-Name': modern(
      'tools/call',
      { name: 'echo', arguments: {} },
      {},
      { 'mcp-name': header },
    ),
    'a version of 2026-07-28': modern(
      'tools/list',
      {},
      { 'io.modelcontextprotocol/protocolVersion': value },
    ),
    'a version on both sides': modern(
      'tools/list',
      {},
      { 'io.modelcontextprotocol/protocolVersion': `2027-${header}` },
      { 'mcp-protocol-version': `2027-${header}` },
    ),
    'capabilities of 2026-07-28': modern(
      'tools/list',
      {},
      {
        'io.modelcontextprotocol/clientCapabilities': {
          [value]: value,
          roots: value,
          elicitation: { [value]: 1 },
        },
      },
    ),
    'a client of 2026-07-28': modern(
      'tools/list',
      {},
      { 'io.modelcontextprotocol/clientInfo': { name: [value] } },
    ),
    'a subscription of 2026-07-28': modern('subscriptions/listen', {
      notifications: { [value]: value },
    }),
  };
}

const modes: [string, McpEndpointOptions][] = [
  ['hybrid', { allowedHosts: ['127.0.0.1'] }],
  ['stateless', { sessionMode: 'stateless', allowedHosts: ['127.0.0.1'] }],
  ['stateful', { sessionMode: 'stateful' }],
  ['json', { responseMode: 'json' }],
];

/** As a JSON logger writes it: of an error its text and its causes. */
const written = ({ level, fields, message }: LogLine): string =>
  `${JSON.stringify({ level, ...fields, msg: message }, (_key, value: unknown) =>
    value instanceof Error
      ? Object.assign({}, value, { message: value.message, stack: value.stack, cause: value.cause })
      : value,
  )}\n`;

const bytesOf = (lines: readonly LogLine[]): number =>
  lines.reduce(
    (sum, line) => sum + Buffer.byteLength(written(line)) + Buffer.byteLength(inspect(line.fields)),
    0,
  );

const settle = (): Promise<void> => new Promise((done) => setTimeout(done, 5));

async function opened(options: McpEndpointOptions): Promise<{ served: Served; client: RawClient }> {
  const served = await serve(createLab().factory, options);
  const client = served.client({ timeoutMs: 20_000 });
  if (options.sessionMode === 'stateless') client.protocolVersion = '2025-11-25';
  else await client.initialize();
  return { served, client };
}

async function attack(
  { client }: { client: RawClient },
  { body, headers }: Attack,
): Promise<{ status: number; text: string }> {
  const response = await client.post(body, { headers });
  await settle();
  response.abort();
  return { status: response.status, text: response.body };
}

describe.each(modes)('in the mode %s', (_mode, options) => {
  test(
    `${REQUESTS} hostile requests of every kind write at most 64 KiB each, whatever the level`,
    { timeout: 120_000 },
    async () => {
      const found: Record<string, number> = {};
      for (const [name, one] of Object.entries(attacks(HUGE))) {
        const { served, client } = await opened(options);
        served.log.lines.length = 0;
        await Promise.all(Array.from({ length: REQUESTS }, () => attack({ client }, one)));
        const bytes = bytesOf(served.log.lines);
        if (bytes > 65_536) found[name] = bytes;
        client.close();
        await served.endpoint.close({ timeoutMs: 0 });
      }
      expect(found).toEqual({});
    },
  );

  test('an error of ours answers with at most 64 characters of what the client chose', async () => {
    const { client } = await opened(options);
    const long: Record<string, number> = {};
    for (const [name, one] of Object.entries(attacks('B'.repeat(10_000)))) {
      const { status, text } = await attack({ client }, one);
      // With 200 the SDK answers.
      if (status < 400 || !text.startsWith('{')) continue;
      const { error } = JSON.parse(text) as { error?: { message: string; data?: unknown } };
      const run = Math.max(
        0,
        ...[...JSON.stringify(error ?? null).matchAll(/B+/g)].map(([run]) => run.length),
      );
      if (run > 64) long[name] = run;
    }
    expect(long).toEqual({});
  });
});

test('any number of requests write a thousand lines in a second, and one with the number of the others', async () => {
  const time = createFakeTime();
  const log = createLog();
  const options = { accessLog: true, timeProvider: time, logger: log } as const;
  const endpoint = createMcpEndpoint(createLab().factory, options);
  onTestFinished(() => endpoint.close({ timeoutMs: 0 }));
  const url = 'http://localhost/mcp';
  for (let n = 0; n < 1_500; n++) await endpoint.fetch(new Request(url, { method: 'PUT' }));
  expect(log.matching(/^request$/, 'info')).toHaveLength(1_000);
  await time.advance(1_000);
  expect(log.matching(/^request \(500 more such lines were left out\)$/, 'info')).toHaveLength(1);
});
