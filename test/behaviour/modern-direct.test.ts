/**
 * What works with the SDK's `createMcpHandler(factory)` works by changing that one call: the same factories, options,
 * adapter and client run against both, and against the endpoint's own node face.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import {
  type AuthInfo,
  createMcpHandler,
  InMemoryServerEventBus,
  inputRequired,
  LOG_LEVEL_META_KEY,
  McpServer,
  type McpServerFactory,
  MissingRequiredClientCapabilityError,
  ProtocolError,
  ResourceNotFoundError,
  type ServerEventBus,
  type ServerNotifier,
} from '@modelcontextprotocol/server';
import { toNodeHandler } from '@modelcontextprotocol/node';
import { describe, expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import {
  createMcpEndpoint,
  type McpEndpointContext,
  type McpServerOptions,
} from '../../src/index.ts';
import { createLog } from '../kit/log.ts';
import type { RawResponse } from '../kit/raw-response.ts';
import { OneRequestTransport } from '../../src/eras/sessionless/one-request.ts';
import { callModern, MODERN, type ModernRequest, postModern } from '../kit/modern.ts';
import { serve } from '../kit/serve.ts';
import { until } from '../kit/until.ts';
import { listening, openClient } from '../kit/listening.ts';

const LEGACY = '2025-11-25';

const text = (value: unknown) => ({ content: [{ type: 'text' as const, text: String(value) }] });

/** What the servers were connected to, in their order. */
const transports: unknown[] = [];

type Given = Partial<Parameters<McpServerFactory>[0]>;

function createServerOf(
  given: McpServerOptions,
  { era, authInfo, requestInfo }: Given = {},
): McpServer {
  const capabilities = { logging: {}, resources: { subscribe: true } };
  const mcp = new McpServer({ name: 'parity', version: '1.0.0' }, { ...given, capabilities });
  const seen = (): void => void transports.push(mcp.server.transport);
  mcp.registerTool('echo', { inputSchema: z.object({ text: z.string() }) }, (input) => {
    seen();
    return text(input.text);
  });
  mcp.registerTool('context', {}, ({ http }) =>
    text(
      JSON.stringify([
        era,
        authInfo?.extra?.['sub'],
        http?.authInfo?.extra?.['sub'],
        requestInfo?.headers.get('x-tenant'),
        http?.req?.headers.get('x-tenant'),
        new URL(http?.req?.url ?? 'http://x/').pathname,
      ]),
    ),
  );
  mcp.registerTool('throws', {}, () => {
    throw new Error('broken');
  });
  mcp.registerTool('refuses', {}, () => {
    throw new ProtocolError(-32_602, 'not so', { why: 'because' });
  });
  mcp.registerTool('progress', {}, async (call) => {
    seen();
    const { progressToken = 0 } = call.mcpReq._meta ?? {};
    for (const progress of [1, 2]) {
      await call.mcpReq.notify({
        method: 'notifications/progress',
        params: { progressToken, progress },
      });
    }
    return text('done');
  });
  mcp.registerTool('logs', {}, async (call) => {
    await call.mcpReq.log('debug', 'too little');
    await call.mcpReq.log('error', 'enough');
    return text('logged');
  });
  mcp.registerTool('says-unrelated', {}, async () => {
    await mcp.server
      .sendLoggingMessage({ level: 'error', data: 'without a reader' })
      .catch(() => {});
    return text('said');
  });
  mcp.registerTool('asks', {}, async () => {
    const { content } = await mcp.server.elicitInput({
      message: 'Who?',
      requestedSchema: { type: 'object', properties: {} },
    });
    return text(content);
  });
  mcp.registerTool('needs-input', {}, () =>
    inputRequired({
      inputRequests: { thought: inputRequired.createMessage({ messages: [], maxTokens: 1 }) },
    }),
  );
  mcp.registerTool('client', {}, () =>
    text(JSON.stringify([mcp.server.getClientVersion(), mcp.server.getClientCapabilities()])),
  );
  mcp.registerTool('era', {}, () => text(mcp.server.getNegotiatedProtocolVersion()));
  mcp.registerTool('closes', {}, async () => {
    await mcp.close();
    return text('closed');
  });
  mcp.registerTool('late', {}, (call) => {
    void call.mcpReq.notify({
      method: 'notifications/message',
      params: { level: 'error', data: 'in time' },
    });
    setTimeout(() => {
      const late = call.mcpReq.notify({
        method: 'notifications/message',
        params: { level: 'error', data: 'late' },
      });
      late.catch(() => {});
    });
    return text('first');
  });
  mcp.registerTool(
    'mirrored',
    { inputSchema: z.object({ region: z.string().meta({ 'x-mcp-header': 'Region' }) }) },
    ({ region }) => {
      seen();
      return text(region);
    },
  );
  mcp.registerResource('note', 'note://1', {}, (uri) => ({
    contents: [{ uri: uri.href, text: 'noted' }],
  }));
  mcp.registerResource('needs-roots', 'note://roots', {}, () => {
    throw new MissingRequiredClientCapabilityError({ requiredCapabilities: { roots: {} } });
  });
  mcp.registerResource('gone', 'note://gone', {}, (uri) => {
    throw new ResourceNotFoundError(uri.href);
  });
  mcp.registerPrompt('greet', { argsSchema: z.object({ name: z.string() }) }, ({ name }) => ({
    messages: [{ role: 'user', content: { type: 'text', text: name } }],
  }));
  return mcp;
}

