/** Deeply nested JSON is refused on every way into an endpoint: 400, -32600, with the id where it can be read. */
import { createServer } from 'node:http';
import { describe, expect, test } from 'vitest';
import { createMcpEndpoint, type McpEndpointOptions } from '../../src/index.ts';
import type { RawClient, RawRequestOptions } from '../kit/raw-client.ts';
import { serveFleet } from '../kit/fleet.ts';
import { connectSse, handshake } from '../kit/legacy-sse.ts';
import { createLog } from '../kit/log.ts';
import { envelope, mirrored } from '../kit/modern.ts';
import { faces, serve } from '../kit/serve.ts';
import { sharedStore, storeKinds, useSharedStores } from '../kit/shared-stores.ts';
import { said, toolServer } from '../kit/tool-server.ts';
import { clientBehind } from '../kit/listening.ts';

useSharedStores();

const REFUSED = { code: -32600, message: 'Invalid Request: the body is nested deeper than 128 levels' };

const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);

/** JSON text: a value of `DEEP` becomes a nested one. */
const deepText = (message: unknown, depth: number): string => JSON.stringify(message).replace('"DEEP"', nested(depth));

const call = (meta?: object) => ({
  jsonrpc: '2.0',
  id: 5,
  method: 'tools/call',
  params: { name: 'echo', arguments: { deep: 'DEEP' }, ...(meta && { _meta: meta }) },
});

const factory = toolServer({ echo: ({ deep }) => said(JSON.stringify(deep).length) });

/** `status`: on a session, a refusal that has the id of its request is 200 and a JSON-RPC error. */
async function refused(
  client: RawClient,
  text: string,
  id: unknown,
  { status = 400, ...options }: RawRequestOptions & { status?: number } = {},
): Promise<void> {
  const response = await client.post(text, options);
  expect([response.status, response.json()]).toEqual([status, { jsonrpc: '2.0', id, error: REFUSED }]);
  if (status === 200) expect(response.header('sojourn-refused')).toEqual(expect.any(String));
}

describe.each(faces)('under the %s face', (face) => {
  test.each([
    ['stateful', 200],
    ['stateless', 400],
  ] as const)('a POST of 2025-11-25, %s', async (sessionMode, status) => {
    const { openSession, log } = await serve(factory, { sessionMode }, { face });
    const one = await openSession();
    for (const depth of [200, 20_000, 500_000]) {
      await refused(one, deepText(call(), depth), 5, { status });
      await refused(one, deepText({ jsonrpc: '2.0', method: 'notifications/x', params: { x: 'DEEP' } }, depth), null);
      await refused(one, deepText({ jsonrpc: '2.0', id: 's1.0', result: { x: 'DEEP' } }, depth), null);
      await refused(one, deepText([call()], depth), null);
    }
    const fits = await one.call('tools/call', {
      name: 'echo',
      arguments: { deep: JSON.parse(nested(120)) as unknown },
    });
    expect(fits.message).toMatchObject({ result: { content: [{ text: '240' }] } });
    expect(log.matching(/./, 'error')).toEqual([]);
  });

  test('an initialize', async () => {
    const { client } = await serve(factory, {}, { face });
    const params = { protocolVersion: '2025-11-25', capabilities: { experimental: { x: 'DEEP' } } };
    const clientInfo = { name: 'a', version: '1' };
    const message = { jsonrpc: '2.0', id: 'first', method: 'initialize', params: { ...params, clientInfo } };
    await refused(client(), deepText(message, 60_000), 'first');
  });

  test('a request of 2026-07-28: its arguments, and its envelope', async () => {
    const { client } = await serve(factory, {}, { face });
    const headers = mirrored('tools/call', { name: 'echo' });
    await refused(client(), deepText(call(envelope()), 60_000), 5, { headers });
    const deep = { ...call(envelope({ experimental: { x: 'DEEP' as never } })) };
    deep.params.arguments = { deep: 'flat' };
    await refused(client(), deepText(deep, 60_000), 5, { headers });
  });

  test('a handshake and a call of the 2024-11-05 transport, whose connections serve the next handshake', async () => {
    const { client } = await serve(factory, { legacySse: true }, { face });
    const one = client({ sockets: 2 });
    const { endpoint, stream, post } = await connectSse(one, '/mcp/sse');
    const opening = handshake(7);
    Object.assign(opening.params.capabilities, { sampling: { x: 'DEEP' } });
    await refused(one, deepText(opening, 60_000), 7, { path: endpoint });
    await refused(one, deepText(call(), 60_000), 5, { path: endpoint });
    expect((await post(handshake(8))).status).toBe(202);
    expect(await stream.nextMessage()).toMatchObject({ id: 8, result: { protocolVersion: '2024-11-05' } });
  });
});

describe('a body that was parsed before', () => {
  const parsed = (message: unknown): unknown => JSON.parse(deepText(message, 60_000));

  async function served(options: McpEndpointOptions, body: unknown) {
    const log = createLog();
    const endpoint = createMcpEndpoint(factory, { logger: log, ...options });
    const server = createServer((req, res) => {
      if (req.method !== 'POST') return endpoint.node(req, res);
      req.resume().on('end', () => endpoint.node(req, res, body));
    });
    const client = await clientBehind(server, endpoint);
    return { endpoint, client, log };
  }

  test('and is given to node()', async () => {
    const { client, log } = await served({}, parsed(call()));
    await refused(client, '{}', 5);
    expect(log.matching(/./, 'error')).toEqual([]);
  });

  test('and is given to node(), for the 2024-11-05 transport', async () => {
    const { client } = await served({ legacySse: true }, parsed(call()));
    const { endpoint } = await connectSse(client, '/mcp/sse');
    await refused(client, '{}', 5, { path: endpoint });
  });

  test('and is given to fetch(), also where it contains itself', async () => {
    const { endpoint } = await served({}, undefined);
    const headers = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' };
    const request = () => new Request('http://localhost/mcp', { method: 'POST', headers, body: '{}' });
    const round: Record<string, unknown> = { ...call() };
    round['params'] = { round };
    for (const parsedBody of [parsed(call()), round]) {
      const response = await endpoint.fetch(request(), { parsedBody });
      expect([response.status, await response.json()]).toEqual([400, { jsonrpc: '2.0', id: 5, error: REFUSED }]);
    }
  });
});

describe.each(storeKinds.slice(0, 2))('on the store %s', (kind) => {
  test('a call for a session of another instance', async () => {
    const [a, b] = await serveFleet(2, { store: sharedStore(kind) });
    const onA = await a.openSession();
    await refused(b.join(onA), deepText(call(), 60_000), 5, { status: 200 });
    expect([...a.log.matching(/./, 'error'), ...b.log.matching(/./, 'error')]).toEqual([]);
  });
});
