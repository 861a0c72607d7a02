/** What a POST of a session is answered with: status, headers, framing. */
import { ProtocolError, Server, UrlElicitationRequiredError } from '@modelcontextprotocol/server';
import { describe, expect, test } from 'vitest';
import type { RawResponse } from '../kit/raw-response.ts';
import { textOf, tool, toolCall } from '../kit/lab.ts';
import { callModern } from '../kit/modern.ts';
import { heldTool, said, toolServer } from '../kit/tool-server.ts';
import { until } from '../kit/until.ts';
import { perFace } from '../kit/sessions.ts';
import { NOT_FOUND } from '../kit/refusals.ts';

const INITIALIZE = {
  capabilities: {},
  clientInfo: { name: 'raw-client', version: '0.0.0' },
};
const ID = /^[A-Za-z0-9_-]{22}$/;

function expectSseHead(response: RawResponse, staysOpen: boolean): void {
  expect(response.status).toBe(200);
  expect(response.headers('content-type')).toEqual(['text/event-stream']);
  expect(response.headers('cache-control')).toEqual(['no-cache,no-store,no-transform']);
  expect(response.headers('x-accel-buffering')).toEqual(staysOpen ? ['no'] : []);
  expect(response.headers('content-encoding')).toEqual(staysOpen ? ['identity'] : []);
}

