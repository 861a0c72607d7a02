/**
 * What the log says about a run of hostile and ordinary clients, with every line that there is (`accessLog`): no token,
 * argument, result, message of a thrown error, session id or control character of theirs. Each of them carries a text
 * that occurs nowhere else.
 */
import { inspect } from 'node:util';
import { McpServer } from '@modelcontextprotocol/server';
import { describe, expect, test } from 'vitest';
import * as z from 'zod/v4';
import type { McpEndpointOptions } from '../../src/index.ts';
import type { RawClient, RawHeaders } from '../../src/testing/index.ts';
import { hashOf, type LogLine } from '../kit/log.ts';
import { faces, serve, type Served } from '../kit/serve.ts';
import { until } from '../kit/until.ts';
import { countAttempts } from './attempts.ts';

const attempts = countAttempts('tokens');

const TOKEN = 'canary-token-5f1d9a';
const ARGUMENT = 'canary-argument-77ab2e';
const RESULT = 'canary-result-c04d11';
const THROWN = 'canary-thrown-9e2f63';
const QUERY = 'canary-query-31b7aa';
const CONTROL = '\u001b[2J\u0007\r\n{"level":60}\u2028\u009b';
const KINDS = ['result', 'error result', 'throw', 'throw of an argument', 'throw of no error', 'output'] as const;

function keeper(): McpServer {
  const server = new McpServer({ name: 'keeper', version: '1.0.0' });
  const inputSchema = z.object({ secret: z.string(), kind: z.enum(KINDS) });
  const outputSchema = z.object({ n: z.number() });
  const run = ({ secret, kind }: z.infer<typeof inputSchema>) => {
    switch (kind) {
      case 'result':
        return { content: [{ type: 'text' as const, text: RESULT }], structuredContent: { n: 1 } };
      case 'error result':
        return { content: [{ type: 'text' as const, text: RESULT }], isError: true };
      case 'throw':
        throw Object.assign(new TypeError(`${THROWN}\n    at ${THROWN} (file:///${THROWN}:1:1)`), {
          name: THROWN + CONTROL,
        });
      case 'throw of an argument':
        throw Object.assign(new Error(secret, { cause: new Error(THROWN) }), { code: secret, detail: secret });
      case 'throw of no error':
        // oxlint-disable-next-line typescript/only-throw-error
        throw secret;
      case 'output':
        return { content: [{ type: 'text' as const, text: RESULT }], structuredContent: { n: RESULT as never } };
    }
  };
  server.registerTool('keep', { inputSchema, outputSchema }, run);
  server.registerPrompt('ask', { argsSchema: z.object({ secret: z.string() }) }, () => {
    throw new Error(THROWN);
  });
  server.registerResource('file', `file:///${QUERY}`, {}, () => {
    throw new Error(THROWN);
  });
  return server;
}

/** As a JSON logger and as the console write it. */
const written = ({ fields, message }: LogLine): string =>
  `${message} ${JSON.stringify(fields, (_key, value: unknown) =>
    value instanceof Error ? `${value.stack} ${inspect(value)}` : value,
  )}`;

const MODERN_META = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientInfo': { name: `c${CONTROL}`, version: CONTROL },
  'io.modelcontextprotocol/clientCapabilities': {},
};

const rpc = (method: string, params: object, id: number | string = 1) => ({ jsonrpc: '2.0', id, method, params });

/** What every client sends, by method and parameters. */
const messages = (): Array<[method: string, params: Record<string, unknown>]> => [
  ...KINDS.map((kind): [string, Record<string, unknown>] => [
    'tools/call',
    { name: 'keep', arguments: { secret: ARGUMENT, kind } },
  ]),
  ['tools/call', { name: 'keep', arguments: { secret: [ARGUMENT], kind: ARGUMENT } }],
  ['tools/call', { name: `none${CONTROL}`, arguments: { [ARGUMENT]: ARGUMENT } }],
  ['prompts/get', { name: 'ask', arguments: { secret: ARGUMENT } }],
  ['resources/read', { uri: `file:///${QUERY}` }],
  [`method${CONTROL}`, { a: ARGUMENT }],
];

async function attack(client: RawClient, body: unknown, headers: RawHeaders = {}): Promise<void> {
  attempts.made(1);
  (await client.post(body, { headers })).abort();
}

