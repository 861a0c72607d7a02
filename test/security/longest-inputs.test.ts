/**
 * Inputs as long as the limits allow, at the places where sojourn once took time that grew with the square of their
 * length: one such request held up every client of the process for seconds to minutes. The lint rule
 * `house/linear-regexp` holds this for each regular expression; this test sends the requests.
 */
import { McpServer } from '@modelcontextprotocol/server';
import { expect, test } from 'vitest';
import { z } from 'zod';
import type { McpEndpointFactory } from '../../src/index.ts';
import { envelope, mirrored } from '../kit/modern.ts';
import { serve } from '../kit/serve.ts';
import { said } from '../kit/tool-server.ts';
import { countAttempts } from './attempts.ts';

const counted = countAttempts('bodies, headers, targets');

const factory: McpEndpointFactory = (ctx) => {
  const server = new McpServer({ name: 'longest', version: '1' }, { ...ctx.serverOptions });
  const n = z.number().meta({ 'x-mcp-header': 'N', type: 'integer' });
  server.registerTool('count', { inputSchema: z.object({ n }) }, () => said('counted'));
  return server;
};

/** Digits, so that the old expression took more than a minute. */
const DIGITS = 1_000_000;

test.each([
  ['zeros before a last digit', `1${'0'.repeat(DIGITS)}1`],
  ['zeros of a fraction', `1.${'0'.repeat(DIGITS)}1`],
  ['zeros alone', `1${'0'.repeat(DIGITS)}`],
  ['zeros before an exponent', `1${'0'.repeat(DIGITS)}1e-999999`],
])('a number with a million %s holds up no other client', async (_what, digits) => {
  const { client } = await serve(factory);
  const params = { name: 'count', arguments: {}, _meta: envelope() };
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params });
  const headers = { ...mirrored('tools/call', params), 'mcp-param-n': '1' };
  const text = body.replace('"arguments":{}', `"arguments":{"n":${digits}}`);
  expect(text.length).toBeGreaterThan(DIGITS);
  const { status } = await client().post(text, { headers });
  expect(status).toBe(400);
  counted.made(1);
});

test('slashes and blanks up to the limit of a head are answered like a few of them', async () => {
  const { client } = await serve(factory);
  const one = client();
  for (const path of [`/${'/'.repeat(12_000)}x`, `/mcp${'/'.repeat(12_000)}`, `/mcp${'/'.repeat(12_000)}x`]) {
    const { status } = await one.get({ path });
    expect(status).toBe(path.endsWith('x') ? 404 : 405);
    counted.made(1);
  }
  const blanks = ' '.repeat(12_000);
  const params = { name: 'count', arguments: { n: 1 }, _meta: envelope() };
  const headers = { ...mirrored('tools/call', params), 'mcp-param-n': '1' };
  const call = { jsonrpc: '2.0', id: 1, method: 'tools/call', params };
  const padded = await one.post(call, { headers: { ...headers, 'mcp-name': `x${blanks}x` } });
  expect(padded.status).toBe(400);
  counted.made(1);
  expect((await one.post(call, { headers })).status).toBe(200);
});