describe.each(perFace)('$face', ({ serve, session }) => {
  // Before 2025-11-25 the priming event has no data field: clients of that time report empty data.
  test.each([
    ['2025-06-18', {}],
    ['2025-11-25', { data: '' }],
  ])(
    'B1 B212 initialize of %s is answered with one message and one mcp-session-id',
    async (protocolVersion, data) => {
      const client = (await serve(toolServer({}))).client();
      const params = { ...INITIALIZE, protocolVersion };
      const response = await client.post({ jsonrpc: '2.0', id: 1, method: 'initialize', params });
      expect(response.status).toBe(200);
      expect(response.headers('content-type')).toEqual(['text/event-stream']);
      expect(response.headers('mcp-session-id')).toEqual([expect.stringMatching(ID)]);
      const result = {
        protocolVersion,
        capabilities: { logging: {}, resources: { subscribe: true, listChanged: true } },
        serverInfo: { name: 'tools', version: '1.0.0' },
      };
      const message = { jsonrpc: '2.0', id: 1, result };
      expect(await response.untilEnd()).toEqual([
        { id: expect.any(String), retry: 4_000, ...data },
        { event: 'message', id: expect.any(String), data: expect.any(String), message },
      ]);
      expect(response.ending).toBe('complete');
    },
  );

  test("B1 with responseMode 'json' it is one JSON body", async () => {
    const client = (await serve(toolServer({}), { responseMode: 'json' })).client();
    const { response } = await client.initialize();
    expect(response.status).toBe(200);
    expect(response.headers('content-type')).toEqual(['application/json']);
    expect(response.headers('mcp-session-id')).toEqual([expect.stringMatching(ID)]);
    expect(response.json()).toMatchObject({
      jsonrpc: '2.0',
      id: 1,
      result: { protocolVersion: '2025-11-25' },
    });
  });

  test('B2 B3 an event stream tells proxies not to cache it, and neither to buffer nor to compress it while it stays open', async () => {
    const stay = heldTool();
    const server = () => toolServer({ echo: () => said('hello'), stay: stay.tool });
    const options = { responseMode: 'sse' } as const;
    const client = (await serve(server(), options)).client();
    const { response } = await client.initialize();
    expectSseHead(response, false);
    expectSseHead((await client.call(...tool('echo'))).response, false);
    expectSseHead(await client.post(toolCall(7, 'stay')), true);
    const get = await client.get();
    expectSseHead(get, true);
    const { id } = await get.next();
    expectSseHead(await client.get({ lastEventId: id }), true);
    const modern = (await serve(server(), options)).client();
    expectSseHead((await callModern(modern, 'tools/call', { name: 'echo' })).response, false);
    const stateless = (await serve(toolServer({}), { stateless: true })).client();
    expectSseHead((await stateless.call('tools/list')).response, false);
    stay.release();
  });

  test('B4 a message is an event of type message whose data is one line of JSON, whatever the text in it', async () => {
    const text =
      'one\ntwo\r\nthree\rfour\u2028five\u2029six\u0085seven\u0000 "\\" data: x\n\nid: 1\n\n🚢';
    const client = (await serve(toolServer({ odd: () => said(text) }))).client();
    for (const protocolVersion of ['2025-06-18', '2025-11-25']) {
      await client.initialize({ protocolVersion });
      const { response, message } = await client.call(...tool('odd'));
      expect(textOf(message)).toBe(text);
      await response.untilEnd();
      const written = response.events.filter((event) => event.event !== undefined);
      expect(written).toHaveLength(1);
      expect(written[0]?.event).toBe('message');
      const lines = response.body.split('\n').filter((line) => line.startsWith('data: {'));
      expect(lines).toHaveLength(1);
      expect(JSON.parse(lines[0]?.slice(6) ?? '')).toEqual(message);
      expect(response.body).not.toContain('\r');
    }
  });

  test('B15 B80 an unknown session id on POST is 404, -32001, with the id null: with its own, a client of Go misses the status', async () => {
    const client = (await serve(toolServer({}))).client();
    client.sessionId = 'AAAAAAAAAAAAAAAAAAAAAA';
    const { response, message } = await client.call('tools/list');
    expect(response.status).toBe(404);
    expect(response.headers('mcp-session-id')).toEqual([]);
    expect(message).toEqual(NOT_FOUND);
    expect(response.header('sojourn-refused')).toBeUndefined();
  });

  test.each(['sse', 'json'] as const)(
    'B16 a notification gets 202, no body and no type (%s)',
    async (responseMode) => {
      const { one } = await session(toolServer({}), { responseMode });
      const response = await one.notify('notifications/roots/list_changed');
      expect(response.status).toBe(202);
      expect(response.body).toBe('');
      expect(response.header('content-type')).toBeUndefined();
    },
  );

  test('B18 every answer of a known session repeats its id', async () => {
    const client = (await serve(toolServer({ echo: () => said('hello') }))).client();
    const { response } = await client.initialize();
    const id = response.header('mcp-session-id');
    const answers = [
      await client.notify('notifications/roots/list_changed'),
      (await client.call('ping')).response,
      (await client.call(...tool('echo'))).response,
      (await client.call('no/such/method')).response,
      await client.get(),
    ];
    expect(answers.map((answer) => answer.headers('mcp-session-id'))).toEqual(
      answers.map(() => [id]),
    );
  });

  test('B19 a tool that throws answers 200 with isError and the text of the SDK, without a stack or a path', async () => {
    const boom = (): never => {
      throw new Error('the pump is broken');
    };
    const { one } = await session(toolServer({ boom }));
    const { response, message } = await one.call(...tool('boom'));
    expect(response.status).toBe(200);
    expect(response.sse).toBe(true);
    expect(message.result).toEqual({
      content: [{ type: 'text', text: 'the pump is broken' }],
      isError: true,
    });
    expect(response.body).not.toMatch(/\.ts\b|\bat .*:\d+|\/src\//);
  });

  test('B20 a tool that throws a protocol error answers 200 with a JSON-RPC error of its code, in both eras', async () => {
    const factory = (): Server => {
      const server = new Server({ name: 'low', version: '1.0.0' }, { capabilities: { tools: {} } });
      server.setRequestHandler('tools/call', () => {
        throw new ProtocolError(-32602, 'no such pump', { pump: 7 });
      });
      return server;
    };
    const { one: legacy, client } = await session(factory, { responseMode: 'sse' });
    const error = { code: -32602, message: 'no such pump', data: { pump: 7 } };
    for (const answer of [
      await legacy.call(...tool('x')),
      await callModern(client(), 'tools/call', { name: 'x' }),
    ]) {
      expect(answer.response.status).toBe(200);
      expect(answer.response.sse).toBe(true);
      expect(answer.message).toEqual({ jsonrpc: '2.0', id: answer.id, error });
    }
  });

  test('B20 an unknown tool is such an error, and so is a tool that needs a URL opened first', async () => {
    const visit = (): never => {
      throw new UrlElicitationRequiredError([
        { mode: 'url', message: 'Sign in', url: 'https://a.example', elicitationId: 'e1' },
      ]);
    };
    const { one } = await session(toolServer({ visit }));
    const unknown = await one.call(...tool('no-such-tool'));
    expect(unknown.response.status).toBe(200);
    expect(unknown.message.error).toEqual({ code: -32602, message: 'Tool no-such-tool not found' });
    const { response, message } = await one.call(...tool('visit'));
    expect(response.status).toBe(200);
    expect(message.error).toMatchObject({
      code: -32042,
      data: { elicitations: [{ elicitationId: 'e1' }] },
    });
  });

  test('B21 a hundred POSTs run side by side, and each gets its own answer and no other', async () => {
    const held = heldTool();
    const factory = toolServer({
      hold: async (args, ctx) => {
        await held.tool(args, ctx);
        return said(args['n']);
      },
    });
    const { one } = await session(factory, { limits: { requestsPerSession: 200 } });
    const numbers = Array.from({ length: 100 }, (_, n) => String(n));
    const calls = numbers.map((n) => one.call(...tool('hold', { n })));
    await until(() => held.calls.length === 100, { what: 'all hundred run' });
    held.release();
    const answers = await Promise.all(calls);
    expect(answers.map(({ message }) => textOf(message))).toEqual(numbers);
    for (const { id, response } of answers) {
      await response.untilEnd();
      expect(response.messages).toEqual([expect.objectContaining({ id })]);
    }
  });
});
