/** A hostile client of `processes/keeper.mjs`: it sends texts that no log may have, and control characters. */
import type { RawClient, RawClientOptions, RawHeaders } from '../kit/raw-client.ts';
import { ARGUMENT, CONTROL, KINDS, QUERY, TOKEN } from './processes/keeper.mjs';

const MODERN_META = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientInfo': { name: `c${CONTROL}`, version: CONTROL },
  'io.modelcontextprotocol/clientCapabilities': {},
};

const rpc = (method: string, params: object, id: number | string = 1) => ({ jsonrpc: '2.0', id, method, params });

/** What every client sends, by method and parameters. */
export const messages = (): Array<[method: string, params: Record<string, unknown>]> => [
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

/** Resolves with the session ids that it used. `open`: a client of the endpoint at `url`. */
export async function attackAll(
  open: (options: RawClientOptions) => RawClient,
  url: string,
  era: 'legacy' | 'modern' | 'stateless',
): Promise<readonly string[]> {
  const attack = async (of: RawClient, body: unknown, headers: RawHeaders = {}): Promise<void> => {
    (await of.post(body, { headers })).abort();
  };
  const client = open({ headers: { authorization: `Bearer ${TOKEN}`, cookie: TOKEN, 'x-user': 'alice' } });
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
  await (await fetch(`${url}/../other?token=${QUERY}`)).text();
  if (client.sessionId !== undefined) (await client.delete({ sessionId: client.sessionId })).abort();
  return ids;
}
