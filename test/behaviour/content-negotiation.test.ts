/** Which `Content-Type` and `Accept` are taken, and in which order they are looked at. */
import { describe, expect, test } from 'vitest';
import { createEchoServer } from '../kit/echo-server.ts';
import { postModern } from '../kit/modern.ts';
import { failure, seen } from '../kit/refusals.ts';
import { said, toolServer } from '../kit/tool-server.ts';
import { perFace } from '../kit/sessions.ts';

const PING = { jsonrpc: '2.0', id: 1, method: 'ping' };

const notAcceptable = (needed: string) =>
  failure(null, -32000, `Not Acceptable: the client must accept ${needed}`);
const noJson = (type: string | null) => {
  const named = JSON.stringify(type ?? '');
  return failure(
    null,
    -32000,
    `Unsupported Media Type: Content-Type must be application/json, not ${named}`,
  );
};

const NO_JSON = [
  'text/javascript',
  'text/plain',
  'application/jsonp',
  'text/plain; a=application/json',
  'application/x-www-form-urlencoded',
  null,
];
const JSON_TYPES = [
  'application/json; charset=utf-8',
  'Application/JSON',
  'application/json;charset=UTF-8',
];

/** For a POST, which needs both. */
const NOT_BOTH = [
  'application/json',
  'text/event-stream',
  'application/json, text/html',
  'text/event-stream, application/*;q=0',
  'application/jsonx, text/event-streamx',
  'xapplication/json, xtext/event-stream',
  'application/json-seq, text/event-stream',
  'text/plain;note="application/json, text/event-stream"',
  String.raw`text/plain;note="a\", application/json, text/event-stream, \""`,
  'application/json, text/event-stream;q=none',
  '*',
  '*/*, text/event-stream;q=0',
  'application/json;q=0, */*',
  '*/*;q=0',
  '',
  null,
];
const BOTH = [
  '*/*',
  '*/*;q=0.1',
  'application/json;q=0.9, text/event-stream;q=0.5',
  'application/*, text/*',
  'text/html, application/json;charset=utf-8, text/event-stream',
  'APPLICATION/JSON , Text/Event-Stream',
];

/** For a GET. */
const NO_STREAM = [
  'application/json',
  'text/event-streamx',
  'text/event-stream;q=0, */*',
  '',
  null,
];
const STREAM = [
  'text/event-stream',
  '*/*',
  'text/*',
  'text/event-stream;q=0.1',
  'application/json, */*;q=0.2',
];

