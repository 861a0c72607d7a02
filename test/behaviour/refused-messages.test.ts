/** Messages that are none, and how each refusal looks. */
import { describe, expect, test } from 'vitest';
import type { RawClient } from '../kit/raw-client.ts';
import { createLab, textOf, toolCall } from '../kit/lab.ts';
import { serve } from '../kit/serve.ts';
import { said, toolServer } from '../kit/tool-server.ts';
import { perFace } from '../kit/sessions.ts';
import { openSse } from '../kit/legacy-sse.ts';
import { failure } from '../kit/refusals.ts';

const request = { jsonrpc: '2.0', id: 5, method: 'tools/list' };
const notification = { jsonrpc: '2.0', method: 'notifications/roots/list_changed' };
const answer = { jsonrpc: '2.0', id: 's1.0', result: {} };
const fault = failure('s1.0', -1, 'no');

const invalid = (id: unknown, message: string): unknown =>
  failure(id, -32600, `Invalid Request: ${message}`);

/** A request on a session is refused in an answer, everything else with 400. */
async function refusalOf(client: RawClient, body: unknown, id: number | null): Promise<unknown> {
  if (id === null || client.sessionId === undefined) return said400(client, body);
  const response = await client.post(body);
  expect([
    response.status,
    response.header('content-type'),
    response.header('sojourn-refused'),
  ]).toEqual([200, 'application/json', 'invalid_request']);
  return response.json();
}

async function said400(client: RawClient, body: unknown): Promise<unknown> {
  const response = await client.post(body);
  expect([response.status, response.header('content-type')]).toEqual([400, 'application/json']);
  return response.json();
}

