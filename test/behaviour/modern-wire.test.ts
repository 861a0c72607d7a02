/** 2026-07-28 on the wire: what a request needs, and how each kind of answer looks in HTTP. */
import {
  CLIENT_CAPABILITIES_META_KEY,
  CLIENT_INFO_META_KEY,
  McpServer,
} from '@modelcontextprotocol/server';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { McpEndpointContext } from '../../src/index.ts';
import { callModern, MODERN } from '../kit/modern.ts';
import { serve } from '../kit/serve.ts';
import { perFace } from '../kit/sessions.ts';

const serverInfo = { name: 'wire', version: '1.2.3' };

function createWireServer(ctx: McpEndpointContext): McpServer {
  const server = new McpServer(serverInfo, {
    ...ctx.serverOptions,
    capabilities: { logging: {}, resources: { subscribe: true } },
    cacheHints: { 'tools/list': { ttlMs: 5_000, cacheScope: 'public' } },
  });
  server.registerTool('echo', { inputSchema: z.object({ text: z.string() }) }, ({ text }) => ({
    content: [{ type: 'text', text }],
  }));
  server.registerTool('who', {}, (ctx) => {
    const sent: Readonly<Record<string, unknown>> = { ...ctx.mcpReq.envelope };
    return {
      content: [{ type: 'text', text: JSON.stringify(sent[CLIENT_INFO_META_KEY] ?? 'unnamed') }],
    };
  });
  server.registerResource('note', 'note://1', {}, (uri) => ({
    contents: [{ uri: uri.href, text: 'noted' }],
  }));
  return server;
}

describe.each(perFace)('over $face', ({ serve }) => {
  const open = async (options = {}) => (await serve(createWireServer, options)).client();

  test.each([
    ['missing', undefined],
    ['null', null],
    ['a number', 7],
    ['a string', 'sampling'],
    ['an array', []],
    ['a boolean', true],
  ])('B138 clientCapabilities that are %s are refused by their key', async (_, value) => {
    const meta = { [CLIENT_CAPABILITIES_META_KEY]: value };
    const echo = { name: 'echo', arguments: { text: 'hi' } };
    const { id, response, message } = await callModern(await open(), 'tools/call', echo, { meta });
    expect([response.status, message.id, message.error?.code]).toEqual([400, id, -32602]);
    expect(message.error?.message).toContain('io.modelcontextprotocol/clientCapabilities');
  });

  test.each([
    ['no client information', undefined, '"unnamed"'],
    ['client information', { name: 'me', version: '9' }, '{"name":"me","version":"9"}'],
  ])('B139 a call with %s in its envelope is answered', async (_, info, text) => {
    const meta = { [CLIENT_INFO_META_KEY]: info };
    const { response, message } = await callModern(
      await open(),
      'tools/call',
      { name: 'who' },
      { meta },
    );
    expect(response.status).toBe(200);
    expect(message.result).toMatchObject({ content: [{ type: 'text', text }] });
  });
});

test.each([
  ['alone', [MODERN]],
  ['and one before', ['2025-06-18', MODERN]],
])(
  'B134 an endpoint pinned to one modern version %s lists no other',
  async (_, supportedProtocolVersions) => {
    const { client } = await serve(createWireServer, { supportedProtocolVersions });
    const { message } = await callModern(client(), 'server/discover');
    expect(message.result).toMatchObject({ supportedVersions: [MODERN] });
  },
);

test('B134 an endpoint pinned to a modern version refuses initialize, requests without a version, GET and DELETE', async () => {
  const client = (await serve(createWireServer, { supportedProtocolVersions: [MODERN] })).client();
  const opened = await client.initialize();
  expect([opened.response.status, opened.message.id]).toEqual([400, 1]);
  const data = { supported: [MODERN], requested: '2025-11-25' };
  expect(opened.message.error).toMatchObject({ code: -32022, data });
  expect(opened.response.header('mcp-session-id')).toBeUndefined();
  const { id, response, message } = await client.call('tools/list', undefined, { version: null });
  expect([response.status, message.id, message.error?.code]).toEqual([400, id, -32020]);
  expect(message.error?.message).toContain(MODERN);
  for (const other of [
    await client.get({ sessionId: 'x' }),
    await client.delete({ sessionId: 'x' }),
  ])
    expect([other.status, other.header('allow')]).toEqual([405, 'POST']);
});

const VERSIONS = ['2025-11-25', '2025-06-18', '2025-03-26'];
test.each(VERSIONS)(
  'B143 results of a session of %s carry nothing of the modern era',
  async (protocolVersion) => {
    const client = (await serve(createWireServer)).client();
    const { message } = await client.initialize({ protocolVersion });
    const calls = [
      ['tools/list', {}],
      ['tools/call', { name: 'echo', arguments: { text: 'hi' } }],
      ['resources/list', {}],
      ['resources/read', { uri: 'note://1' }],
    ] as const;
    const { message: modern } = await callModern(client, 'tools/list', {}, { sessionId: null });
    expect(modern.result).toMatchObject({
      resultType: 'complete',
      ttlMs: 5_000,
      cacheScope: 'public',
    });
    const results = [message.result];
    for (const [method, params] of calls)
      results.push((await client.call(method, params)).message.result);
    expect(results.map((result) => Object.keys(result as object))).toEqual([
      ['protocolVersion', 'capabilities', 'serverInfo'],
      ['tools'],
      ['content'],
      ['resources'],
      ['contents'],
    ]);
  },
);
