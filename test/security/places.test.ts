/**
 * Places of the limits last as long as handlers run: a caller who cancels, disconnects or ends its session gets no
 * more handlers to run at once than the limit says. `test/eras/ladder.test.ts` holds that refused callers take none.
 */
import { McpServer, type ServerContext } from '@modelcontextprotocol/server';
import { describe, expect, test } from 'vitest';
import type { McpEndpointFactory, McpEndpointOptions } from '../../src/index.ts';
import type { RawClient } from '../kit/raw-client.ts';
import { serveFleet } from '../kit/fleet.ts';
import { createLab, textOf, tool, toolCall } from '../kit/lab.ts';
import { openSse } from '../kit/legacy-sse.ts';
import { callModern } from '../kit/modern.ts';
import { serve, type Served } from '../kit/serve.ts';
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

/** Clients that send one call each, and disconnect once it runs or is refused. */
async function leaveMany(served: Served, hog: Hog, send: Send): Promise<void> {
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
}

type Send = (client: RawClient) => Promise<{ message: unknown }>;
const call: Send = (client) => client.call(...HOG);
const modern: Send = (client) => callModern(client, ...HOG);

describe.each(['a factory', 'a factory that leaves ctx.serverOptions', 'a definition'])('%s', (kind) => {
  const serverOf = (hog: Hog): McpEndpointFactory | McpServer => {
    if (kind === 'a factory') return createLab(hog.register).factory;
    return kind === 'a definition' ? leavesOptions(hog)() : leavesOptions(hog);
  };

  test('calls on a session that their client cancels keep their places', async () => {
    const hog = createHog();
    const client = await open(await serve(serverOf(hog), LIMITED));
    await cancelMany(client, hog);
    await held(hog, () => call(client));
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
      const left = call(client);
      if (n < LIMIT) await until(() => hog.count.started > started);
      else await left;
      await client.delete();
      await left;
    }
    const client = await open(served);
    await held(hog, () => call(client));
  });

  test.each([
    ['stateless', { ...LIMITED, sessionMode: 'stateless' }, call],
    ['modern', LIMITED, modern],
  ] as const)('%s: calls whose client disconnects keep their places', async (_era, options, send) => {
    const hog = createHog();
    const served = await serve(serverOf(hog), options);
    await leaveMany(served, hog, send);
    await held(hog, () => send(served.client()));
  });
});

test('2024-11-05: calls whose connection ends keep their places', async () => {
  const hog = createHog();
  const served = await serve(leavesOptions(hog), { ...LIMITED, legacySse: true });
  for (let n = 0; n < ATTEMPTS; n++) {
    const { stream, post } = await openSse(served.client());
    const { started } = hog.count;
    const accepted = await post(toolCall(1, 'hog'));
    if (accepted.header('sojourn-refused') === undefined) await until(() => hog.count.started > started);
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
  const client = await open(a);
  await cancelMany(b.join(client), hog);
  await held(hog, () => call(client));
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
  await leaveMany(served, hog, modern);
  expect(hog.count.most).toBe(LIMIT);
  hog.release();
});
