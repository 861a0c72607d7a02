/**
 * Inputs as long as the limits allow, at the places where sojourn once took time that grew with the square of their
 * length: one such request held up every client of the process for seconds to minutes. The lint rule
 * `house/linear-regexp` holds this for regular expressions, `shares.test.ts` the length of a URI on 2024-11-05.
 */
import { McpServer, ResourceTemplate } from '@modelcontextprotocol/server';
import { expect, test } from 'vitest';
import { z } from 'zod';
import type { McpEndpointFactory, McpEndpointOptions } from '../../src/index.ts';
import { envelope, MODERN, mirrored } from '../kit/modern.ts';
import { serve } from '../kit/serve.ts';
import { said } from '../kit/tool-server.ts';
import { bearer, userToken } from '../kit/issuer.ts';

const factory: McpEndpointFactory = (ctx) => {
  const server = new McpServer({ name: 'longest', version: '1' }, { ...ctx.serverOptions });
  const n = z.number().meta({ 'x-mcp-header': 'N', type: 'integer' });
  server.registerTool('count', { inputSchema: z.object({ n }) }, () => said('counted'));
  server.registerResource(
    'page',
    new ResourceTemplate('http://{+host}', { list: undefined }),
    {},
    () => ({
      contents: [],
    }),
  );
  server.server.registerCapabilities({ resources: { subscribe: true }, completions: {} });
  server.server.setRequestHandler('resources/subscribe', () => ({}));
  return server;
};

const allowing: McpEndpointOptions['auth'] = { verify: userToken, authorize: () => true };
const BEARER = bearer('ada');

/** Digits, so that the old expression took more than a minute. */
const DIGITS = 1_000_000;

test.each([
  ['zeros before a last digit', 400, `1${'0'.repeat(DIGITS)}1`],
  // It is the number 1, as the header says.
  ['zeros of a fraction', 200, `1.${'0'.repeat(DIGITS)}1`],
  ['zeros alone', 400, `1${'0'.repeat(DIGITS)}`],
  ['zeros before an exponent', 400, `1${'0'.repeat(DIGITS)}1e-999999`],
] as const)(
  'a number with a million %s holds up no other client',
  async (_what, expected, digits) => {
    const { client } = await serve(factory);
    const params = { name: 'count', arguments: {}, _meta: envelope() };
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params });
    const headers = { ...mirrored('tools/call', params), 'mcp-param-n': '1' };
    const text = body.replace('"arguments":{}', `"arguments":{"n":${digits}}`);
    expect(text.length).toBeGreaterThan(DIGITS);
    const { status } = await client().post(text, { headers });
    expect(status).toBe(expected);
  },
);

test('a path of slashes, as long as a head may be, takes no more time than a short one', async () => {
  const { client } = await serve(factory);
  const one = client();
  const slashes = '/'.repeat(15_000);
  const before = process.cpuUsage();
  for (let n = 0; n < 20; n++) {
    expect((await one.get({ path: `/mcp${slashes}` })).status).toBe(405);
    expect((await one.get({ path: `/mcp${slashes}x` })).status).toBe(404);
  }
  // The square of such a path takes some 200 ms.
  expect(process.cpuUsage(before).user).toBeLessThan(1_500_000);
});

/** As many different characters as a body holds: their conversion would take minutes. */
const HOST = Array.from({ length: 1_000_000 }, (_, n) =>
  String.fromCodePoint(0x4e00 + (n % 20_000)),
).join('');

/** What names a resource, by its method. */
const NAMES: ReadonlyArray<
  readonly [method: string, params: (uri: string) => Record<string, unknown>]
> = [
  ['resources/read', (uri) => ({ uri })],
  ['resources/subscribe', (uri) => ({ uri })],
  [
    'completion/complete',
    (uri) => ({ ref: { type: 'ref/resource', uri }, argument: { name: 'host', value: '' } }),
  ],
  ['subscriptions/listen', (uri) => ({ notifications: { resourceSubscriptions: [uri] } })],
];

test.each(['http://', 'ht\ttps:\\\\user@'])(
  'a resource whose host has a million characters, after %j, is refused on a session, without one and in 2026-07-28',
  async (before) => {
    const one = (await serve(factory, { auth: allowing })).client(BEARER);
    await one.initialize();
    const stateless = (await serve(factory, { auth: allowing, sessionMode: 'stateless' })).client(
      BEARER,
    );
    stateless.protocolVersion = '2025-11-25';
    for (const [method, params] of NAMES) {
      const body = { jsonrpc: '2.0', id: 99, method, params: params(before + HOST) };
      for (const client of [one, stateless]) {
        const response = await client.post(body);
        expect([method, response.body]).toEqual([
          method,
          expect.stringContaining('URI of a resource'),
        ]);
      }
      const modern = { ...body, params: { ...body.params, _meta: envelope() } };
      const headers = { 'mcp-protocol-version': MODERN, 'mcp-method': method };
      const refused = await one.post(modern, { headers, sessionId: null });
      expect([method, refused.status]).toEqual([method, 400]);
    }
  },
);
