// @module-tag matrix
/**
 * One object of an SDK whose private members moved: all its sessions share one connection, and clients that attack each
 * other, and careless tools, reach no other session.
 */
import { type McpServer as McpServerType, requireScopes } from '@modelcontextprotocol/server';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { currentSession, type McpEndpointOptions } from '../../src/index.ts';
import type { RawClient } from '../kit/raw-client.ts';
import type { RawResponse } from '../kit/raw-response.ts';
import { copyWithout, movedServer } from '../kit/moved-member.ts';
import { callModern } from '../kit/modern.ts';
import { scopesHeader, withScopes } from '../kit/scoped-server.ts';
import { serve, type Served } from '../kit/serve.ts';
import { until } from '../kit/until.ts';

const McpServer = await movedServer('server', copyWithout('server', '_requestHandlers'));

interface Message {
  readonly id?: number | string;
  readonly method?: string;
  readonly params?: { readonly data?: unknown; readonly message?: string };
  readonly result?: { readonly content: ReadonlyArray<{ readonly text: string }> };
  readonly error?: { readonly code: number; readonly message: string };
}

const text = (said: string) => ({ content: [{ type: 'text' as const, text: said }] });
const SCHEMA = { type: 'object' as const, properties: {} };
const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));
const messagesOf = (response: RawResponse): Message[] =>
  response.events.flatMap(({ message }) => (message === undefined ? [] : [message as Message]));

function createServer() {
  const server = new McpServer({ name: 'gateway', version: '1.0.0' }, { capabilities: { logging: {} } });
  const signals: AbortSignal[] = [];
  const late: Array<() => Promise<unknown>> = [];
  const errors: string[] = [];
  const inputSchema = z.object({ marker: z.string() });
  server.registerTool('mixed', { inputSchema }, async ({ marker }, ctx) => {
    await ctx.mcpReq.log('error', `${marker} by ctx`);
    await turn();
    await server.sendLoggingMessage({ level: 'error', data: `${marker} by server` });
    const own = currentSession()?.server as McpServerType | undefined;
    await own?.server.sendLoggingMessage({
      level: 'error',
      data: `${marker} by session`,
    });
    const { content } = await server.server.elicitInput({ message: `${marker} asked`, requestedSchema: SCHEMA });
    return text(`${marker} ${String(content?.['marker'])} ${server.server.getClientVersion()?.name}`);
  });
  server.registerTool('hold', { inputSchema }, async ({ marker }, ctx) => {
    signals.push(ctx.mcpReq.signal);
    await new Promise((done) => ctx.mcpReq.signal.addEventListener('abort', done));
    return text(marker);
  });
  server.registerTool('ask', { inputSchema }, async ({ marker }) => {
    try {
      await server.server.elicitInput({ message: marker, requestedSchema: SCHEMA });
      return text('answered');
    } catch (error) {
      errors.push((error as Error).message);
      throw error;
    }
  });
  server.registerTool('leave', { inputSchema }, async ({ marker }) => {
    const bound = async (): Promise<unknown> => {
      await server.sendLoggingMessage({ level: 'error', data: `${marker} late` });
      return server.server.elicitInput({ message: `${marker} late`, requestedSchema: SCHEMA });
    };
    // Such as a pooled connection: it keeps the context of the call that made it.
    let go: () => void = () => {};
    const opened = new Promise<void>((done) => (go = done));
    const sent = opened.then(bound);
    late.push(() => (go(), sent));
    return text(marker);
  });
  return { server, signals, late, errors };
}

async function start(options: McpEndpointOptions = {}) {
  const made = createServer();
  return { ...made, served: await serve(made.server, { idleTimeoutMs: Infinity, ...options }) };
}

async function open(served: Served, name: string, capabilities: object = { elicitation: {} }): Promise<RawClient> {
  const client = served.client({ timeoutMs: 25_000 });
  await client.initialize({ clientInfo: { name, version: '1.0.0' }, capabilities });
  return client;
}

/** All calls of all clients have the same id. */
const call = (client: RawClient, name: string, marker: string): Promise<RawResponse> =>
  client.post({ jsonrpc: '2.0', id: 'same', method: 'tools/call', params: { name, arguments: { marker } } });

const questionIn = async (response: RawResponse): Promise<Message> =>
  (await response.nextMessage((message) => (message as Message).method === 'elicitation/create')) as Message;

