/** The stream of a POST while its request runs: what is sent on it, when its head leaves, when it ends. */
import type { McpServer, ServerContext } from '@modelcontextprotocol/server';
import { describe, expect, test } from 'vitest';
import { createFakeTime } from '../../src/testing/index.ts';
import type { RawResponse } from '../kit/raw-response.ts';
import { textOf, tool, toolCall } from '../kit/lab.ts';
import { callModern, postModern } from '../kit/modern.ts';
import { heldTool, said, toolServer, type Tool } from '../kit/tool-server.ts';
import { until } from '../kit/until.ts';
import { gate } from '../kit/watched-store.ts';
import { perFace } from '../kit/sessions.ts';

describe.each(perFace)('$face', ({ serve, session }) => {
  const form = { message: 'Colour?', requestedSchema: { type: 'object' as const, properties: {} } };
  const page = {
    mode: 'url' as const,
    message: 'Pay',
    url: 'https://pay.example/',
    elicitationId: 'e1',
  };
  const paid = { action: 'accept' };
  const sampling = { messages: [], maxTokens: 1 };
  const asked: Array<[string, (ctx: ServerContext, server: McpServer) => Promise<object>, object]> =
    [
      [
        'sampling/createMessage',
        (ctx) => ctx.mcpReq.requestSampling(sampling),
        { role: 'assistant', model: 'm' },
      ],
      [
        'sampling/createMessage',
        (_ctx, { server }) => server.createMessage(sampling),
        { role: 'assistant', model: 'm' },
      ],
      ['elicitation/create', (ctx) => ctx.mcpReq.elicitInput(form), { action: 'decline' }],
      ['elicitation/create', (_ctx, { server }) => server.elicitInput(form), { action: 'decline' }],
      ['elicitation/create', (ctx) => ctx.mcpReq.elicitInput(page), paid],
      ['roots/list', (ctx) => ctx.mcpReq.send({ method: 'roots/list' }), { roots: [] }],
      ['roots/list', (_ctx, { server }) => server.listRoots(), { roots: [] }],
    ];
  test.each(asked)(
    'B23 %s inside of a handler goes out on its POST, with no GET open (%s)',
    async (method, ask, result) => {
      let server!: McpServer;
      const factory = toolServer(
        { ask: async (_args, ctx) => said(JSON.stringify(await ask(ctx, server))) },
        (made) => (server = made),
      );
      const { one } = await session(
        factory,
        {},
        { capabilities: { sampling: {}, elicitation: { form: {}, url: {} }, roots: {} } },
      );
      const response = await one.post(toolCall(1, 'ask'));
      const question = await response.nextMessage();
      expect(question.method).toBe(method);
      if (result === paid) expect(question).toMatchObject({ params: page });
      const content =
        method === 'sampling/createMessage' ? { content: { type: 'text', text: 'hi' } } : {};
      await one.post({ jsonrpc: '2.0', id: question.id, result: { ...result, ...content } });
      expect(JSON.parse(textOf(await response.nextMessage()) ?? '')).toMatchObject(result);
    },
  );

  test("B23 with responseMode 'json' progress and a question take the GET stream; without one a question waits for it", async () => {
    const time = createFakeTime();
    let asked = 0;
    const progress = {
      method: 'notifications/progress',
      params: { progressToken: 'p', progress: 1 },
    } as const;
    const ask: Tool = (_args, ctx) => {
      asked += 1;
      void ctx.mcpReq.notify(progress);
      return ctx.mcpReq.elicitInput(form).then((answer) => said(JSON.stringify(answer)));
    };
    const options = { responseMode: 'json', timeProvider: time } as const;
    const served = await serve(toolServer({ ask }), options);
    const open = async () => {
      const client = await served.openSession({ capabilities: { elicitation: { form: {} } } });
      return client;
    };
    const vain = (await open()).call(...tool('ask'));
    await until(() => asked === 1);
    await time.advance(5_000);
    const refused = (await vain).message;
    expect(textOf(refused)).toContain(
      'elicitation/create cannot be sent: the client has no GET stream open',
    );
    const client = await open();
    const waiting = client.call(...tool('ask'));
    await until(() => asked === 2);
    const get = await client.get();
    const first = await get.nextMessage();
    await client.post({ jsonrpc: '2.0', id: first.id, result: { action: 'decline' } });
    await waiting;
    const answered = client.call(...tool('ask'));
    expect(await get.nextMessage()).toEqual({ jsonrpc: '2.0', ...progress });
    const question = await get.nextMessage();
    expect(question.method).toBe('elicitation/create');
    await client.post({ jsonrpc: '2.0', id: question.id, result: { action: 'decline' } });
    const { response, message } = await answered;
    expect(response.headers('content-type')).toEqual(['application/json']);
    expect(JSON.parse(textOf(message) ?? '')).toMatchObject({ action: 'decline' });
  });

  test("B24 a question whose id is the request's own does not end the stream: ids count per direction", async () => {
    const ask = async (_args: unknown, ctx: ServerContext) =>
      said(JSON.stringify(await ctx.mcpReq.elicitInput(form)));
    const { one } = await session(
      toolServer({ ask }),
      {},
      { capabilities: { elicitation: { form: {} } } },
    );
    const response = await one.post(toolCall('s1.0', 'ask'));
    const question = await response.nextMessage();
    expect(question).toMatchObject({ id: 's1.0', method: 'elicitation/create' });
    await one.call('ping');
    expect(response.ending).toBeUndefined();
    expect(
      (await one.post({ jsonrpc: '2.0', id: 's1.0', result: { action: 'cancel' } })).status,
    ).toBe(202);
    expect(await response.nextMessage()).toMatchObject({
      id: 's1.0',
      result: { content: [{ type: 'text' }] },
    });
    await response.untilEnd();
    expect(response.ending).toBe('complete');
  });

  test.each([['2025-06-18'], ['2025-11-25']])(
    'B25 B199 the head of a POST is there before its handler has finished (%s)',
    async (protocolVersion) => {
      const held = heldTool();
      const { one } = await session(toolServer({ hold: held.tool }), {}, { protocolVersion });
      const response = await one.post(toolCall(1, 'hold'));
      expect(response.status).toBe(200);
      expect(response.headers('content-type')).toEqual(['text/event-stream']);
      expect(response.messages).toEqual([]);
      held.release('late');
      expect(textOf(await response.nextMessage())).toBe('late');
    },
  );

  test.each([['auto'], ['sse']] as const)(
    'B26 the head of a modern call waits for keepAliveMs, then a stream is committed and kept alive (%s)',
    async (responseMode) => {
      const time = createFakeTime();
      const held = heldTool();
      const options = { responseMode, timeProvider: time, keepAliveMs: 15_000 };
      const { client } = await serve(toolServer({ hold: held.tool }), options);
      let response: RawResponse | undefined;
      const posted = postModern(client(), 'tools/call', { name: 'hold' }).then(
        (head) => (response = head),
      );
      await until(() => held.calls.length === 1);
      await time.advance(14_999);
      await callModern(client(), 'tools/list'); // time enough for a head to arrive
      expect(response).toBeUndefined();
      await time.advance(1);
      await posted;
      expect(response?.status).toBe(200);
      expect(response?.headers('content-type')).toEqual(['text/event-stream']);
      expect(await response?.next()).toEqual({ id: expect.any(String), retry: 4_000, data: '' });
      await time.advance(30_000);
      expect(await response?.next()).toEqual({ comment: 'keepalive' });
      held.release('late');
      expect(textOf(await response?.nextMessage())).toBe('late');
      await response?.untilEnd();
      expect(response?.events.filter(({ message }) => message !== undefined)).toEqual([
        { event: 'message', data: expect.any(String), message: expect.objectContaining({ id: 1 }) },
      ]);
    },
  );

  test('B26 an error before the head picks the HTTP status; a later one is an event', async () => {
    const time = createFakeTime();
    let factoryCalled = 0;
    const opened = gate();
    const factory = toolServer({});
    const slow = async (ctx: Parameters<typeof factory>[0]) => {
      factoryCalled += 1;
      await opened.hook();
      return factory(ctx);
    };
    const { client } = await serve(slow, { timeProvider: time, keepAliveMs: 250 });
    const late = postModern(client(), 'no/such/method');
    await until(() => factoryCalled === 1);
    await time.advance(250);
    const committed = await late;
    const early = callModern(client(), 'no/such/method');
    await until(() => factoryCalled === 2);
    opened.open();
    expect((await early).response.status).toBe(404);
    expect(committed.status).toBe(200);
    expect(await committed.nextMessage()).toMatchObject({ id: 1, error: { code: -32601 } });
  });

  test("B26 with responseMode 'json' the head waits for the answer", async () => {
    const time = createFakeTime();
    const held = heldTool();
    const options = { responseMode: 'json', timeProvider: time } as const;
    const { client } = await serve(toolServer({ hold: held.tool }), options);
    let response: RawResponse | undefined;
    const posted = postModern(client(), 'tools/call', { name: 'hold' }).then(
      (head) => (response = head),
    );
    await until(() => held.calls.length === 1);
    await time.advance(60_000);
    await callModern(client(), 'tools/list');
    expect(response).toBeUndefined();
    held.release('late');
    await posted;
    expect(response?.headers('content-type')).toEqual(['application/json']);
    expect(textOf(response?.json())).toBe('late');
  });

  test('B27 the stream ends with the answer; what its handler sends later goes to the GET stream', async () => {
    const held = heldTool();
    const { one } = await session(toolServer({ hold: held.tool }));
    const get = await one.get();
    const response = await one.post(toolCall(1, 'hold'));
    await until(() => held.calls.length === 1);
    held.release();
    await response.untilEnd();
    expect(response.ending).toBe('complete');
    expect(response.messages).toHaveLength(1);
    await held.calls[0]?.mcpReq.log('error', 'afterwards');
    expect(await get.nextMessage()).toEqual({
      jsonrpc: '2.0',
      method: 'notifications/message',
      params: { level: 'error', data: 'afterwards' },
    });
  });

  test('progress ends with its call: none follows an answer or a cancellation on the GET stream', async () => {
    const held = heldTool();
    const { one } = await session(toolServer({ hold: held.tool }));
    const get = await one.get();
    const responses = [await one.post(toolCall(1, 'hold')), await one.post(toolCall(2, 'hold'))];
    await until(() => held.calls.length === 2);
    await one.notify('notifications/cancelled', { requestId: 1 });
    await responses[0]?.untilEnd();
    const progress = {
      method: 'notifications/progress',
      params: { progressToken: 'p', progress: 1 },
    } as const;
    await held.calls[0]?.mcpReq.notify(progress);
    await held.calls[1]?.mcpReq.notify(progress);
    expect(await responses[1]?.nextMessage()).toMatchObject(progress);
    held.release();
    await responses[1]?.untilEnd();
    await held.calls[1]?.mcpReq.notify(progress);
    await held.calls[1]?.mcpReq.log('error', 'the next message');
    expect(await get.nextMessage()).toMatchObject({ params: { data: 'the next message' } });
  });

  test('progress of a task of 2025-11-25 goes on after the answer that created the task', async () => {
    const progress = {
      method: 'notifications/progress',
      params: { progressToken: 'p', progress: 1 },
    } as const;
    const answered = gate();
    const later: Tool = (_args, ctx) => {
      void answered.hook()?.then(() => ctx.mcpReq.notify(progress));
      return said('created');
    };
    const { one } = await session(toolServer({ later }));
    const get = await one.get();
    const { params, ...call } = toolCall(1, 'later');
    await (await one.post({ ...call, params: { ...params, task: { ttl: 60_000 } } })).untilEnd();
    answered.open();
    expect(await get.nextMessage()).toMatchObject(progress);
  });

  test('B25 B28 a client that goes away cancels its handler where there are no sessions', async () => {
    const held = heldTool();
    const stateless = (await serve(toolServer({ hold: held.tool }), { stateless: true })).client();
    const response = await stateless.post(toolCall(1, 'hold'));
    await until(() => held.calls.length === 1);
    expect(held.calls[0]?.mcpReq.signal.aborted).toBe(false);
    response.abort();
    await until(() => held.calls[0]?.mcpReq.signal.aborted, { what: 'the call is cancelled' });
  });
});