interface Options {
  bus?: ServerEventBus;
  responseMode?: 'auto' | 'sse' | 'json';
  onerror?: (error: Error) => void;
}

interface Subject {
  listener: (req: IncomingMessage, res: ServerResponse) => unknown;
  notify: ServerNotifier;
  bus: ServerEventBus;
  close(): Promise<void>;
}

/** A factory written for the SDK's handler. */
const theirs: McpServerFactory = (ctx) => createServerOf({}, ctx);
const SUBJECTS: Record<string, (options?: Options) => Subject> = {
  createMcpHandler: (options) => {
    const handler = createMcpHandler(theirs, { ...options, legacy: 'reject' });
    return { ...handler, listener: toNodeHandler(handler) as Subject['listener'] };
  },
  createMcpEndpoint: (options) => {
    const endpoint = createMcpEndpoint(theirs, { ...options, logger: createLog() });
    return { ...endpoint, listener: toNodeHandler(endpoint) as Subject['listener'] };
  },
  'createMcpEndpoint on its node face': (options) => {
    const endpoint = createMcpEndpoint(theirs, { ...options, logger: createLog() });
    return { ...endpoint, listener: endpoint.node };
  },
};

const auth: AuthInfo = { token: 't', clientId: 'app', scopes: [], extra: { sub: 'ada' } };

async function open(
  make: (options?: Options) => Subject,
  options?: Options,
): Promise<Subject & { url: string }> {
  const subject = make(options);
  const server = createServer(
    (req, res) => void subject.listener(Object.assign(req, { auth }), res),
  );
  return { ...subject, url: `${await listening(server, () => subject.close())}/some/path` };
}

/** What a client sees of an answer; ids are its own. */
async function seen(response: RawResponse): Promise<unknown> {
  await response.untilEnd();
  const streamed = response.header('content-type')?.startsWith('text/event-stream') === true;
  const messages = streamed ? response.messages : [JSON.parse(response.body)];
  return { status: response.status, streamed, ending: response.ending, messages };
}

const call = (name: string, args?: object): [string, Record<string, unknown>] => [
  'tools/call',
  { name, ...(args && { arguments: args }) },
];

