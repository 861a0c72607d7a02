/** Bodies that are no message, and whose id an error carries. */
import { describe, expect, test } from 'vitest';
import type { RawResponse } from '../kit/raw-response.ts';
import { createEchoServer } from '../kit/echo-server.ts';
import { envelope, mirrored } from '../kit/modern.ts';
import { userHeader } from '../kit/serve.ts';
import { heldTool, toolServer } from '../kit/tool-server.ts';
import { until } from '../kit/until.ts';
import { perFace } from '../kit/sessions.ts';

function expectError(response: RawResponse, status: number, code: number, id: string | number | null): void {
  expect(response.json()).toMatchObject({ jsonrpc: '2.0', id, error: { code } });
  expect(Object.keys(response.json() as object).sort()).toEqual(['error', 'id', 'jsonrpc']);
  expect(response.status).toBe(status);
  expect(response.headers('content-type')).toEqual(['application/json']);
}

/** A refusal that its client survives: an answer to the request, with its reason in a header. */
function expectRefusal(response: RawResponse, reason: string, code: number, id: string | number): void {
  expectError(response, 200, code, id);
  expect(response.headers('sojourn-refused')).toEqual([reason]);
  expect(response.headers('retry-after')).toEqual([]);
}

const ping = (id: unknown) => ({ jsonrpc: '2.0', id, method: 'ping' });

describe.each(perFace)('$face', ({ serve, session }) => {
  test.each([
    ['{"jsonrpc":"2.0","id":5,"method":"ping"'],
    ['{id:5}'],
    ['ping'],
    [''],
    ['{"jsonrpc":"2.0"}{}'],
    ['NaN'],
  ])('B9 the body %j is no JSON: 400, -32700, and the id is written as null', async (body) => {
    const { one } = await session(createEchoServer);
    const response = await one.post(body);
    expectError(response, 400, -32700, null);
    expect(response.body).toContain('"id":null');
  });

  test('B10 a request with the id null is no notification: 400, -32600', async () => {
    const { one } = await session(createEchoServer);
    for (const method of ['ping', 'notifications/x'])
      expectError(await one.post({ jsonrpc: '2.0', id: null, method }), 400, -32600, null);
  });

  test.each([['null'], ['[]'], ['"ping"'], ['5'], ['true'], ['{}'], ['[null]'], ['[1]'], ['{"jsonrpc":"2.0"}']])(
    'B11 the body %s is JSON and no message: 400, -32600',
    async (body) => {
      const { one } = await session(createEchoServer, {}, { protocolVersion: '2025-03-26' });
      expectError(await one.post(body), 400, -32600, null);
    },
  );

  test.each([['text'], [''], [0], [-7], [Number.MAX_SAFE_INTEGER], ['5'], [5]])(
    'B12 every refusal of a request carries its id, %j',
    async (id) => {
      const held = heldTool();
      const factory = toolServer({ hold: held.tool });
      const options = { limits: { requestsPerSession: 1 }, waitMs: 0 };
      const { client } = await serve(factory, options, { auth: userHeader });
      const raw = client();
      const alice = { headers: { 'x-user': 'alice' } };
      await raw.initialize(alice);
      const refused = async (message: object, options: object, status: number, code: number): Promise<void> => {
        const response = await raw.post({ jsonrpc: '2.0', id, ...message }, { ...alice, ...options });
        expectError(response, status, code, id);
        expect(response.header('sojourn-refused')).toBeUndefined();
      };
      const answered = async (message: object, reason: string, code: number): Promise<void> =>
        expectRefusal(await raw.post({ jsonrpc: '2.0', id, ...message }, alice), reason, code, id);
      await answered({ method: 'ping', more: 1 }, 'invalid_request', -32600);
      await answered({ method: 'ping', params: [] }, 'invalid_request', -32600);
      await refused({ method: 'ping' }, { version: '2999-01-01' }, 400, -32022);
      await refused({ method: 'ping' }, { sessionId: null }, 400, -32000);
      await refused({ method: 'ping' }, { sessionId: 'a b' }, 400, -32000);
      // The one exception: by its status clients know that they must begin anew.
      expectError(await raw.post(ping(id), { ...alice, sessionId: 'unknown' }), 404, -32001, null);
      await refused({ method: 'ping' }, { headers: { 'x-user': 'bob' } }, 403, -32000);
      await refused({ method: 'ping' }, { version: '2025-06-18' }, 400, -32600);
      await refused({ method: 'initialize', params: {} }, { sessionId: null, version: null }, 400, -32602);
      await answered({ method: 'initialize', params: {} }, 'already_initialized', -32600);
      const modern = { sessionId: null, version: null, headers: { ...alice.headers, ...mirrored('tools/list') } };
      await refused({ method: 'tools/call', params: { name: 'x', _meta: envelope() } }, modern, 400, -32020);
      await raw.post({ jsonrpc: '2.0', id, method: 'tools/call', params: { name: 'hold', arguments: {} } }, alice);
      await until(() => held.calls.length === 1);
      await answered({ method: 'ping' }, 'request_id_in_flight', -32600);
      const another = await raw.post({ jsonrpc: '2.0', id: 'another', method: 'tools/list' }, alice);
      expectRefusal(another, 'too_many_requests', -32000, 'another');
      expect(held.calls).toHaveLength(1);
    },
  );
});
