/**
 * Places of the limits last as long as handlers run: a caller who cancels, disconnects or ends its session gets no
 * more handlers to run at once than the limit says. A caller whom `authorize` or a scope refuses takes no place.
 */
import { type AuthInfo, McpServer, requireScopes, type ServerContext } from '@modelcontextprotocol/server';
import { describe, expect, test } from 'vitest';
import type { McpEndpointContext, McpEndpointFactory, McpEndpointOptions } from '../../src/index.ts';
import type { RawClient } from '../kit/raw-client.ts';
import { serveFleet } from '../kit/fleet.ts';
import { createLab, textOf, tool, toolCall } from '../kit/lab.ts';
import { connectSse, handshake } from '../kit/legacy-sse.ts';
import { callModern } from '../kit/modern.ts';
import { serve } from '../kit/serve.ts';
import { until } from '../kit/until.ts';

const LIMIT = 2;
const ATTEMPTS = 40;

/** A tool whose handler ignores the end of its request, and counts how many of its calls run at once. */
interface Hog {
  readonly register: (server: McpServer) => void;
  /** Calls so far, how many of them ran at once, and how many were aborted. */
  readonly count: { started: number; running: number; most: number; aborted: number };
  release(): void;
}

function createHog(): Hog {
  const count = { started: 0, running: 0, most: 0, aborted: 0 };
  const waiting: Array<() => void> = [];
  return {
    count,
    register: (server) => {
      server.registerTool('hog', {}, async ({ mcpReq }: ServerContext) => {
        mcpReq.signal.addEventListener('abort', () => (count.aborted += 1));
        count.started += 1;
        count.running += 1;
        count.most = Math.max(count.most, count.running);
        await new Promise<void>((resolve) => waiting.push(resolve));
        count.running -= 1;
        return { content: [{ type: 'text', text: 'done' }] };
      });
    },
    release: () => {
      for (const resolve of waiting.splice(0)) resolve();
    },
  };
}

const LIMITED: McpEndpointOptions = { limits: { userShare: 1, perTool: { hog: { requests: LIMIT } } } };

const HOG = tool('hog');

/** A factory whose servers `createMcpHandler` of the SDK serves, because it leaves `ctx.serverOptions`. */
const leavesOptions = (hog: Hog) => (): McpServer => {
  const server = new McpServer({ name: 'plain', version: '1' });
  hog.register(server);
  return server;
};

async function open(served: { client(): RawClient }, version = '2025-11-25'): Promise<RawClient> {
  const client = served.client();
  await client.initialize({ protocolVersion: version });
  return client;
}

/** After attacks: no more calls ran at once than the limit says. When they have settled, the next call runs. */
async function held(hog: Hog, next: () => Promise<{ message: unknown }>): Promise<void> {
  expect(hog.count.most).toBe(LIMIT);
  hog.release();
  await until(() => hog.count.running === 0);
  const { started } = hog.count;
  const answer = next();
  await until(() => hog.count.started > started);
  hog.release();
  expect(textOf((await answer).message)).toBe('done');
}

const cancelOf = (requestId: number) => ({
  jsonrpc: '2.0',
  method: 'notifications/cancelled',
  params: { requestId },
});
const callOf = (id: number) => ({ jsonrpc: '2.0', id, method: HOG[0], params: HOG[1] });

/** Sends calls that run until they are refused, and cancels each of them. */
async function cancelMany(client: RawClient, hog: Hog): Promise<void> {
  for (let n = 0; n < ATTEMPTS; n++) {
    const id = client.nextId();
    const { started } = hog.count;
    const response = await client.post(callOf(id));
    if (n < LIMIT) await until(() => hog.count.started > started);
    await client.post(cancelOf(id));
    await response.untilEnd();
  }
}

describe.each(['a factory', 'a factory that leaves ctx.serverOptions', 'a definition'])('%s', (kind) => {
  const serverOf = (hog: Hog): McpEndpointFactory | McpServer => {
    if (kind === 'a factory') return createLab(hog.register).factory;
    if (kind !== 'a definition') return leavesOptions(hog);
    return leavesOptions(hog)();
  };

  test('calls on a session that their client cancels keep their places', async () => {
    const hog = createHog();
    const client = await open(await serve(serverOf(hog), LIMITED));
    await cancelMany(client, hog);
    await held(hog, () => client.call(...HOG));
  });

  test('a batch that cancels its own calls runs no handler past the limit', async () => {
    const hog = createHog();
    const client = await open(await serve(serverOf(hog), LIMITED), '2025-03-26');
    for (let n = 0; n < ATTEMPTS; n++) {
      const id = client.nextId();
      await (await client.post([callOf(id), cancelOf(id)])).untilEnd();
    }
    expect(hog.count.most).toBeLessThanOrEqual(LIMIT);
    hog.release();
  });

  test('calls whose session is ended by DELETE keep their places', async () => {
    const hog = createHog();
    const served = await serve(serverOf(hog), LIMITED);
    for (let n = 0; n < ATTEMPTS; n++) {
      const client = await open(served);
      const { started } = hog.count;
      const left = client.call(...HOG);
      if (n < LIMIT) await until(() => hog.count.started > started);
      else await left;
      await client.delete();
      await left;
    }
    const client = await open(served);
    await held(hog, () => client.call(...HOG));
  });

  test.each(['stateless', 'modern'])('%s: calls whose client disconnects keep their places', async (era) => {
    const hog = createHog();
    const served = await serve(serverOf(hog), era === 'stateless' ? { ...LIMITED, sessionMode: 'stateless' } : LIMITED);
    const send = (client: RawClient) => (era === 'modern' ? callModern(client, ...HOG) : client.call(...HOG));
    for (let n = 0; n < ATTEMPTS; n++) {
      const client = served.client();
      const { started } = hog.count;
      let answered = false;
      const sent = send(client).then(
        () => (answered = true),
        () => (answered = true),
      );
      await until(() => answered || hog.count.started > started);
      client.close();
      await until(() => hog.count.aborted === hog.count.started);
      await sent;
    }
    const client = served.client();
    await held(hog, () => send(client));
  });
});