const REQUESTS: Record<string, [string, Record<string, unknown>, ModernRequest?]> = {
  'a call': call('echo', { text: 'hi' }),
  'who asks, and with what': [...call('context'), { headers: { 'x-tenant': 'acme' } }],
  'a call with wrong arguments': call('echo', { text: 1 }),
  'a call of no tool': call('unknown'),
  'a call without a name': ['tools/call', {}],
  'a tool that throws': call('throws'),
  'a tool that throws a protocol error': call('refuses'),
  'progress before the answer': [...call('progress'), { meta: { progressToken: 7 } }],
  'log messages above a level': [...call('logs'), { meta: { [LOG_LEVEL_META_KEY]: 'warning' } }],
  'log messages without a level': call('logs'),
  'a message that belongs to no request': call('says-unrelated'),
  'a question of the earlier kind': call('asks'),
  'a question': [...call('needs-input'), { capabilities: { sampling: {} } }],
  'a question that the client cannot answer': call('needs-input'),
  'who the client is': [...call('client'), { capabilities: { elicitation: { form: {} } } }],
  'the revision': call('era'),
  'something after the answer': call('late'),
  'a mirrored argument': [
    ...call('mirrored', { region: 'eu' }),
    { headers: { 'mcp-param-region': 'eu' } },
  ],
  'a resource': ['resources/read', { uri: 'note://1' }],
  'a resource that is not there': ['resources/read', { uri: 'note://2' }],
  'a resource whose handler says so': ['resources/read', { uri: 'note://gone' }],
  'a resource that needs what the client has not': ['resources/read', { uri: 'note://roots' }],
  'a prompt': ['prompts/get', { name: 'greet', arguments: { name: 'Ada' } }],
  'a prompt with wrong arguments': ['prompts/get', { name: 'greet', arguments: {} }],
  tools: ['tools/list', {}],
  resources: ['resources/list', {}],
  prompts: ['prompts/list', {}],
  discovery: ['server/discover', {}],
  'no such method': ['no/such', {}],
  // As complete as the methods once were, so that nothing else can be wrong with them.
  'ping, which is gone': ['ping', {}],
  'initialize, which is gone': [
    'initialize',
    { protocolVersion: MODERN, capabilities: {}, clientInfo: { name: 'x', version: '1' } },
  ],
  'a log level, which is gone': ['logging/setLevel', { level: 'info' }],
  'a subscription, which is gone': ['resources/subscribe', { uri: 'note://1' }],
  'the end of a subscription, which is gone': ['resources/unsubscribe', { uri: 'note://1' }],
  'a method that this server has not': [
    'completion/complete',
    { ref: { type: 'ref/prompt', name: 'greet' } },
  ],
};

/** An early error picks the status with `sse` too (B26, B137). That of the SDK is an event then. */
const EARLY_ERRORS = [
  'a question that the client cannot answer',
  'a resource that needs what the client has not',
];
const cases = Object.entries(REQUESTS).flatMap(([title, request]) =>
  (['auto', 'sse', 'json'] as const)
    .filter((responseMode) => responseMode !== 'sse' || !EARLY_ERRORS.includes(title))
    .map((responseMode) => ({ title, request, responseMode })),
);

test.each(cases)(
  'B132 B133 B135 B136 $title is answered as by createMcpHandler, with responseMode $responseMode',
  async ({ title, request: [method, params, more], responseMode }) => {
    const answers: unknown[] = [];
    for (const make of Object.values(SUBJECTS)) {
      const { url } = await open(make, { responseMode });
      answers.push(await seen(await postModern(openClient(url), method, params, more)));
    }
    expect(answers).toEqual(answers.map(() => answers[0]));
    if (title.endsWith('is gone'))
      expect(answers[1]).toMatchObject({ status: 404, messages: [{ error: { code: -32601 } }] });
  },
);