describe.each(perFace)('over $face', ({ serve, session, inLab }) => {
  test.each([
    ['an answer', answer],
    ['a failure', fault],
  ])('B206 in the modern era %s cannot be posted', async (_, body) => {
    const { client } = await serve(createLab().factory);
    const response = await client().post(body, {
      headers: { 'mcp-protocol-version': '2026-07-28' },
    });
    expect([response.status, response.json()]).toEqual([
      400,
      invalid(null, 'an answer cannot be posted in protocol revision 2026-07-28'),
    ]);
  });

  test.each([
    ['without a session', 400, -32000, { sessionId: null, version: null }],
    ['for a session that is not there', 404, -32001, { sessionId: 'nowhere' }],
    ['for a session id that is none', 400, -32000, { sessionId: 'no id' }],
    ['in a version that there is not', 400, -32022, { version: '1999-01-01' }],
    ['in another version than the session’s', 400, -32600, { version: '2025-06-18' }],
    ['from a foreign origin', 403, -32000, { headers: { origin: 'https://evil.example' } }],
    ['that accepts no answer', 406, -32000, { headers: { accept: 'text/html' } }],
    ['in another content type', 415, -32000, { headers: { 'content-type': 'text/plain' } }],
  ])(
    'B12 B207 a notification or an answer %s: an error status, and id null',
    async (_, status, code, options) => {
      const { one } = await inLab();
      for (const body of [notification, answer, fault]) {
        const response = await one.post(body, options);
        expect([response.status, response.header('content-type')]).toEqual([
          status,
          'application/json',
        ]);
        expect(response.json()).toMatchObject({ jsonrpc: '2.0', id: null, error: { code } });
      }
    },
  );

  test.each([
    '{"jsonrpc":"2.0","id":5,"method":"ping"',
    '{id:5}',
    'ping',
    '',
    '{"jsonrpc":"2.0"}{}',
    'NaN',
  ])('B9 the body %j is no JSON: a parse error, with the id null', async (body) => {
    const { one } = await inLab();
    expect(await said400(one, body)).toEqual(
      failure(null, -32700, 'Parse error: the body is not JSON'),
    );
  });

  test.each(['null', '[]', '"ping"', '5', 'true', '{}', '[null]', '[1]', '{"jsonrpc":"2.0"}'])(
    'B11 the body %s is JSON and no message',
    async (body) => {
      const { one } = await session(createLab().factory, {}, { protocolVersion: '2025-03-26' });
      expect(await said400(one, body)).toEqual(failure(null, -32600, expect.any(String)));
    },
  );

  test.each([
    ['a stray continuation byte', [0x80]],
    ['a sequence that breaks off', [0xc3, 0x28]],
    ['an overlong slash', [0xc0, 0xaf]],
    ['half of a surrogate pair', [0xed, 0xa0, 0x80]],
    ['a byte of no encoding', [0xff]],
    ['Latin-1', [0xe9]],
  ])('B9 B208 %s in the body is a parse error, not a replacement character', async (_, bytes) => {
    let calls = 0;
    const { one } = await session(toolServer({ count: () => said(++calls) }));
    const [before, after] = JSON.stringify({
      ...request,
      method: 'tools/call',
      params: { name: 'count', arguments: { text: '|' } },
    }).split('|');
    const body = Buffer.concat([
      Buffer.from(before ?? ''),
      Buffer.from(bytes),
      Buffer.from(after ?? ''),
    ]);
    expect(await said400(one, body)).toEqual(
      failure(null, -32700, 'Parse error: the body is not UTF-8'),
    );
    expect(calls).toBe(0);
  });

  test('B208 a character whose bytes arrive apart is still itself, and a byte-order mark before a body is nothing', async () => {
    const { one } = await inLab();
    const text = 'naïve 漢字 🧳';
    const call = {
      ...request,
      method: 'tools/call',
      params: { name: 'echo', arguments: { text } },
    };
    const body = Buffer.from(`\ufeff${JSON.stringify(call)}`);
    const started = one.start(
      'POST',
      {},
      {
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        'content-length': String(body.length),
      },
    );
    for (const byte of body) started.request.write(Buffer.of(byte));
    started.request.end();
    expect(textOf(await (await started.response).nextMessage())).toBe(text);
  });

  test.each<[string, object, unknown, string]>([
    [
      'a request with a member that there is not',
      { ...request, auth: 'x' },
      5,
      'unknown member "auth"',
    ],
    ['a request with a result', { ...request, result: {} }, 5, 'unknown member "result"'],
    [
      'a notification with a member that there is not',
      { ...notification, extra: 1 },
      null,
      'unknown member "extra"',
    ],
    [
      'an answer with a member that there is not',
      { ...answer, extra: 1 },
      null,
      'unknown member "extra"',
    ],
    [
      'an answer that is a failure too',
      { ...answer, error: fault.error },
      null,
      'unknown member "error"',
    ],
    [
      'an id of 2^53',
      { ...request, id: 2 ** 53 },
      null,
      'id must be a string or an integer of at most 2^53 - 1',
    ],
    [
      'an id of −2^53',
      { ...request, id: -(2 ** 53) },
      null,
      'id must be a string or an integer of at most 2^53 - 1',
    ],
    [
      'a fraction as id',
      { ...request, id: 1.5 },
      null,
      'id must be a string or an integer of at most 2^53 - 1',
    ],
    [
      'B10 null as id',
      { ...request, id: null },
      null,
      'id must be a string or an integer of at most 2^53 - 1',
    ],
    [
      'true as id',
      { ...request, id: true },
      null,
      'id must be a string or an integer of at most 2^53 - 1',
    ],
    [
      'an object as id',
      { ...request, id: {} },
      null,
      'id must be a string or an integer of at most 2^53 - 1',
    ],
    [
      'an answer to 2^53',
      { ...answer, id: 2 ** 53 },
      null,
      'id must be a string or an integer of at most 2^53 - 1',
    ],
    ['params in an array', { ...request, params: [] }, 5, 'params must be an object'],
    [
      'a _meta that is none',
      { ...request, params: { _meta: 'x' } },
      5,
      'params._meta must be an object',
    ],
    [
      'a progress token above 2^53',
      { ...request, params: { _meta: { progressToken: 2 ** 53 } } },
      5,
      'params._meta.progressToken must be a string or an integer',
    ],
    ['another JSON-RPC', { ...request, jsonrpc: '1.0' }, 5, 'jsonrpc must be "2.0"'],
  ])(
    'B224 %s is refused in every mode, and not left without an answer',
    async (_, body, id, why) => {
      for (const sessionMode of ['hybrid', 'stateful', 'stateless'] as const) {
        const { client } = await serve(createLab().factory, { sessionMode });
        const one = client();
        if (sessionMode !== 'stateless') await one.initialize();
        expect(await refusalOf(one, body, id as number | null)).toEqual(invalid(id, why));
      }
    },
  );

  test('B224 digits beyond 2^53 are refused as they were written', async () => {
    const { one } = await inLab();
    for (const id of ['9007199254740993', '123456789012345678901234567890', '1e300']) {
      const body = await said400(one, `{"jsonrpc":"2.0","id":${id},"method":"ping"}`);
      expect(body).toEqual(invalid(null, 'id must be a string or an integer of at most 2^53 - 1'));
    }
  });

  test.each([0, -1, 2 ** 53 - 1, -(2 ** 53 - 1), '', 'a', '9007199254740993', '__proto__', '🧳'])(
    'B224 the id %j is one, and comes back as it was',
    async (id) => {
      const { one } = await inLab();
      const response = await one.post({ ...request, id, method: 'ping' });
      expect(await response.nextMessage()).toEqual({ jsonrpc: '2.0', id, result: {} });
    },
  );
});

test('B224 the 2024-11-05 transport refuses them too, and continues', async () => {
  const { client } = await serve(createLab().factory, { legacySse: true });
  const { stream, post } = await openSse(client());
  // The error of a request is on the stream; without its id there is only the status.
  expect((await post({ ...request, id: 2 ** 53 })).status).toBe(400);
  for (const wrong of [
    { ...request, extra: 1 },
    { ...request, params: [] },
  ]) {
    expect((await post(wrong)).status).toBe(202);
    expect(await stream.nextMessage()).toMatchObject({ id: request.id, error: { code: -32_600 } });
  }
  expect((await post(toolCall(5, 'echo', { text: 'still here' }))).status).toBe(202);
  expect(textOf(await stream.nextMessage())).toBe('still here');
});