test('2024-11-05: calls whose connection ends keep their places', async () => {
  const hog = createHog();
  const served = await serve(leavesOptions(hog), { ...LIMITED, legacySse: true });
  for (let n = 0; n < ATTEMPTS; n++) {
    const { stream, post } = await connectSse(served.client(), '/mcp/sse');
    await post(handshake(0));
    await stream.nextMessage();
    const { started } = hog.count;
    const { status } = await post(toolCall(1, 'hog'));
    if (status === 202) await until(() => hog.count.started > started);
    stream.abort();
    await until(() => hog.count.aborted === hog.count.started);
  }
  expect(hog.count.most).toBe(LIMIT);
  hog.release();
});

test('on a fleet the owner holds the places of calls that were cancelled at another instance', async () => {
  const hog = createHog();
  const labs = [createLab(hog.register), createLab(hog.register)];
  const [a, b] = await serveFleet(2, LIMITED, [], labs);
  if (a === undefined || b === undefined) throw new Error('two instances');
  const client = await open(a);
  await cancelMany(b.join(client), hog);
  await held(hog, () => client.call(...HOG));
});

test('limits.requestsPerSession and limits.requests count handlers whose requests were cancelled', async () => {
  const hog = createHog();
  const limits = { requestsPerSession: LIMIT, requests: LIMIT };
  const served = await serve(leavesOptions(hog), { limits, waitMs: 0 });
  const client = await open(served);
  await cancelMany(client, hog);
  expect(hog.count.most).toBe(LIMIT);
  hog.release();
  await until(() => hog.count.running === 0);
  for (let n = 0; n < ATTEMPTS; n++) {
    const stranger = served.client();
    const { started } = hog.count;
    let answered = false;
    const sent = callModern(stranger, ...HOG).then(
      () => (answered = true),
      () => (answered = true),
    );
    await until(() => answered || hog.count.started > started);
    stranger.close();
    await until(() => hog.count.aborted === hog.count.started);
    await sent;
  }
  expect(hog.count.most).toBe(LIMIT);
  hog.release();
});

describe('limits.perTool is asked after authorize and the scopes', () => {
  const userOf = (name: string): AuthInfo => ({
    token: name,
    clientId: 'c',
    scopes: name === 'admin' ? ['admin'] : [],
    expiresAt: Math.floor(Date.now() / 1_000) + 600,
    extra: { sub: name },
  });
  const perTool = { hidden: { requestsPerMinute: 3 }, scoped: { requestsPerMinute: 3 } };
  const as = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });

  describe.each(['sessions', 'stateless', '2026-07-28', '2026-07-28 by the SDK'])('%s', (mode) => {
    async function start() {
      const factory = (ctx: McpEndpointContext): McpServer => {
        const server = new McpServer(
          { name: 'quota', version: '1' },
          mode === '2026-07-28 by the SDK' ? {} : ctx.serverOptions,
        );
        const done = () => ({ content: [{ type: 'text' as const, text: 'done' }] });
        server.registerTool('hidden', {}, done);
        server.registerTool('scoped', { scopeChallenge: requireScopes('admin') }, done);
        return server;
      };
      const authorize = (_kind: string, name: string, { token }: AuthInfo) => name !== 'hidden' || token === 'admin';
      const served = await serve(factory, {
        auth: { verify: async (token) => userOf(token), authorize },
        limits: { perTool },
        ...(mode === 'stateless' && { sessionMode: 'stateless' }),
      });
      const callerOf = async (user: string) => {
        const client = served.client(as(user));
        if (mode === 'sessions') await client.initialize();
        return async (name: string) => {
          const { response, message } = mode.startsWith('2026')
            ? await callModern(client, ...tool(name))
            : await client.call(...tool(name));
          return [response.status, JSON.stringify({ ...message, id: 0 }).replaceAll(name, '…')];
        };
      };
      return { stranger: await callerOf('stranger'), admin: await callerOf('admin') };
    }

    test('a refused caller sees what an unknown tool shows, and leaves the quota to others', async () => {
      const { stranger, admin } = await start();
      const unknown = await stranger('nothing');
      let told = 0;
      for (let n = 0; n < ATTEMPTS; n++) if (String(await stranger('hidden')) !== String(unknown)) told += 1;
      const statuses: unknown[] = [];
      for (let n = 0; n < ATTEMPTS; n++) statuses.push((await stranger('scoped'))[0]);
      expect(statuses).toEqual(statuses.map(() => 403));
      const used: string[] = [];
      for (const name of ['hidden', 'scoped'])
        for (let n = 0; n < 3; n++) used.push(String((await admin(name))[1]).includes('done') ? 'ran' : 'refused');
      expect(told).toBe(0);
      expect(used).toEqual(used.map(() => 'ran'));
      expect((await admin('hidden'))[1]).toContain('tool_limit');
    });
  });
});
