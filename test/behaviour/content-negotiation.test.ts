/** Which `Content-Type` and `Accept` are taken, and in which order they are looked at. */
import { describe, expect, test } from 'vitest';
import { createEchoServer } from '../kit/echo-server.ts';
import { faces, serve } from '../kit/serve.ts';

const PING = { jsonrpc: '2.0', id: 1, method: 'ping' };
const BOTH = 'application/json and text/event-stream';

const notAcceptable = (needed: string): unknown => ({
  jsonrpc: '2.0',
  id: null,
  error: { code: -32000, message: `Not Acceptable: the client must accept ${needed}` },
});

describe.each(faces)('%s', (face) => {
  test.each([
    ['text/javascript'],
    ['text/plain'],
    ['application/jsonp'],
    ['text/plain; a=application/json'],
    ['application/x-www-form-urlencoded'],
    [null],
  ])('B5 a body of type %s is refused with 415', async (type) => {
    const client = (await serve(createEchoServer, {}, { face })).client();
    const response = await client.post(PING, { headers: { 'content-type': type } });
    expect(response.status).toBe(415);
    expect(response.header('content-type')).toBe('application/json');
    expect(response.json()).toEqual({
      jsonrpc: '2.0',
      id: null,
      error: {
        code: -32000,
        message: `Unsupported Media Type: Content-Type must be application/json, not ${JSON.stringify(type ?? '')}`,
      },
    });
  });

  test.each([['application/json; charset=utf-8'], ['Application/JSON'], ['application/json;charset=UTF-8']])(
    'B5 a body of type %s is taken',
    async (type) => {
      const client = (await serve(createEchoServer, {}, { face })).client();
      await client.initialize();
      const response = await client.post(PING, { headers: { 'content-type': type } });
      expect(response.status).toBe(200);
    },
  );

  test.each([
    ['application/json'],
    ['text/event-stream'],
    ['application/json, text/html'],
    ['text/event-stream, application/*;q=0'],
    ['application/jsonx, text/event-streamx'],
    ['xapplication/json, xtext/event-stream'],
    ['application/json-seq, text/event-stream'],
    ['text/plain;note="application/json, text/event-stream"'],
    ['*/*, text/event-stream;q=0'],
    ['application/json;q=0, */*'],
    ['*/*;q=0'],
    [''],
    [null],
  ])('B6 a POST that accepts %j is refused with 406, before its body is looked at', async (accept) => {
    const client = (await serve(createEchoServer, {}, { face })).client();
    const response = await client.post(PING, { headers: { accept } });
    expect(response.status).toBe(406);
    expect(response.header('content-type')).toBe('application/json');
    expect(response.json()).toEqual(notAcceptable(BOTH));
  });

  test.each([
    ['*/*'],
    ['*/*;q=0.1'],
    ['application/json;q=0.9, text/event-stream;q=0.5'],
    ['application/*, text/*'],
    ['text/html, application/json;charset=utf-8, text/event-stream'],
    ['APPLICATION/JSON , Text/Event-Stream'],
  ])('B7 a POST that accepts %j is answered', async (accept) => {
    const client = (await serve(createEchoServer, {}, { face })).client();
    const { response } = await client.initialize({ headers: { accept } });
    expect(response.status).toBe(200);
    const { response: called, message } = await client.call('ping', undefined, { headers: { accept } });
    expect(called.status).toBe(200);
    expect(message.result).toEqual({});
  });

  test('B8 a wrong Accept is said before anything about the body', async () => {
    const client = (await serve(createEchoServer, { limits: { bodyBytes: 20 } }, { face })).client();
    const accept = 'application/json';
    for (const body of ['{"jsonrpc":', 'x'.repeat(100), Buffer.from([0xff, 0xfe]), '', 'null']) {
      const response = await client.post(body, { headers: { accept } });
      expect(response.status).toBe(406);
      expect(response.json()).toEqual(notAcceptable(BOTH));
    }
  });

  test('B8 a wrong Accept is said before the body has come', async () => {
    const client = (await serve(createEchoServer, {}, { face })).client();
    const { request, response } = client.start('POST', {
      headers: { accept: 'text/html', 'content-type': 'application/json', 'content-length': '1000' },
    });
    request.flushHeaders();
    expect((await response).status).toBe(406);
    request.destroy();
  });

  test.each([['application/json'], ['text/event-streamx'], ['text/event-stream;q=0, */*'], [''], [null]])(
    'B31 a GET that accepts %j is refused with 406',
    async (accept) => {
      const client = (await serve(createEchoServer, {}, { face })).client();
      await client.initialize();
      const response = await client.get({ headers: { accept } });
      expect(response.status).toBe(406);
      expect(response.json()).toEqual(notAcceptable('text/event-stream'));
    },
  );

  test.each([['text/event-stream'], ['*/*'], ['text/*'], ['text/event-stream;q=0.1'], ['application/json, */*;q=0.2']])(
    'B31 a GET that accepts %j is answered with a stream',
    async (accept) => {
      const client = (await serve(createEchoServer, {}, { face })).client();
      await client.initialize();
      const response = await client.get({ headers: { accept } });
      expect(response.status).toBe(200);
      expect(response.header('content-type')).toBe('text/event-stream');
    },
  );
});
