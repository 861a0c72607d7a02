/** Bodies that are no message, and whose id an error carries. */
import { describe, expect, test } from 'vitest';
import type { RawRequestOptions } from '../kit/raw-client.ts';
import type { RawResponse } from '../kit/raw-response.ts';
import { createEchoServer } from '../kit/echo-server.ts';
import { perFace } from '../kit/sessions.ts';

function expectError(response: RawResponse, status: number, code: number, id: string | number | null): void {
  expect(response.json()).toMatchObject({ jsonrpc: '2.0', id, error: { code } });
  expect(Object.keys(response.json() as object).sort()).toEqual(['error', 'id', 'jsonrpc']);
  expect(response.status).toBe(status);
  expect(response.headers('content-type')).toEqual(['application/json']);
}

describe.each(perFace)('$face', ({ session }) => {
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

  // `validation-order.test.ts` has those of the other checks.
  test.each(['text', '', 0, -7, Number.MAX_SAFE_INTEGER, '5', 5])(
    'B12 a refusal about a session carries the id of its request, %j',
    async (id) => {
      const { one } = await session(createEchoServer);
      const post = (method: string, options?: RawRequestOptions) =>
        one.post({ jsonrpc: '2.0', id, method, params: {} }, options);
      expectError(await post('ping', { sessionId: null }), 400, -32000, id);
      expectError(await post('initialize', { sessionId: null, version: null }), 400, -32602, id);
      const again = await post('initialize');
      expectError(again, 200, -32600, id);
      expect([again.headers('sojourn-refused'), again.headers('retry-after')]).toEqual([['already_initialized'], []]);
    },
  );
});
