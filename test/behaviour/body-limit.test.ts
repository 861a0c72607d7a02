/** `limits.bodyBytes`: what is over it is refused before it is read. `body-values.test.ts` has each way in. */
import { describe, expect, test } from 'vitest';
import { createEchoServer } from '../kit/echo-server.ts';
import { connectSse } from '../kit/legacy-sse.ts';
import { perFace } from '../kit/sessions.ts';
import { failure, seen } from '../kit/refusals.ts';
import { serve } from '../kit/serve.ts';

const LIMIT = 2_000;

const tooLarge = failure(
  null,
  -32000,
  `Payload Too Large: a body may have ${LIMIT} bytes (limits.bodyBytes)`,
  {
    reason: 'body_too_large',
  },
);

const post = {
  'content-type': 'application/json',
  accept: 'application/json, text/event-stream',
};

/** A ping in exactly `bytes` bytes. */
function pingOf(bytes: number): string {
  const bare = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'ping', params: { pad: '' } });
  return bare.replace('"pad":""', `"pad":"${'x'.repeat(bytes - bare.length)}"`);
}

describe.each(perFace)('over $face', ({ serve }) => {
  const open = () => serve(createEchoServer, { limits: { bodyBytes: LIMIT } });

  test('B200 a body of the limit is served, one byte more is refused with its id', async () => {
    const one = await (await open()).openSession();
    expect((await one.post(pingOf(LIMIT))).status).toBe(200);
    for (const bytes of [LIMIT + 1, 4 * LIMIT]) {
      const refused = await one.post(pingOf(bytes));
      expect([
        refused.status,
        refused.header('content-type'),
        refused.header('sojourn-refused'),
      ]).toEqual([200, 'application/json', 'body_too_large']);
      expect(refused.json()).toEqual({ ...tooLarge, id: 1 });
    }
  });

  test.each([
    ['in an initialize', { method: 'initialize' }, {}],
    ['of a client without a session', { method: 'tools/call' }, { sessionMode: 'stateless' }],
  ] as const)(
    'B200 %s it is read up to four times the limit, so that its client reads the answer',
    async (_, { method }, options) => {
      const { client } = await serve(createEchoServer, {
        limits: { bodyBytes: LIMIT },
        ...options,
      });
      const body = pingOf(4 * LIMIT)
        .replace('"ping"', `"${method}"`)
        .slice(0, -method.length + 4);
      for (const declared of [{}, { 'content-length': String(body.length) }]) {
        const { request, response } = client().start('POST', {}, { ...post, ...declared });
        let answered = false;
        void response.then(() => (answered = true));
        request.write(body.slice(0, -1));
        expect((await client().initialize()).response.status).toBe(200);
        expect(answered).toBe(false);
        request.end('}');
        expect(seen(await response)).toEqual([413, undefined, { ...tooLarge, id: 1 }]);
      }
    },
  );

  // `validation-order.test.ts` has one that declares its length.
  test('B200 past four times the limit a body is 413 without its id', async () => {
    const one = await (await open()).openSession();
    const body = pingOf(4 * LIMIT + 1);
    const { request, response } = one.start('POST', {}, post);
    for (let at = 0; at < body.length; at += 1_000) request.write(body.slice(at, at + 1_000));
    request.end();
    expect(seen(await response)).toEqual([413, undefined, tooLarge]);
  });

  test('B200 the id is found where it comes last, in pieces of a body that ends late', async () => {
    const one = await (await open()).openSession();
    const { request, response } = one.start('POST', {}, post);
    for (const part of [
      `{"params":{"id":3,"a":"${'}'.repeat(LIMIT)}"}`,
      ',"method":"ping","i',
      'd":"la',
      'st"',
    ])
      request.write(part);
    let answered = false;
    void response.then(() => (answered = true));
    expect((await one.call('ping')).response.status).toBe(200);
    expect(answered).toBe(false);
    request.end('}');
    expect((await response).json()).toEqual({ ...tooLarge, id: 'last' });
  });

  test.each([
    ['that cannot be a request', `[${' '.repeat(LIMIT)}`],
    ['that is over the limit and no JSON', 'x'.repeat(LIMIT + 1)],
  ])('B200 a body %s is refused without waiting for its end', async (_, begun) => {
    const { client, openSession } = await open();
    for (const one of [client(), await openSession()]) {
      const { request, response } = one.start('POST', {}, post);
      request.write(begun);
      const refused = await response;
      expect([refused.status, refused.json()]).toEqual([413, tooLarge]);
      request.destroy();
    }
  });

  test('B200 a body in chunks of one byte takes as much of the memory budget as its chunks', async () => {
    const { client } = await serve(createEchoServer, {
      limits: { memoryBytes: 2 ** 21, userShare: 1 },
    });
    const body = pingOf(16_000);
    const head = Object.entries({
      ...post,
      host: 'localhost',
      'transfer-encoding': 'chunked',
      connection: 'close',
    })
      .map(([name, value]) => `${name}: ${value}\r\n`)
      .join('');
    const chunks = Array.from(body, (byte) => `1\r\n${byte}\r\n`).join('');
    const answer = await client().bytes(`POST /mcp HTTP/1.1\r\n${head}\r\n${chunks}0\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1\.1 503 [^]*over_memory/);
    expect((await client().post(body, { version: '2025-11-25' })).status).toBe(400);
  });

  test('B200 what comes after is not taken in: an endless body is cut', async () => {
    const { client } = await open();
    const one = client();
    const { request, response } = one.start('POST', {}, post);
    const closed = new Promise((resolve) => request.once('close', resolve));
    let sent = 0;
    const chunk = 'x'.repeat(65_536);
    const send = (): void => {
      while (!request.destroyed && sent < 256_000_000) {
        sent += chunk.length;
        if (!request.write(chunk)) return void request.once('drain', send);
      }
    };
    request.on('error', () => {});
    send();
    // A client that only sends may see its connection cut instead of the answer.
    await response.then(
      ({ status }) => expect(status).toBe(413),
      (error: NodeJS.ErrnoException) => expect(['EPIPE', 'ECONNRESET']).toContain(error.code),
    );
    await closed;
    expect(sent).toBeLessThan(64_000_000);
    expect((await client().initialize()).response.status).toBe(200);
  });
});

test('B200 on the 2024-11-05 transport it is refused as soon as it is too long, without its end', async () => {
  const one = (
    await serve(createEchoServer, { legacySse: true, limits: { bodyBytes: LIMIT } })
  ).client();
  const { endpoint: path } = await connectSse(one, '/mcp/sse');
  const { request, response } = one.start('POST', { path }, post);
  request.write('x'.repeat(LIMIT + 1));
  expect((await response).status).toBe(413);
  request.destroy();
});
