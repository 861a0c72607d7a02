/** A hostile client of `processes/keeper.mjs`: it sends texts that no log may have, and control characters. */
import { CLIENT_INFO_META_KEY } from '@modelcontextprotocol/server';
import { envelope, mirrored } from '../kit/modern.ts';
import type { RawClient, RawClientOptions, RawHeaders } from '../kit/raw-client.ts';
import { ARGUMENT, CONTROL, KINDS, QUERY, TOKEN } from './processes/keeper.mjs';

const META = envelope({}, { [CLIENT_INFO_META_KEY]: { name: `c${CONTROL}`, version: CONTROL } });
const printable = (text: string): string => text.replace(/[^\x20-\x7e]/g, '');

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
    await client.initialize({ clientInfo: { name: `c${CONTROL}`, version: CONTROL }, initialized: false });
    if (client.sessionId !== undefined) ids.push(client.sessionId);
  }
  for (const [method, params] of messages()) {
    if (era !== 'modern') {
      await attack(client, rpc(method, params));
      continue;
    }
    const name = printable(String(params['name'] ?? params['uri'] ?? ''));
    const headers = { ...mirrored(printable(method)), ...(name !== '' && { 'mcp-name': name }) };
    await attack(client, rpc(method, { ...params, _meta: META }), { ...headers, 'mcp-session-id': null });
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