describe('sessions of one connection', () => {
  test('get their own messages alone, with equal ids, whatever sends them', async () => {
    const { served } = await start();
    await Promise.all(
      Array.from({ length: 60 }, async (_, n) => {
        const marker = `<${n}>`;
        const client = await open(served, marker);
        const response = await call(client, 'mixed', marker);
        const { id } = await questionIn(response);
        await client.post({ jsonrpc: '2.0', id, result: { action: 'accept', content: { marker } } });
        await response.untilEnd();
        const messages = messagesOf(response);
        const said = messages.map(({ params, result }) => params?.data ?? params?.message ?? result?.content[0]?.text);
        const all = ['by ctx', 'by server', 'by session', 'asked', `${marker} ${marker}`];
        expect(said.toSorted()).toEqual(all.map((what) => `${marker} ${what}`).toSorted());
        expect((await client.delete()).status).toBe(200);
      }),
    );
  });

  test('an answer to a question of another session resolves nothing', async () => {
    const { served } = await start();
    const [one, other] = [await open(served, 'one'), await open(served, 'other')];
    const asked = await call(one, 'mixed', 'one');
    const { id } = await questionIn(asked);
    for (const guess of [id, 0, 1, 2, '0', '1']) {
      await other.post({ jsonrpc: '2.0', id: guess, result: { action: 'accept', content: { marker: 'stolen' } } });
      await other.notify('notifications/progress', { progressToken: guess, progress: 1 });
    }
    await one.post({ jsonrpc: '2.0', id, result: { action: 'accept', content: { marker: 'own' } } });
    await asked.untilEnd();
    expect(messagesOf(asked).at(-1)?.result?.content[0]?.text).toBe('one own one');
  });

  test('a cancelled call is that of its client, and the end of a session aborts its handlers', async () => {
    const { served, signals } = await start();
    const [one, other, third] = [await open(served, '1'), await open(served, '2'), await open(served, '3')];
    for (const [n, client] of [one, other, third].entries()) {
      void call(client, 'hold', String(n)).catch(() => {});
      await until(() => signals.length === n + 1);
    }
    await other.notify('notifications/cancelled', { requestId: 'same' });
    await until(() => signals[1]?.aborted === true);
    expect([signals[0]?.aborted, signals[2]?.aborted]).toEqual([false, false]);
    await third.delete();
    await until(() => signals[2]?.aborted === true);
    expect(signals[0]?.aborted).toBe(false);
    await one.notify('notifications/cancelled', { requestId: 'same' });
    await until(() => signals[0]?.aborted === true);
  });

  test('the end of a session rejects its questions, and no others', async () => {
    const { served, errors } = await start();
    const [one, other] = [await open(served, 'one'), await open(served, 'other')];
    const [kept, ended] = [await call(one, 'ask', 'one'), await call(other, 'ask', 'other')];
    const { id } = await questionIn(kept);
    await questionIn(ended);
    await other.delete();
    await until(() => errors.length === 1);
    await one.post({ jsonrpc: '2.0', id, result: { action: 'decline' } });
    await kept.untilEnd();
    expect(messagesOf(kept).at(-1)?.result?.content[0]?.text).toBe('answered');
    expect(errors).toHaveLength(1);
  });

  test('what a handler left behind sends nothing to its client, nor to another client', async () => {
    const { served, late } = await start();
    const [one, other] = [await open(served, 'one'), await open(served, 'other')];
    await (await call(one, 'leave', 'one')).untilEnd();
    const running = await call(other, 'mixed', 'other');
    const { id } = await questionIn(running);
    await expect(late[0]?.()).rejects.toMatchObject({ code: 'OUTSIDE_HANDLER' });
    await other.post({ jsonrpc: '2.0', id, result: { action: 'decline' } });
    await running.untilEnd();
    expect(JSON.stringify(messagesOf(running))).not.toContain('late');
  });

  test('capabilities and log levels are those of each client', async () => {
    const { served } = await start();
    const [plain, quiet] = [await open(served, 'plain', {}), await open(served, 'quiet')];
    const refused = await call(plain, 'ask', 'plain');
    await refused.untilEnd();
    expect(messagesOf(refused).at(-1)?.result?.content[0]?.text).toContain('Client does not support elicitation');
    expect((await quiet.call('logging/setLevel', { level: 'emergency' })).message).toMatchObject({ result: {} });
    expect((await quiet.call('logging/setLevel', { level: 'loud' })).message).toMatchObject({
      error: { code: -32_602 },
    });
    const response = await call(quiet, 'mixed', 'quiet');
    const { id } = await questionIn(response);
    await quiet.post({ jsonrpc: '2.0', id, result: { action: 'decline' } });
    await response.untilEnd();
    expect(messagesOf(response).filter(({ method }) => method === 'notifications/message')).toEqual([]);
  });
});

test.each(['the SDK', 'the application'])(
  'a tool that requires a scope is closed to a caller without it, also where connect is of %s',
  async (whose) => {
    const { server } = createServer();
    server.registerTool('admin', { scopeChallenge: requireScopes('admin') }, () => text('ran'));
    if (whose === 'the application') {
      const connect = server.connect.bind(server);
      server.connect = async (transport) => connect(transport);
    }
    const { client } = await serve(server, {}, { face: 'node', auth: scopesHeader });
    const call = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'admin', arguments: {} } };
    const statuses = [];
    for (const scopes of ['read', 'admin', 'admins']) {
      const one = client(withScopes(scopes));
      await one.initialize();
      statuses.push((await one.post(call)).status);
    }
    expect(statuses).toEqual([403, 200, 403]);
  },
);

describe('what one connection cannot do', () => {
  test('2026-07-28 gets the version error, on which clients of both eras fall back', async () => {
    const { served } = await start();
    const { message } = await callModern(served.client(), 'tools/list');
    expect(message).toMatchObject({ error: { code: -32_022 } });
  });

  test('of configureSessionOptions the client gets instructions and capabilities', async () => {
    const { served } = await start({
      configureSessionOptions: (_request, options) => ({
        ...options,
        instructions: 'for you',
        capabilities: { prompts: {} },
      }),
    });
    const { message } = await served.client().initialize();
    expect(message).toMatchObject({
      result: { instructions: 'for you', capabilities: { logging: {}, tools: {}, prompts: {} } },
    });
  });
});