async function run(served: Served, era: 'legacy' | 'modern' | 'stateless'): Promise<readonly string[]> {
  const client = served.client({ headers: { authorization: `Bearer ${TOKEN}`, cookie: TOKEN, 'x-user': 'alice' } });
  const ids: string[] = [];
  if (era === 'legacy') {
    const params = {
      protocolVersion: '2025-11-25',
      capabilities: {},
      clientInfo: { name: `c${CONTROL}`, version: CONTROL },
    };
    const opened = await client.post(rpc('initialize', params), { headers: { 'mcp-session-id': null } });
    client.sessionId = opened.header('mcp-session-id');
    client.protocolVersion = '2025-11-25';
    if (client.sessionId !== undefined) ids.push(client.sessionId);
    attempts.made(1);
  }
  for (const [method, params] of messages()) {
    if (era !== 'modern') {
      await attack(client, rpc(method, params));
      continue;
    }
    const name = String(params['name'] ?? params['uri'] ?? '').replace(/[^\x20-\x7e]/g, '');
    await attack(client, rpc(method, { ...params, _meta: MODERN_META }), {
      'mcp-protocol-version': '2026-07-28',
      'mcp-session-id': null,
      'mcp-method': method.replace(/[^\x20-\x7e]/g, ''),
      ...(name !== '' && { 'mcp-name': name }),
    });
  }
  const good = rpc('ping', {});
  await attack(client, good, { 'mcp-session-id': `canary-unknown-session` });
  ids.push('canary-unknown-session');
  await attack(client, good, { origin: `https://evil.example` });
  await attack(client, good, { authorization: `Basic ${TOKEN}` });
  await attack(client, good, { authorization: `Bearer refused-${TOKEN}` });
  await attack(client, good, {
    'mcp-protocol-version': '2026-07-28',
    'mcp-method': 'other',
    'mcp-param-secret': ARGUMENT,
  });
  await attack(client, { ...good, jsonrpc: ARGUMENT, [`member${CONTROL}`]: ARGUMENT });
  await attack(client, `{"${ARGUMENT}`);
  await (await fetch(`${served.url}/../other?token=${QUERY}`)).text();
  attempts.made(1);
  if (client.sessionId !== undefined) (await client.delete({ sessionId: client.sessionId })).abort();
  return ids;
}

const eras = ['legacy', 'modern', 'stateless'] as const;

describe.each(faces.flatMap((face) => eras.map((era) => [face, era] as const)))('over %s, %s', (face, era) => {
  test('no line holds a token, an argument, a result, a thrown message, a session id or a control character', async () => {
    const verify = (token: string) => {
      if (token === TOKEN)
        return { token, clientId: 'c', scopes: [], expiresAt: 4_000_000_000, extra: { sub: 'alice' } };
      throw Object.assign(new Error(`${token} is wrong`), { name: 'OAuthError', code: 'invalid_token' });
    };
    const options: McpEndpointOptions = {
      accessLog: true,
      auth: { verify },
      ...(era === 'stateless' && { sessionMode: 'stateless' }),
    };
    const served = await serve(keeper, options, { face });
    const ids = await run(served, era);
    const { log } = served;
    const of = (text: RegExp): number => log.matching(text).length;
    await until(() => of(/^request$/) > messages().length, { what: 'the lines of the requests' });
    // The log says what happened at all.
    expect([
      of(/^A tool threw$/),
      log.lines.filter(({ fields }) => fields['refused'] === 'unauthorized').length,
      of(/^A client connected/) > 0 || era === 'stateless',
    ]).toEqual([3, 3, true]);
    const found: string[] = [];
    for (const line of log.lines) {
      const text = written(line);
      for (const secret of [TOKEN, ARGUMENT, RESULT, THROWN, QUERY, ...ids])
        if (text.includes(secret)) found.push(text);
      // oxlint-disable-next-line no-control-regex
      if (/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028\u2029]/.test(text)) found.push(text);
    }
    expect(found).toEqual([]);
    const [id] = ids;
    if (era === 'legacy') expect(log.lines.some(({ fields }) => fields['sessionId'] === hashOf(id))).toBe(true);
  });
});
