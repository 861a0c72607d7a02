/**
 * What a body holds is limited before it is parsed: its levels, with `limits.bodyKeys` its keys, and with
 * `limits.bodyBytes` its bytes. More is refused on every way into an endpoint, with the id where it can be read.
 */
import { createServer } from 'node:http';
import { describe, expect, test } from 'vitest';
import { createMcpEndpoint, type McpEndpoint, type McpEndpointOptions } from '../../src/index.ts';
import { serveFleet } from '../kit/fleet.ts';
import { connectSse, handshake } from '../kit/legacy-sse.ts';
import { clientBehind } from '../kit/listening.ts';
import { envelope, mirrored } from '../kit/modern.ts';
import { failure, seen } from '../kit/refusals.ts';
import { faces, serve } from '../kit/serve.ts';
import { perFace } from '../kit/sessions.ts';
import { said, toolServer } from '../kit/tool-server.ts';

const KEYS = 50;
const BYTES = 2_000;
/** The keys and objects of a call around its value: four objects, seven keys. */
const OWN = 11;

const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);
/** An object among the arguments of a call, which then has so many keys and objects. */
const withKeys = (keys: number): string =>
  JSON.stringify(Object.fromEntries(Array.from({ length: keys - OWN }, (_, n) => [`k${n}`, n])));

const tooDeep = {
  status: 400,
  code: -32600,
  message: 'Invalid Request: the body is nested deeper than 128 levels',
  data: undefined,
};
const tooMany = {
  status: 413,
  code: -32000,
  message: `Payload Too Large: a body may have ${KEYS} keys and objects (limits.bodyKeys)`,
  data: { reason: 'too_many_keys' },
};

const tooLong = {
  status: 413,
  code: -32000,
  message: `Payload Too Large: a body may have ${BYTES} bytes (limits.bodyBytes)`,
  data: { reason: 'body_too_large' },
};

/** JSON text that is too much as the argument of a call, and such that is not. */
const FAULTS = [
  { what: 'nested 200 levels deep', over: nested(200), fits: nested(125), ...tooDeep },
  { what: 'nested 500,000 levels deep', over: nested(500_000), fits: nested(125), ...tooDeep },
  {
    what: `of ${KEYS + 1} keys and objects`,
    over: withKeys(KEYS + 1),
    fits: withKeys(KEYS),
    ...tooMany,
  },
  { what: 'of too many bytes', over: `"${'x'.repeat(BYTES)}"`, fits: '"x"', ...tooLong },
];

const call = {
  jsonrpc: '2.0',
  id: 5,
  method: 'tools/call',
  params: { name: 'echo', arguments: { value: 'VALUE' as unknown } },
};

const factory = toolServer({ echo: ({ value }) => said(JSON.stringify(value)) });

