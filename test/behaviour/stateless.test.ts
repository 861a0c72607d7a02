import { McpServer, type Server, type ServerContext } from '@modelcontextprotocol/server';
import { describe, expect, test } from 'vitest';
import type { McpEndpointOptions } from '../../src/index.ts';
import { perSession } from '../kit/making-servers.ts';
import type { RawClient } from '../kit/raw-client.ts';
import { createLab, textOf, tool, toolCall } from '../kit/lab.ts';
import { callModern, MODERN, postModern } from '../kit/modern.ts';
import { serve, type ServeSettings } from '../kit/serve.ts';
import { gate } from '../kit/watched-store.ts';
import { said, toolServer } from '../kit/tool-server.ts';
import { perFace, session } from '../kit/sessions.ts';

const stateless: McpEndpointOptions = { sessionMode: 'stateless' };

async function serveStateless(options: McpEndpointOptions = {}, settings: ServeSettings = {}) {
  const lab = createLab();
  return { lab, ...(await serve(lab.factory, { ...stateless, ...options }, settings)) };
}

/** The test looks at the server of each request. */
async function servePerRequest(settings: ServeSettings = {}) {
  const lab = createLab();
  return { lab, ...(await serve(perSession(lab.factory), stateless, settings)) };
}

test('B87 stateless: true is stateless', async () => {
  const none = (await serve(createLab().factory, { stateless: true })).client();
  expect((await none.initialize()).response.header('mcp-session-id')).toBeUndefined();
  expect((await callModern(none, 'tools/list')).response.status).toBe(200);
});

test('B87 stateless: false is the default: sessions, and 2026-07-28', async () => {
  const both = (await serve(createLab().factory, { stateless: false })).client();
  expect((await callModern(both, 'tools/list')).response.status).toBe(200);
  expect((await both.initialize()).response.header('mcp-session-id')).toBeDefined();
});

test('B108 stateful refuses a modern POST and names the legacy versions only', async () => {
  const lab = createLab();
  const always = (await serve(perSession(lab.factory), { sessionMode: 'stateful' })).client();
  const supported = ['2025-11-25', '2025-06-18', '2025-03-26', '2024-11-05', '2024-10-07'];
  for (const method of ['server/discover', 'tools/list']) {
    const { response, message, id } = await callModern(always, method);
    expect([response.status, response.header('mcp-session-id')]).toEqual([400, undefined]);
    expect(message).toMatchObject({
      id,
      error: { code: -32022, data: { requested: MODERN, supported } },
    });
  }
  expect(lab.made).toEqual([]);
  expect((await always.initialize()).response.header('mcp-session-id')).toBeDefined();
});

test('sessionIdGenerator: undefined, which means stateless in the SDK, gets a warning where no mode is given', async () => {
  const warnings = async (options: McpEndpointOptions) => {
    const { log } = await serve(createLab().factory, options);
    return log.matching(/sessionIdGenerator/, 'warn').map(({ message }) => message);
  };
  expect(await warnings({ sessionIdGenerator: undefined })).toEqual([
    "sessionIdGenerator: undefined has no effect, and clients get sessions: write sessionMode: 'stateless' for no " +
      'sessions, or leave sessionIdGenerator out',
  ]);
  for (const options of [
    {},
    { sessionIdGenerator: undefined, sessionMode: 'hybrid' },
    { sessionIdGenerator: undefined, stateless: true },
    { sessionIdGenerator: () => crypto.randomUUID() },
  ] as const)
    expect(await warnings(options)).toEqual([]);
});