describe.each(Object.entries(SUBJECTS))('%s', (_, make) => {
  test("a subscription by the official client: what was asked for, through the application's own bus too", async () => {
    const own = new InMemoryServerEventBus();
    const { url, notify, bus, close } = await open(make, { bus: own, responseMode: 'json' });
    const heard: string[] = [];
    const client = new Client(
      { name: 'client', version: '1' },
      { versionNegotiation: { mode: { pin: MODERN } } },
    );
    await client.connect(new StreamableHTTPClientTransport(new URL(url)));
    onTestFinished(() => client.close());
    client.setNotificationHandler(
      'notifications/tools/list_changed',
      () => void heard.push('tools'),
    );
    client.setNotificationHandler(
      'notifications/prompts/list_changed',
      () => void heard.push('prompts'),
    );
    client.setNotificationHandler(
      'notifications/resources/updated',
      ({ params }) => void heard.push(params.uri),
    );
    const filter = { toolsListChanged: true, resourceSubscriptions: ['note://1'] };
    const subscription = await client.listen(filter);
    expect(subscription.honoredFilter).toEqual(filter);
    notify.promptsChanged();
    notify.resourceUpdated('note://2');
    notify.resourceUpdated('note://1');
    notify.toolsChanged();
    own.publish({ kind: 'tools_list_changed' });
    bus.publish({ kind: 'tools_list_changed' });
    await until(() => heard.length === 4);
    expect(heard).toEqual(['note://1', 'tools', 'tools', 'tools']);
    await close();
    expect(await subscription.closed).toBe('graceful');
  });

  test('onerror hears what the SDK refuses', async () => {
    const errors: Error[] = [];
    const { url } = await open(make, { onerror: (error) => errors.push(error) });
    const meta = { 'io.modelcontextprotocol/clientCapabilities': 7 };
    expect((await callModern(openClient(url), 'tools/list', {}, { meta })).response.status).toBe(
      400,
    );
    expect(errors.map(({ message }) => message)).toEqual([
      expect.stringContaining('clientCapabilities'),
    ]);
  });
});

describe('a server', { tags: ['per-session'] }, () => {
  test.each<[string, (ctx: McpEndpointContext) => McpServerOptions]>([
    ['passes ctx.serverOptions on', ({ serverOptions }) => serverOptions],
    ['does not', () => ({})],
    [
      'passes on another list of revisions',
      (ctx) => ({ ...ctx.serverOptions, supportedProtocolVersions: [LEGACY] }),
    ],
  ])(
    'of a factory that %s is bound to the revision, and made once for each request',
    async (_how, optionsOf) => {
      let made = 0;
      const served = await serve((ctx: McpEndpointContext) => {
        made += 1;
        return createServerOf(optionsOf(ctx));
      });
      const client = served.client();
      transports.length = 0;
      expect((await callModern(client, ...call('era'))).message.result).toMatchObject(
        text('2026-07-28'),
      );
      await callModern(client, ...call('echo', { text: 'hi' }));
      await postModern(client, ...call('progress'));
      const headers = { 'mcp-param-region': 'eu' };
      const { message } = await callModern(client, ...call('mirrored', { region: 'eu' }), {
        headers,
      });
      expect(message.result).toMatchObject(text('eu'));
      await until(() => transports.length === 3);
      expect(transports.every((transport) => transport instanceof OneRequestTransport)).toBe(true);
      const discovered = await callModern(client, 'server/discover');
      expect(discovered.message.result).toMatchObject({
        supportedVersions: ['2026-07-28'],
        capabilities: { logging: {} },
      });
      expect(made).toBe(5);
    },
  );

  test('that is connected already is refused, and keeps its connection', async () => {
    const sent: unknown[] = [];
    const connected = createServerOf({});
    await connected.connect({
      start: async () => {},
      send: async (one) => void sent.push(one),
      close: async () => {},
    });
    const { client } = await serve(() => connected);
    expect((await callModern(client(), ...call('echo', { text: 'hi' }))).response.status).toBe(500);
    expect([connected.server.getNegotiatedProtocolVersion(), sent]).toEqual([undefined, []]);
  });

  test('that closes before it answers ends the request, and others go on', async () => {
    const client = (await serve((ctx) => createServerOf(ctx.serverOptions))).client();
    const { message } = await callModern(client, ...call('closes'));
    expect(message.error).toMatchObject({ code: -32000, data: { mayHaveRun: true } });
    expect(
      (await callModern(client, ...call('echo', { text: 'on' }))).message.result,
    ).toMatchObject(text('on'));
  });
});