describe.each(FAULTS)('a body $what', ({ over, fits, status, code, message, data }) => {
  const isLong = message === tooLong.message;
  const limits = { bodyKeys: KEYS, bodyBytes: isLong ? BYTES : 2_000_000 };
  const OPTIONS: McpEndpointOptions = { limits, legacySse: true };
  const reason = data?.reason;
  const withValue = (body: unknown, value = over): string =>
    JSON.stringify(body).replace('"VALUE"', value);
  const body = (id: unknown) => failure(id, code, message, data);
  const refused = (id: unknown) => [status, undefined, body(id)];
  const refusedOnSession = [200, reason ?? expect.any(String), body(5)];

  describe.each(perFace)('is refused over $face', ({ session, serve }) => {
    test('B200 on a session, where a body of the limit is served', async () => {
      const { one, log } = await session(factory, OPTIONS);
      const served = await one.post(withValue(call, fits));
      expect(await served.nextMessage()).toMatchObject({ id: 5, result: said(fits) });
      expect(seen(await one.post(withValue(call)))).toEqual(refusedOnSession);
      const more = { ...call.params, one: 'more' };
      for (const other of [
        { jsonrpc: '2.0', method: 'notifications/x', params: more },
        { jsonrpc: '2.0', id: 's1.0', result: more },
        [call],
      ])
        expect(seen(await one.post(withValue(other)))).toEqual(refused(null));
      expect(log.matching(/./, 'error')).toEqual([]);
    });

    test('B200 without a session, and in an initialize', async () => {
      const stateless = await serve(factory, { limits, sessionMode: 'stateless' });
      expect(
        seen(await stateless.client().post(withValue(call), { version: '2025-11-25' })),
      ).toEqual(refused(5));
      const { client, endpoint } = await serve(factory, OPTIONS);
      const opening = handshake(7, '2025-11-25');
      Object.assign(opening.params.capabilities, { experimental: { x: 'VALUE' } });
      expect(seen(await client().post(withValue(opening)))).toEqual(refused(7));
      expect(endpoint.sessions.liveCount).toBe(0);
    });

    test('B200 in the arguments and in the envelope of a request of 2026-07-28', async () => {
      const { client } = await serve(factory, OPTIONS);
      const headers = mirrored('tools/call', call.params);
      for (const params of [
        { ...call.params, _meta: envelope() },
        { name: 'echo', arguments: {}, _meta: envelope({ experimental: { x: 'VALUE' as never } }) },
      ])
        expect(seen(await client().post(withValue({ ...call, params }), { headers }))).toEqual(
          refused(5),
        );
    });

    test('B200 on the 2024-11-05 transport, whose connections serve the next handshake', async () => {
      const { client } = await serve(factory, OPTIONS);
      const { stream, post } = await connectSse(client({ sockets: 2 }), '/mcp/sse');
      const opening = handshake(7);
      Object.assign(opening.params.capabilities, { sampling: { x: 'VALUE' } });
      expect(seen(await post(withValue(opening)))).toEqual(refused(7));
      expect(seen(await post(withValue(call)))).toEqual(refused(5));
      expect((await post(handshake(8))).status).toBe(202);
      expect(await stream.nextMessage()).toMatchObject({
        id: 8,
        result: { protocolVersion: '2024-11-05' },
      });
    });
  });

  test('B200 is refused by an instance that has not the session', async () => {
    const [a, b] = await serveFleet(2, OPTIONS);
    expect(seen(await b.join(await a.openSession()).post(withValue(call)))).toEqual(
      refusedOnSession,
    );
    expect([...a.log.matching(/./, 'error'), ...b.log.matching(/./, 'error')]).toEqual([]);
  });

  describe.skipIf(isLong)('is refused where it was parsed before', () => {
    const parsed = JSON.parse(withValue(call)) as typeof call;

    test('B200 and is given to node(), also for the 2024-11-05 transport', async () => {
      const endpoint = createMcpEndpoint(factory, OPTIONS);
      const server = createServer((req, res) => {
        if (req.method !== 'POST') return endpoint.node(req, res);
        req.resume().on('end', () => endpoint.node(req, res, parsed));
      });
      const client = await clientBehind(server, endpoint);
      expect(seen(await client.post('{}'))).toEqual(refused(5));
      const { post } = await connectSse(client, '/mcp/sse');
      expect(seen(await post('{}'))).toEqual(refused(5));
    });

    test('B200 and is given to fetch()', async () => {
      expect(await fetched(createMcpEndpoint(factory, OPTIONS), parsed)).toEqual([status, body(5)]);
    });
  });
});

async function fetched(endpoint: McpEndpoint, parsedBody: unknown): Promise<unknown[]> {
  const headers = {
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
  };
  const request = new Request('http://localhost/mcp', { method: 'POST', headers, body: '{}' });
  const response = await endpoint.fetch(request, { parsedBody });
  return [response.status, await response.json()];
}

test('B200 a parsed body that contains itself is too deep', async () => {
  const round = { ...call, params: { round: {} } };
  round.params.round = round;
  const refused = failure(5, tooDeep.code, tooDeep.message);
  expect(await fetched(createMcpEndpoint(factory), round)).toEqual([tooDeep.status, refused]);
});

test.each(faces)(
  'B200 a million numbers in an array pass the default limits, over %s',
  async (face) => {
    const { openSession } = await serve(factory, {}, { face });
    const numbers = `[${'1,'.repeat(999_999)}1]`;
    const one = await openSession();
    const answer = await one.post(
      `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":{"numbers":${numbers}}}}`,
    );
    expect(await answer.nextMessage()).toMatchObject({ id: 1, result: {} });
  },
);