describe.each(perFace)('over the $face face', ({ face, serve }) => {
  test('B91 B92 every request is served without initialize, initialize too; no session id is issued, and a session id in a request is ignored', async () => {
    const { client, lab, endpoint } = await servePerRequest({ face });
    const one = client();
    const { response, message } = await one.call(...tool('echo', { text: 'hi' }), {
      sessionId: 'made-up',
    });
    expect([response.status, response.header('mcp-session-id'), textOf(message)]).toEqual([
      200,
      undefined,
      'hi',
    ]);
    const opened = await one.initialize();
    expect(opened.message.result).toMatchObject({
      protocolVersion: '2025-11-25',
      serverInfo: { name: 'lab' },
    });
    expect(opened.response.header('mcp-session-id')).toBeUndefined();
    const who = await one.call(...tool('who'), { sessionId: 'made-up' });
    expect(JSON.parse(textOf(who.message) ?? '')).toMatchObject({ restored: false });
    expect(JSON.parse(textOf(who.message) ?? '')).not.toHaveProperty('id');
    const wrong = await one.post('{', { sessionId: 'made-up' });
    expect([wrong.status, wrong.header('sojourn-refused')]).toEqual([400, undefined]);
    const unfit = await one.post(toolCall(7, 'echo'), {
      sessionId: 'made-up',
      headers: { accept: 'text/html' },
    });
    expect([unfit.status, unfit.header('sojourn-refused')]).toEqual([406, undefined]);
    expect(endpoint.sessions.liveCount).toBe(0);
    expect(lab.made.map(({ closed, ctx }) => [closed, ctx.session])).toEqual(
      lab.made.map(() => [true, undefined]),
    );
    // One of them for `notifications/initialized`.
    expect(lab.made.length).toBe(4);
  });

  test('B96 progress of a request arrives while it still runs, its answer after it', async () => {
    const { hook, open: finish } = gate();
    const factory = toolServer({
      slow: async (_args, { mcpReq }) => {
        const progressToken = mcpReq._meta?.progressToken ?? '';
        await mcpReq.notify({
          method: 'notifications/progress',
          params: { progressToken, progress: 1 },
        });
        await hook();
        return said('done');
      },
    });
    const client = (await serve(factory, stateless)).client();
    const response = await client.post(toolCall(7, 'slow', {}, { progressToken: 'p' }));
    expect(await response.nextMessage()).toEqual({
      jsonrpc: '2.0',
      method: 'notifications/progress',
      params: { progressToken: 'p', progress: 1 },
    });
    finish();
    expect(textOf(await response.nextMessage())).toBe('done');
    await response.untilEnd();
    expect(response.events.map(({ id }) => id)).toEqual([undefined, undefined]);
  });

  test('B97 configureSessionOptions runs for every request and shapes its server by the headers', async () => {
    let calls = 0;
    const factory = toolServer({}, (server, ctx) => {
      for (const name of (ctx.serverOptions.instructions ?? '').split(' '))
        server.registerTool(name, {}, () => said(name));
    });
    const configureSessionOptions: McpEndpointOptions['configureSessionOptions'] = (
      request,
      options,
    ) => {
      calls += 1;
      options.instructions = request.headers.get('x-tools') ?? '';
    };
    const client = (
      await serve(perSession(factory), { ...stateless, configureSessionOptions })
    ).client();
    const list = async (tools: string) => {
      const { message } = await client.call('tools/list', undefined, {
        headers: { 'x-tools': tools },
      });
      return (message.result as { tools: Array<{ name: string }> }).tools.map(({ name }) => name);
    };
    expect(await list('saw drill')).toEqual(['saw', 'drill']);
    expect(await list('hammer')).toEqual(['hammer']);
    await client.initialize({ headers: { 'x-tools': 'file' }, initialized: false });
    expect(calls).toBe(3);
  });
});

describe('B93 a server cannot ask the client', () => {
  const form = { message: '?', requestedSchema: { type: 'object' as const, properties: {} } };
  const sample = { messages: [], maxTokens: 1, toolChoice: { mode: 'none' as const } };
  type Asks = (ctx: ServerContext, server: Server) => Promise<unknown>;
  const calls: ReadonlyArray<readonly [name: string, ask: Asks, what: string]> = [
    ['ctx.mcpReq.elicitInput', ({ mcpReq }) => mcpReq.elicitInput(form), 'Elicitation'],
    ['ctx.mcpReq.requestSampling', ({ mcpReq }) => mcpReq.requestSampling(sample), 'Sampling'],
    ['server.elicitInput', (_, server) => server.elicitInput(form), 'Elicitation'],
    ['server.createMessage', (_, server) => server.createMessage(sample), 'Sampling'],
    ['server.listRoots', (_, server) => server.listRoots(), 'Roots'],
    [
      'server.request',
      (_, server) => server.request({ method: 'elicitation/create', params: form }),
      'Elicitation',
    ],
    ['server.ping', (_, server) => server.ping(), 'The request ping'],
  ];

  test.each(
    calls.flatMap(([name, ask, what]) =>
      [false, true].map((strict) => [name, strict, ask, what] as const),
    ),
  )(
    '%s is refused at once for this reason, not for a capability of the client (enforceStrictCapabilities: %s)',
    async (_, enforceStrictCapabilities, ask, what) => {
      const factory = (): McpServer => {
        const server = new McpServer({ name: 's', version: '1' }, { enforceStrictCapabilities });
        server.registerTool('ask', {}, async (ctx) =>
          said(await ask(ctx, server.server).catch((error: Error) => error.message)),
        );
        return server;
      };
      const capabilities = { sampling: { tools: {} }, elicitation: { form: {} }, roots: {} };
      const { one } = await session(factory, stateless, { capabilities });
      const { response, message } = await one.call(...tool('ask'));
      expect(textOf(message)).toBe(
        `${what} is not supported in stateless mode: without a session there is no way back to the client. ` +
          "Use sessionMode: 'hybrid' or 'stateful', or return inputRequired() to clients of 2026-07-28",
      );
      expect([response.status, (await response.untilEnd()).length]).toEqual([200, 1]);
    },
  );
});

