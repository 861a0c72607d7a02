/** Requests of 2026-07-28 are answered as the SDK's own `createMcpHandler` answers them. */
import { createServer } from 'node:http';
import {
  createMcpHandler,
  inputRequired,
  LOG_LEVEL_META_KEY,
  McpServer,
  MissingRequiredClientCapabilityError,
  ProtocolError,
  ResourceNotFoundError,
} from '@modelcontextprotocol/server';
import { toNodeHandler } from '@modelcontextprotocol/node';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { McpEndpointContext, McpServerOptions } from '../../src/index.ts';
import { usePerSession } from '../kit/making-servers.ts';
import type { RawClient } from '../kit/raw-client.ts';
import type { RawResponse } from '../kit/raw-response.ts';
import { OneRequestTransport } from '../../src/eras/one-request.ts';
import { callModern, MODERN, type ModernRequest, postModern } from '../kit/modern.ts';
import { serve } from '../kit/serve.ts';
import { until } from '../kit/until.ts';
import { clientBehind } from '../kit/listening.ts';

const LEGACY = '2025-11-25';

const text = (value: unknown) => ({ content: [{ type: 'text' as const, text: String(value) }] });

/** What the servers were connected to, in their order. */
const transports: unknown[] = [];

function createServerOf(given: McpServerOptions): McpServer {
  const mcp = new McpServer({ name: 'parity', version: '1.0.0' }, { ...given, capabilities: { logging: {} } });
  const seen = (): void => void transports.push(mcp.server.transport);
  mcp.registerTool('echo', { inputSchema: z.object({ text: z.string() }) }, (input) => {
    seen();
    return text(input.text);
  });
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
      await call.mcpReq.notify({ method: 'notifications/progress', params: { progressToken, progress } });
    }
    return text('done');
  });
  mcp.registerTool('logs', {}, async (call) => {
    await call.mcpReq.log('debug', 'too little');
    await call.mcpReq.log('error', 'enough');
    return text('logged');
  });
  mcp.registerTool('says-unrelated', {}, async () => {
    await mcp.server.sendLoggingMessage({ level: 'error', data: 'without a reader' }).catch(() => {});
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
    inputRequired({ inputRequests: { thought: inputRequired.createMessage({ messages: [], maxTokens: 1 }) } }),
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
    void call.mcpReq.notify({ method: 'notifications/message', params: { level: 'error', data: 'in time' } });
    setTimeout(() => {
      const late = call.mcpReq.notify({ method: 'notifications/message', params: { level: 'error', data: 'late' } });
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
  mcp.registerResource('note', 'note://1', {}, (uri) => ({ contents: [{ uri: uri.href, text: 'noted' }] }));
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

/** The SDK's own handler, as its readme mounts it. */
async function official(): Promise<RawClient> {
  const handler = createMcpHandler(() => createServerOf({}), { legacy: 'reject' });
  const serveOne = toNodeHandler(handler);
  const server = createServer((req, res) => void serveOne(req as never, res));
  const client = await clientBehind(server, handler);
  return client;
}

const ours = async (): Promise<RawClient> =>
  (await serve((ctx: McpEndpointContext) => createServerOf(ctx.serverOptions))).client();

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
  'a mirrored argument': [...call('mirrored', { region: 'eu' }), { headers: { 'mcp-param-region': 'eu' } }],
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
  'a method that this server has not': ['completion/complete', { ref: { type: 'ref/prompt', name: 'greet' } }],
};

test.each(Object.entries(REQUESTS))(
  'B132 B133 B135 B136 %s is answered as by createMcpHandler',
  async (title, [method, params, more]) => {
    const answers = [];
    for (const client of [await official(), await ours()]) {
      answers.push(await seen(await postModern(client, method, params, more)));
    }
    expect(answers[1]).toEqual(answers[0]);
    if (title.endsWith('is gone'))
      expect(answers[1]).toMatchObject({ status: 404, messages: [{ error: { code: -32601 } }] });
  },
);

describe('a server', () => {
  usePerSession();

  test.each<[string, (ctx: McpEndpointContext) => McpServerOptions]>([
    ['passes ctx.serverOptions on', ({ serverOptions }) => serverOptions],
    ['does not', () => ({})],
    ['passes on another list of revisions', (ctx) => ({ ...ctx.serverOptions, supportedProtocolVersions: [LEGACY] })],
  ])('of a factory that %s is bound to the revision, and made once for each request', async (_how, optionsOf) => {
    let made = 0;
    const served = await serve((ctx: McpEndpointContext) => {
      made += 1;
      return createServerOf(optionsOf(ctx));
    });
    const client = served.client();
    transports.length = 0;
    expect((await callModern(client, ...call('era'))).message.result).toMatchObject(text('2026-07-28'));
    await callModern(client, ...call('echo', { text: 'hi' }));
    await postModern(client, ...call('progress'));
    const headers = { 'mcp-param-region': 'eu' };
    const { message } = await callModern(client, ...call('mirrored', { region: 'eu' }), { headers });
    expect(message.result).toMatchObject(text('eu'));
    await until(() => transports.length === 3);
    expect(transports.every((transport) => transport instanceof OneRequestTransport)).toBe(true);
    const discovered = await callModern(client, 'server/discover');
    expect(discovered.message.result).toMatchObject({
      supportedVersions: ['2026-07-28'],
      capabilities: { logging: {} },
    });
    expect(made).toBe(5);
  });

  test('that is connected already is refused, and keeps its connection', async () => {
    const sent: unknown[] = [];
    const connected = createServerOf({});
    await connected.connect({ start: async () => {}, send: async (one) => void sent.push(one), close: async () => {} });
    const { client } = await serve(() => connected);
    expect((await callModern(client(), ...call('echo', { text: 'hi' }))).response.status).toBe(500);
    expect([connected.server.getNegotiatedProtocolVersion(), sent]).toEqual([undefined, []]);
  });

  test('that closes before it answers ends the request, and others go on', async () => {
    const client = await ours();
    const { message } = await callModern(client, ...call('closes'));
    expect(message.error).toMatchObject({ code: -32000, data: { mayHaveRun: true } });
    expect((await callModern(client, ...call('echo', { text: 'on' }))).message.result).toMatchObject(text('on'));
  });
});