describe.each(perFace)('$face', ({ serve, session }) => {
  test('a body with a Content-Encoding is refused with 415, which says what to send', async () => {
    const client = (await serve(createEchoServer)).client();
    const response = await client.post(PING, { headers: { 'content-encoding': 'gzip' } });
    expect(response.status).toBe(415);
    expect(response.header('accept-encoding')).toBe('identity');
    expect(response.json()).toMatchObject({
      error: { message: expect.stringContaining('Content-Encoding "gzip"') },
    });
    expect(
      (await client.post(PING, { headers: { 'content-encoding': 'identity' } })).status,
    ).not.toBe(415);
  });

  test("responseMode: 'json' takes clients that accept JSON alone, in both eras", async () => {
    const { client } = await serve(createEchoServer, { responseMode: 'json' });
    const one = client({ headers: { accept: 'application/json' } });
    expect((await one.initialize()).response.status).toBe(200);
    const listed = await one.call('tools/list');
    expect([listed.response.status, listed.response.header('content-type')]).toEqual([
      200,
      'application/json',
    ]);
    expect((await postModern(one, 'tools/list', {})).status).toBe(200);
    const listen = await postModern(one, 'subscriptions/listen', { notifications: {} });
    expect(listen.status).toBe(406);
    expect(listen.json()).toMatchObject({
      error: { message: expect.stringContaining('text/event-stream') },
    });
    expect((await client().post(PING, { headers: { accept: 'text/event-stream' } })).status).toBe(
      406,
    );
  });

  test.each(NO_JSON)('B5 without a session a body of type %s is refused with 415', async (type) => {
    const client = (await serve(createEchoServer)).client();
    const response = await client.post(PING, { headers: { 'content-type': type } });
    expect(seen(response)).toEqual([415, undefined, noJson(type)]);
    expect(response.header('content-type')).toBe('application/json');
  });

  test.each([
    ['unsupported_media_type', { 'content-type': 'text/plain' }, 415],
    ['unsupported_media_type', { 'content-type': null }, 415],
    ['not_acceptable', { accept: 'application/json' }, 406],
    ['not_acceptable', { accept: null }, 406],
  ])(
    'B5 B6 on a session a request gets 200 with its id and the reason %s: %j',
    async (reason, headers, status) => {
      let calls = 0;
      const { one } = await session(toolServer({ count: () => said(++calls) }));
      const call = { method: 'tools/call', params: { name: 'count', arguments: {} } };
      for (const id of [7, 'seven', '', 0]) {
        // As the clients of Python and TypeScript write it: the id comes last.
        const response = await one.post({ ...call, jsonrpc: '2.0', id }, { headers });
        expect([response.status, response.headers('sojourn-refused')]).toEqual([200, [reason]]);
        expect(response.headers('content-type')).toEqual(['application/json']);
        expect(response.json()).toMatchObject({ jsonrpc: '2.0', id, error: { code: -32000 } });
      }
      // What has no id to answer keeps the status.
      for (const body of [
        { jsonrpc: '2.0', method: 'notifications/x' },
        { jsonrpc: '2.0', id: 1, result: {} },
        [call],
      ]) {
        const response = await one.post(body, { headers });
        expect([response.status, response.headers('sojourn-refused')]).toEqual([status, []]);
        expect(response.json()).toMatchObject({ id: null });
      }
      expect(calls).toBe(0);
    },
  );

  test.each(JSON_TYPES)('B5 a body of type %s is taken', async (type) => {
    const { one } = await session(createEchoServer);
    expect((await one.post(PING, { headers: { 'content-type': type } })).status).toBe(200);
  });

  test.each(NOT_BOTH)(
    'B6 without a session a POST that accepts %j is 406, whatever its body is',
    async (accept) => {
      const client = (await serve(createEchoServer)).client();
      const response = await client.post(PING, { headers: { accept } });
      expect(seen(response)).toEqual([
        406,
        undefined,
        notAcceptable('application/json and text/event-stream'),
      ]);
      expect(response.header('content-type')).toBe('application/json');
    },
  );

  test.each(BOTH)('B7 a POST that accepts %j is answered', async (accept) => {
    const client = (await serve(createEchoServer)).client();
    expect((await client.initialize({ headers: { accept } })).response.status).toBe(200);
    const { response, message } = await client.call('ping', undefined, { headers: { accept } });
    expect([response.status, message.result]).toEqual([200, {}]);
  });

  test('B8 a wrong Accept is said before the body has come', async () => {
    const client = (await serve(createEchoServer)).client();
    const { request, response } = client.start('POST', {
      headers: {
        accept: 'text/html',
        'content-type': 'application/json',
        'content-length': '1000',
      },
    });
    request.flushHeaders();
    expect((await response).status).toBe(406);
    request.destroy();
  });

  test.each(NO_STREAM)('B31 a GET that accepts %j is refused with 406', async (accept) => {
    const { one } = await session(createEchoServer);
    const response = await one.get({ headers: { accept } });
    expect(seen(response)).toEqual([406, undefined, notAcceptable('text/event-stream')]);
  });

  test.each(STREAM)('B31 a GET that accepts %j is answered with a stream', async (accept) => {
    const { one } = await session(createEchoServer);
    const response = await one.get({ headers: { accept } });
    expect([response.status, response.header('content-type')]).toEqual([200, 'text/event-stream']);
  });
});