test('B94 the run hook sees no client capabilities either, not even around initialize', async () => {
  const seen: unknown[] = [];
  const { client } = await serveStateless({
    runSessionHandler: async (_request, { clientInfo, clientCapabilities }, run) => {
      seen.push([clientInfo.name, clientCapabilities]);
      await run();
    },
  });
  const clientInfo = { name: 'asked', version: '1' };
  await client().initialize({
    capabilities: { sampling: {}, elicitation: {} },
    clientInfo,
    initialized: false,
  });
  expect(seen).toEqual([['asked', {}]]);
});

test('B94 client capabilities look absent to handlers, whatever an earlier initialize said', async () => {
  const { client } = await serveStateless();
  const one = client();
  await one.initialize({ capabilities: { sampling: {}, roots: {} } });
  const { message } = await one.call(...tool('who'));
  const seen = JSON.parse(textOf(message) ?? '') as object;
  expect(seen).not.toHaveProperty('capabilities');
  expect(seen).not.toHaveProperty('clientInfo');
});

test('B95 a notification outside of a request rejects, one of the request does not', async () => {
  const { client, lab } = await servePerRequest();
  const called = client().call(...tool('hold'));
  const { ctx, made, answer } = await lab.held();
  const log = { method: 'notifications/message', params: { level: 'info', data: 'x' } } as const;
  await expect(made.server.server.notification(log)).rejects.toThrow(
    'The notification notifications/message outside of a request is not supported in stateless mode',
  );
  // The SDK awaits none of these, and a rejection would end the process.
  made.server.registerTool('later', {}, () => ({ content: [] })).disable();
  await expect(made.server.server.sendToolListChanged()).resolves.toBeUndefined();
  await ctx.mcpReq.notify(log);
  answer('done');
  const { response } = await called;
  const messages = (await response.untilEnd()).map(({ message }) => message);
  expect(messages.map((message) => message?.method)).toEqual(['notifications/message', undefined]);
});

test.each(['legacy', 'modern', 'session'] as const)(
  'B95 a notification that a run hook sends before run() rejects, and its request is served (%s)',
  async (era) => {
    const log = { method: 'notifications/message', params: { level: 'info', data: 'x' } } as const;
    const sent: string[] = [];
    const { client } = await serve(perSession(createLab().factory), {
      sessionMode: era === 'session' ? 'hybrid' : 'stateless',
      runSessionHandler: async (_request, { server }, run) => {
        await (server as McpServer).server.notification(log).then(
          () => sent.push('dropped'),
          (error: Error) => sent.push(error.message),
        );
        await run();
      },
    });
    const one = client();
    if (era === 'session') await one.initialize();
    const args = { text: 'hi' };
    const served =
      era === 'modern' ? callModern(one, ...tool('echo', args)) : one.call(...tool('echo', args));
    expect(textOf((await served).message)).toBe('hi');
    expect(sent).toEqual(['Not connected']);
  },
);

test('B98 listChanged is not promised to a legacy client; it is promised to a modern client, which can listen', async () => {
  const { client, endpoint } = await serveStateless();
  const one = client();
  const { message } = await one.initialize();
  expect((message.result as { capabilities: unknown }).capabilities).toEqual({
    logging: {},
    resources: { subscribe: true },
    tools: {},
  });
  const discovered = await callModern(one, 'server/discover');
  expect((discovered.message.result as { capabilities: unknown }).capabilities).toMatchObject({
    resources: { listChanged: true },
    tools: { listChanged: true },
  });
  const stream = await listen(one);
  endpoint.notify.toolsChanged();
  expect(await stream.nextMessage()).toMatchObject({ method: 'notifications/tools/list_changed' });
});

async function listen(client: RawClient) {
  const stream = await postModern(client, 'subscriptions/listen', {
    notifications: { toolsListChanged: true },
  });
  expect(stream.status).toBe(200);
  expect(await stream.nextMessage()).toMatchObject({
    method: 'notifications/subscriptions/acknowledged',
  });
  return stream;
}
