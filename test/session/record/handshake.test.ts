/** Some servers write into the messages that they get, `initialize` included, to mark them for their own code. */
import { McpServer as McpServerV1 } from '@modelcontextprotocol/sdk/server/mcp.js';
import { McpServer } from '@modelcontextprotocol/server';
import { describe, expect, test } from 'vitest';
import type { McpEndpointFactory } from '../../../src/index.ts';
import { memory } from '../../../src/stores/memory/index.ts';
import type { RawClient } from '../../kit/raw-client.ts';
import { serve } from '../../kit/serve.ts';

const info = { name: 'writing', version: '1' };

interface Message {
  readonly method?: string;
  readonly params?: unknown;
}

interface Transport {
  onmessage?: (message: Message, extra?: unknown) => void;
}

/** Adds a member to an object and to every object in it. */
function writeInto(value: unknown): void {
  if (typeof value !== 'object' || value === null) return;
  Object.values(value).forEach(writeInto);
  if (!Array.isArray(value)) Object.assign(value, { written: true });
}

/** `got` has the messages of each server, as they were before it wrote into them. */
function writingServers(make: () => McpServer | McpServerV1) {
  const got: Message[][] = [];
  const factory = (({ session }: { session?: { clientInfo: unknown } }) => {
    const server = make() as McpServer;
    const messages: Message[] = [];
    got.push(messages);
    server.registerTool('client', {}, () => ({
      content: [{ type: 'text', text: JSON.stringify(session?.clientInfo) }],
    }));
    const connect = server.connect.bind(server);
    server.connect = async (transport) => {
      await connect(transport);
      const { onmessage } = transport as Transport;
      (transport as Transport).onmessage = (message, extra) => {
        messages.push(structuredClone(message));
        writeInto(message.params);
        onmessage?.(message, extra);
      };
    };
    return server;
  }) as McpEndpointFactory;
  return { factory, got };
}

/** No other test sends the handshake of this kind. */
const paramsOf = (kind: string) => ({
  protocolVersion: '2025-11-25',
  capabilities: { roots: { listChanged: true }, elicitation: { form: {} } },
  clientInfo: { name: kind, version: '1', icons: [{ src: 'https://example.com/icon.png' }] },
  _meta: { 'example.com/trace': { hops: [{ at: 'proxy' }] } },
});

async function open(client: RawClient, params: object): Promise<unknown> {
  const { response, message } = await client.call('initialize', params, {
    sessionId: null,
    version: null,
  });
  client.sessionId = response.header('mcp-session-id');
  client.protocolVersion = '2025-11-25';
  await client.notify('notifications/initialized');
  return message;
}

async function clientOf(client: RawClient): Promise<unknown> {
  const { message } = await client.call('tools/call', { name: 'client', arguments: {} });
  const { content } = (message as { result: { content: [{ text: string }] } }).result;
  return JSON.parse(content[0].text);
}

describe.each([
  ['v1', () => new McpServerV1(info)],
  ['v2', () => new McpServer(info)],
] as const)('a server of SDK %s that writes into its messages', (sdk, make) => {
  test('opens the session of the first client of a kind as that of the second', async () => {
    const { factory, got } = writingServers(make);
    const { client } = await serve(factory);
    const params = paramsOf(`first of ${sdk}`);
    for (const nth of [0, 1]) {
      const one = client();
      expect(await open(one, params)).toMatchObject({ result: { serverInfo: info } });
      expect(got[nth]?.[0]).toMatchObject({ method: 'initialize', params });
      expect(got[nth]?.[0]?.params).toEqual(params);
      expect(await clientOf(one)).toEqual(params.clientInfo);
    }
  });

  test('is restored with what its client sent, and may write into that too', async () => {
    const { factory, got } = writingServers(make);
    const store = memory();
    const [a, b] = [await serve(factory, { store }), await serve(factory, { store })];
    const params = paramsOf(`restored with ${sdk}`);
    const sessions = [a.client(), a.client()];
    for (const client of sessions) await open(client, params);
    await a.endpoint.close({ timeoutMs: 0 });
    for (const [nth, { sessionId, protocolVersion }] of sessions.entries()) {
      const later = Object.assign(b.client(), { sessionId, protocolVersion });
      expect(await clientOf(later)).toEqual(params.clientInfo);
      const [replayed, initialized] = got[2 + nth] ?? [];
      expect(replayed?.params).toEqual(params);
      expect(initialized).toEqual({ jsonrpc: '2.0', method: 'notifications/initialized' });
    }
  });
});
