/** What is served without the SDK's `createMcpHandler` looks to a client as if it had been. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
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
import { describe, expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import type { McpEndpointContext, McpServerOptions } from '../../src/index.ts';
import { usePerSession } from '../kit/making-servers.ts';
import { createRawClient, type RawClient } from '../kit/raw-client.ts';
import type { RawResponse } from '../kit/raw-response.ts';
import { ModernTransport } from '../../src/eras/modern/request-transport.ts';
import { callModern, type ModernRequest, postModern } from '../kit/modern.ts';
import { serve } from '../kit/serve.ts';
import { until } from '../kit/until.ts';

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
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const client = createRawClient(`http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`);
  onTestFinished(async () => {
    client.close();
    await handler.close();
    server.closeAllConnections();
    server.close();
  });
  return client;
}

const ours = async (): Promise<RawClient> =>
  (await serve((ctx: McpEndpointContext) => createServerOf(ctx.serverOptions))).client();

/** What a client sees of an answer; ids are its own. */
async function seen(response: RawResponse): Promise<unknown> {
  await response.untilEnd();
  const streamed = response.header('content-type')?.startsWith('text/event-stream') === true;
  const messages = streamed ? response.events.flatMap(({ message }) => message ?? []) : [JSON.parse(response.body)];
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
  'a method of another era': ['ping', {}],
  'a method that this server has not': ['completion/complete', { ref: { type: 'ref/prompt', name: 'greet' } }],
};

test.each(Object.entries(REQUESTS))('%s is answered as by createMcpHandler', async (_title, [method, params, more]) => {
  const answers = [];
  for (const client of [await official(), await ours()]) {
    answers.push(await seen(await postModern(client, method, params, more)));
  }
  expect(answers[1]).toEqual(answers[0]);
});

describe('a server', () => {
  usePerSession();

  test('that passes ctx.serverOptions on is served without createMcpHandler', async () => {
    const client = await ours();
    transports.length = 0;
    await callModern(client, ...call('echo', { text: 'hi' }));
    await postModern(client, ...call('progress'));
    await until(() => transports.length === 2);
    expect(transports.every((transport) => transport instanceof ModernTransport)).toBe(true);
  });

  test.each<[string, (ctx: McpEndpointContext) => McpServerOptions]>([
    ['destructures it', ({ serverOptions }) => serverOptions],
    ['copies it', (ctx) => ({ ...ctx }).serverOptions],
    ['derives one from it', (ctx) => (Object.create(ctx) as McpEndpointContext).serverOptions],
    ['wraps it', (ctx) => new Proxy(ctx, {}).serverOptions],
  ])('of a factory that gets its context and %s is served without createMcpHandler', async (_how, read) => {
    const client = (await serve((ctx: McpEndpointContext) => createServerOf(read(ctx)))).client();
    transports.length = 0;
    await callModern(client, ...call('echo', { text: 'hi' }));
    expect(transports.map((transport) => transport instanceof ModernTransport)).toEqual([true]);
  });

  // V8 keeps a getter in the hidden class of its object until a full collection, with all that it reaches.
  test('gets a context whose getter is that of every other', async () => {
    const getters = new Set<unknown>();
    const served = await serve((ctx: McpEndpointContext) => {
      getters.add(Object.getOwnPropertyDescriptor(ctx, 'serverOptions')?.get);
      return createServerOf(ctx.serverOptions);
    });
    const client = served.client();
    for (const word of ['one', 'two']) await callModern(client, ...call('echo', { text: word }));
    expect([...getters]).toEqual([expect.any(Function)]);
  });

  test('of a tool that mirrors arguments is served by it, and made once', async () => {
    let made = 0;
    const served = await serve((ctx: McpEndpointContext) => {
      made += 1;
      return createServerOf(ctx.serverOptions);
    });
    const client = served.client();
    transports.length = 0;
    const headers = { 'mcp-param-region': 'eu' };
    const { message } = await callModern(client, ...call('mirrored', { region: 'eu' }), { headers });
    expect(message.result).toMatchObject(text('eu'));
    expect([made, transports[0] instanceof ModernTransport]).toEqual([1, false]);
  });

  test('that does not is served by it, and made once', async () => {
    let made = 0;
    const served = await serve(() => {
      made += 1;
      return createServerOf({});
    });
    const client = served.client();
    transports.length = 0;
    for (const word of ['one', 'two']) {
      const { message } = await callModern(client, ...call('echo', { text: word }));
      expect(message.result).toMatchObject(text(word));
    }
    expect(made).toBe(2);
    expect(transports.some((transport) => transport instanceof ModernTransport)).toBe(false);
  });

  test('that reads ctx.serverOptions and passes on another list of revisions is served by it', async () => {
    let made = 0;
    const served = await serve((ctx: McpEndpointContext) => {
      made += 1;
      return createServerOf({ ...ctx.serverOptions, supportedProtocolVersions: ['2025-11-25'] });
    });
    const client = served.client();
    for (const word of ['one', 'two', 'three']) {
      const { response, message } = await callModern(client, ...call('echo', { text: word }));
      expect([response.status, message.result]).toMatchObject([200, text(word)]);
    }
    // The first was tried and given up.
    expect(made).toBe(4);
  });

  test('notices a client that left, and aborts its handler', async () => {
    let signal: AbortSignal | undefined;
    const served = await serve((ctx: McpEndpointContext) => {
      const mcp = createServerOf(ctx.serverOptions);
      mcp.registerTool('waits', {}, async (call) => {
        ({ signal } = call.mcpReq);
        await new Promise((done) => signal?.addEventListener('abort', done));
        return text('no client reads this');
      });
      return mcp;
    });
    const client = served.client();
    const left = postModern(client, ...call('waits')).catch(() => {});
    await until(() => signal !== undefined);
    client.close();
    await left;
    await until(() => signal?.aborted);
  });

  test('that closes before it answers ends the request, and others go on', async () => {
    const client = await ours();
    const { status } = await postModern(client, ...call('closes'));
    expect(status).toBe(499);
    expect((await callModern(client, ...call('echo', { text: 'on' }))).message.result).toMatchObject(text('on'));
  });
});
