/** Headers that mirror the body of a modern request (SEP-2243): `Mcp-Method` and `Mcp-Name`. */
import { McpServer } from '@modelcontextprotocol/server';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { RawHeaders } from '../kit/raw-client.ts';
import { callModern } from '../kit/modern.ts';
import { serve } from '../kit/serve.ts';
import { perFace } from '../kit/sessions.ts';

/** `=?base64?ZWNobw==?=` is the text itself. */
const PROMPTS = ['hello', 'café', ' padded ', '漢字', 'with blank', '=?base64?ZWNobw==?=', 'a\tb'];

function createNamedServer(): McpServer {
  const server = new McpServer({ name: 'named', version: '1.0.0' });
  const mirrored = z.object({ region: z.string().optional().meta({ 'x-mcp-header': 'Region' }) });
  server.registerTool('greet', { inputSchema: mirrored }, () => ({ content: [] }));
  for (const name of PROMPTS) server.registerPrompt(name, {}, () => ({ messages: [] }));
  server.registerResource('note', 'note://1', {}, (uri) => ({ contents: [{ uri: uri.href, text: 'noted' }] }));
  return server;
}

const base64 = (text: string): string => `=?base64?${Buffer.from(text).toString('base64')}?=`;
/** The bytes of UTF-8 as a header carries them. */
const rawUtf8 = (text: string): string => Buffer.from(text).toString('latin1');

const named = [
  ['tools/call', { name: 'greet' }],
  ['prompts/get', { name: 'hello' }],
  ['resources/read', { uri: 'note://1' }],
] as const;

describe.each(perFace)('over $face', ({ serve }) => {
  const open = async () => (await serve(createNamedServer)).client();

  /** Status, id and error code of a call with these headers instead of the right ones. */
  const outcome = async (method: string, params: Record<string, unknown>, headers: RawHeaders) => {
    const { id, response, message } = await callModern(await open(), method, params, { headers });
    expect(message.id).toBe(id);
    return { status: response.status, code: message.error?.code, error: message.error?.message };
  };
  const mismatch = (header: string) => ({
    status: 400,
    code: -32020,
    error: expect.stringContaining(header) as string,
  });
  const served = { status: 200, code: undefined, error: undefined };

  test.each([null, 'tools/list', 'TOOLS/CALL', 'tools/calls', '', 'tools/call, tools/call'])(
    'B156 Mcp-Method %j is not the method tools/call',
    async (method) => {
      expect(await outcome('tools/call', { name: 'greet' }, { 'mcp-method': method })).toEqual(mismatch('Mcp-Method'));
    },
  );

  test('B156 Mcp-Method must be there where nothing else is mirrored', async () => {
    expect(await outcome('tools/list', {}, { 'mcp-method': null })).toEqual(mismatch('Mcp-Method'));
  });

  test('B157 sessions know none of these headers', async () => {
    const client = await open();
    await client.initialize();
    const wrong = { 'mcp-method': 'prompts/get', 'mcp-name': 'other', 'mcp-param-region': 'elsewhere' };
    for (const headers of [{}, wrong]) {
      const params = { name: 'greet', arguments: { region: 'here' } };
      const { response, message } = await client.call('tools/call', params, { headers });
      expect([response.status, message.result]).toEqual([200, { content: [] }]);
    }
  });

  test.each(named)('B156 B158 %s is served under its own Mcp-Name alone', async (method, params) => {
    expect(await outcome(method, params, {})).toEqual(served);
    for (const name of [null, 'another', Object.values(params).join().toUpperCase()])
      expect(await outcome(method, params, { 'mcp-name': name })).toEqual(mismatch('Mcp-Name'));
  });

  test('B158 methods without a name need no Mcp-Name', async () => {
    expect(await outcome('tools/list', {}, { 'mcp-name': null })).toEqual(served);
    expect(await outcome('resources/list', {}, { 'mcp-name': 'whatever' })).toEqual(served);
  });

  test('B160 B223 blanks around a value are not part of it, and header names compare without case', async () => {
    const padded = {
      'MCP-PROTOCOL-VERSION': ' \t2026-07-28 ',
      'mCp-MeThOd': '  tools/call\t ',
      'MCP-NAME': '\tgreet  ',
    };
    expect(await outcome('tools/call', { name: 'greet' }, padded)).toEqual(served);
    const region = { 'mcp-param-region': ' here\t' };
    expect(await outcome('tools/call', { name: 'greet', arguments: { region: 'here' } }, region)).toEqual(served);
    // No-break spaces are no blanks of HTTP.
    expect(await outcome('tools/call', { name: 'greet' }, { 'mcp-name': 'greet\u00a0' })).toEqual(mismatch('Mcp-Name'));
    expect(await outcome('tools/call', { name: 'greet' }, { 'mcp-method': 'tools/call\u00a0' })).toEqual(
      mismatch('Mcp-Method'),
    );
  });

  test.each([
    ['Base64', 'hello', base64('hello'), served],
    ['Base64, beyond ASCII', 'café', base64('café'), served],
    ['Base64, with blanks at both ends', ' padded ', base64(' padded '), served],
    ['Base64, beyond Latin-1', '漢字', base64('漢字'), served],
    ['Base64, with a tab', 'a\tb', base64('a\tb'), served],
    ['Base64, although it looks like it', '=?base64?ZWNobw==?=', base64('=?base64?ZWNobw==?='), served],
    ['the Base64 that it is itself', '=?base64?ZWNobw==?=', '=?base64?ZWNobw==?=', mismatch('Mcp-Name')],
    ['its own letters, with a blank', 'with blank', 'with blank', served],
    ['its own letters, with a blank and padded', 'with blank', ' with blank\t', served],
    ['raw UTF-8', 'café', rawUtf8('café'), mismatch('Mcp-Name')],
    ['raw Latin-1, which compares equal', 'café', 'café', mismatch('Mcp-Name')],
    ['blanks that HTTP takes away', ' padded ', ' padded ', mismatch('Mcp-Name')],
    ['Base64 of another name', 'hello', base64('greet'), mismatch('Mcp-Name')],
    ['Base64 that is none', 'hello', '=?base64?hel-lo?=', mismatch('Mcp-Name')],
    ['Base64 without its padding', 'hello', '=?base64?aGVsbG8?=', mismatch('Mcp-Name')],
    ['Base64 of no UTF-8', 'hello', '=?base64?/w==?=', mismatch('Mcp-Name')],
    ['markers in upper case', 'hello', base64('hello').replace('base64', 'BASE64'), mismatch('Mcp-Name')],
  ])('B161 B223 a name in %s: %s as %s', async (_, name, header, expected) => {
    expect(await outcome('prompts/get', { name }, { 'mcp-name': header })).toEqual(expected);
  });
});

test('B157 stateless serving of the 2025 era knows none of these headers either', async () => {
  const { client } = await serve(createNamedServer, { stateless: true });
  const headers = { 'mcp-method': 'prompts/get', 'mcp-name': 'other', 'mcp-param-region': 'elsewhere' };
  const params = { name: 'greet', arguments: { region: 'here' } };
  const { response, message } = await client().call('tools/call', params, { headers, version: '2025-11-25' });
  expect([response.status, message.result]).toEqual([200, { content: [] }]);
});
