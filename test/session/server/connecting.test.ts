/** A server whose `connect()` takes its time: when it gets its first message, and what becomes of a late failure. */
import { McpServer, Server, type Transport } from '@modelcontextprotocol/server';
import { Server as ServerV1 } from '@modelcontextprotocol/sdk/server/index.js';
import { describe, expect, onTestFinished, test } from 'vitest';
import type {
  ConnectableServer,
  McpEndpointFactory,
  McpEndpointOptions,
} from '../../../src/index.ts';
import { memory } from '../../../src/stores/memory/index.ts';
import { createFakeTime } from '../../../src/testing/index.ts';
import type { RawClient } from '../../kit/raw-client.ts';
import type { RawResponse } from '../../kit/raw-response.ts';
import { connectNegotiating, sessionClients, sseClients } from '../../clients/official.ts';
import { say, textOf, tool } from '../../kit/lab.ts';
import { HANDSHAKE } from '../../kit/migrating.ts';
import { onePolling, POLLING, polling, Polls } from '../../kit/polling-server.ts';
import { serve } from '../../kit/serve.ts';
import { said } from '../../kit/tool-server.ts';
import { until } from '../../kit/until.ts';
import { gate, watchedStore } from '../../kit/watched-store.ts';
import { bearer, userToken } from '../../kit/issuer.ts';

const LISTENS_MS = 100;
const DAY = 86_400_000;

/** Each call waits for a `next`. */
function steps() {
  const waits: Array<() => void> = [];
  let isOpen = false;
  const open = (): void => {
    isOpen = true;
    for (const go of waits.splice(0)) go();
  };
  onTestFinished(open);
  return {
    hook: () => (isOpen ? undefined : new Promise<void>((go) => void waits.push(go))),
    get waiting() {
      return waits.length;
    },
    next: () => waits.shift()?.(),
    open,
  };
}

/** On the system's time. Its `connect()`s settle before the test ends. */
function pollsOf(pause?: () => Promise<unknown> | undefined): Polls {
  const polls = new Polls(pause);
  onTestFinished(() => polls.settled());
  return polls;
}

const servers: Array<[string, (polls: Polls) => McpEndpointFactory | ConnectableServer]> = [
  ...Object.keys(POLLING).map((name): (typeof servers)[number] => [
    name,
    (polls) => polling(name, polls),
  ]),
  ['one McpServer for all', onePolling],
];

describe.each(servers)('%s that polls for its client', (_name, serverOf) => {
  test.each(sessionClients)(
    'finds the %s client, first and after a restore',
    async (_client, connect) => {
      const store = memory();
      const polls = pollsOf();
      const first = await serve(serverOf(polls), { store });
      let { url } = first;
      const client = await connect(url, { route: () => url, roots: () => ({ roots: [] }) });
      expect(await client.say('hello')).toBe('hello');
      await until(() => polls.found.length === 1);
      const second = await serve(serverOf(polls), { store });
      ({ url } = second);
      await first.endpoint.close({ timeoutMs: 0 });
      expect(await client.say('hello')).toBe('hello');
      await until(() => polls.found.length === 2);
      expect(polls.found).toEqual([
        { roots: { listChanged: true } },
        { roots: { listChanged: true } },
      ]);
      expect([...first.log.matching(/./, 'error'), ...second.log.matching(/./, 'error')]).toEqual(
        [],
      );
    },
  );

  test('is served while connect() runs, where no client says who it is', async () => {
    const pause = steps();
    const polls = pollsOf(pause.hook);
    const time = createFakeTime();
    const { client, log } = await serve(serverOf(polls), {
      sessionMode: 'stateless',
      timeProvider: time,
    });
    const answer = client().call(...tool('hello'));
    await until(() => pause.waiting === 1);
    await time.advance(LISTENS_MS);
    const { response, message } = await answer;
    expect([response.status, textOf(message), polls.found]).toEqual([200, 'hello', []]);
    pause.open();
    await polls.settled();
    expect(polls.found).toEqual([undefined]);
    expect(log.matching(/./, 'error')).toEqual([]);
  });
});

test.each(['an McpServer', 'a subclass of Server'])(
  'in 2026-07-28 %s that polls finds its client at once',
  async (name) => {
    const polls = pollsOf(() => {
      throw new Error('The client is not known');
    });
    const { url, log } = await serve(polling(name, polls));
    const client = await connectNegotiating(url);
    expect([client.protocolVersion(), await client.say('hello')]).toEqual(['2026-07-28', 'hello']);
    expect(log.matching(/./, 'error')).toEqual([]);
  },
);

test.each(sseClients)(
  'a server that polls finds the client of the old transport: %s',
  async (_name, connect) => {
    const polls = pollsOf();
    const { url } = await serve(polling('an object that hides a Server of SDK 1', polls), {
      legacySse: true,
    });
    const client = await connect(url.replace(/\/mcp$/, ''), {});
    expect(await client.say('hello')).toBe('hello');
    await until(() => polls.found.length === 1);
    expect(polls.found).toEqual([{}]);
  },
);

/**
 * A server whose `connect()` waits for `step` when it has connected the SDK's server, or before it does so, and then
 * rejects with `fails`.
 */
function slow({
  waits = 'connected',
  fails,
}: { waits?: 'first' | 'connected'; fails?: string } = {}) {
  const step = steps();
  /** The methods of the messages that servers got. */
  const got: string[] = [];
  let closes = 0;
  const factory: McpEndpointFactory = ({ serverOptions }) => {
    const server = new McpServer({ name: 'slow', version: '1' }, serverOptions);
    server.registerTool('hello', {}, () => said('hello'));
    const connect = server.connect.bind(server);
    server.connect = async (transport) => {
      if (waits === 'first') await step.hook();
      if (waits === 'first' && fails !== undefined) throw new Error(fails);
      await connect(transport);
      const { onmessage } = transport;
      transport.onmessage = (message, extra) => {
        if ('method' in message) got.push(message.method);
        onmessage?.(message, extra);
      };
      if (waits === 'connected') await step.hook();
      if (fails !== undefined) throw new Error(fails);
    };
    const close = server.close.bind(server);
    server.close = async () => {
      closes += 1;
      await close();
    };
    return server;
  };
  return {
    step,
    got,
    factory,
    get closes() {
      return closes;
    },
  };
}

/** On fake time, whose first `LISTENS_MS` after the beginning of a `connect()` are over with `overdue`. */
async function serveSlow(
  { factory, step }: ReturnType<typeof slow>,
  options: McpEndpointOptions = {},
) {
  const time = createFakeTime();
  const served = await serve(factory, { timeProvider: time, leaseMs: DAY, ...options });
  const overdue = async (): Promise<void> => {
    await until(() => step.waiting === 1);
    await time.advance(LISTENS_MS);
  };
  return { time, overdue, ...served };
}

const opening = (client: RawClient): Promise<RawResponse> =>
  client.post({ jsonrpc: '2.0', id: 'open', method: 'initialize', params: HANDSHAKE });

describe('a slow connect()', () => {
  test('that has not connected the SDK keeps the client waiting until it has settled', async () => {
    const made = slow({ waits: 'first' });
    const { client, time, overdue } = await serveSlow(made);
    const one = client();
    const opened = one.initialize();
    await overdue();
    await time.advance(20_000);
    expect(made.got).toEqual([]);
    made.step.open();
    await opened;
    expect(made.got[0]).toBe('initialize');
    expect((await one.call('ping')).response.status).toBe(200);
  });

  test.each(['stateful', 'stateless'] as const)(
    'that rejects after 200 ms refuses its client, and the server gets no message (%s)',
    async (sessionMode) => {
      const made = slow({ waits: 'first', fails: 'this tenant has left' });
      const { client, time, overdue, endpoint, log } = await serveSlow(made, { sessionMode });
      const answer = opening(client());
      await overdue();
      await time.advance(150);
      made.step.next();
      const response = await answer;
      expect([response.status, response.header('mcp-session-id'), made.got]).toEqual([
        500,
        undefined,
        [],
      ]);
      expect(endpoint.sessions.liveCount).toBe(0);
      expect(log.matching(/could not be connected/, 'warn')).toHaveLength(1);
    },
  );

  test.each(['stateful', 'stateless'] as const)(
    'that connects nothing refuses its client (%s)',
    async (sessionMode) => {
      const { client } = await serve(() => ({ connect: async () => {}, close: async () => {} }), {
        sessionMode,
      });
      expect((await opening(client())).json()).toMatchObject({
        error: { message: /connected nothing/ },
      });
    },
  );

  test('has no time limit once its server listens', async () => {
    const made = slow();
    const { client, time, overdue, log } = await serveSlow(made);
    const one = client();
    const opened = one.initialize();
    await overdue();
    await opened;
    await time.advance(40_000);
    expect(await say(one, 'hello')).toBe('hello');
    expect(log.matching(/./, 'error')).toEqual([]);
  });

  test('that rejects once its server listens ends the session, and its client opens another', async () => {
    const made = slow({ fails: 'no roots' });
    const { client, overdue, endpoint, log } = await serveSlow(made);
    const one = client();
    const opened = one.initialize();
    await overdue();
    await opened;
    expect(endpoint.sessions.liveCount).toBe(1);
    await until(() => made.step.waiting === 1);
    made.step.next();
    await until(() => endpoint.sessions.liveCount === 0);
    expect((await one.call('ping')).response.status).toBe(404);
    expect(log.matching(/The connect\(\) of the server rejected/, 'warn')).toHaveLength(1);
    await until(() => made.closes > 0);
    const again = client();
    const reopened = again.initialize();
    await overdue();
    await reopened;
    expect((await again.call('ping')).response.status).toBe(200);
  });

  test('that rejects while its session is being recorded leaves no session behind', async () => {
    const made = slow({ fails: 'no roots' });
    const store = watchedStore();
    const recorded = gate();
    store.before['sessions.create'] = recorded.hook;
    const { client, overdue, endpoint } = await serveSlow(made, { store });
    const answer = opening(client());
    await overdue();
    await until(() => recorded.waiting === 1 && made.step.waiting === 1);
    made.step.next();
    await until(() => made.closes === 1);
    recorded.open();
    const response = await answer;
    expect([response.status, response.header('mcp-session-id')]).toEqual([500, undefined]);
    expect(endpoint.sessions.liveCount).toBe(0);
    await until(() => store.calls.some(({ call }) => call === 'sessions.end'));
  });

  test('that rejects while a stateless request runs answers it with an error', async () => {
    const made = slow({ fails: 'no roots' });
    const hung = steps();
    const factory: McpEndpointFactory = (ctx) => {
      const server = made.factory(ctx) as McpServer;
      server.registerTool('hang', {}, async () => {
        await hung.hook();
        return said('late');
      });
      return server;
    };
    const { client, overdue, log } = await serveSlow(
      { ...made, factory },
      { sessionMode: 'stateless' },
    );
    const called = client().call(...tool('hang'));
    await overdue();
    await until(() => hung.waiting === 1);
    made.step.next();
    const { message } = await called;
    expect(message.error).toMatchObject({ code: -32603 });
    expect(log.matching(/could not be served/, 'warn')).toHaveLength(1);
    await until(() => made.closes > 0);
  });

  test('of an object around a server is followed by a close() where its request was over before', async () => {
    const step = steps();
    let session: ServerV1 | undefined;
    let closes = 0;
    const factory = (): ConnectableServer => ({
      connect: async (transport) => {
        const server = new ServerV1({ name: 'hidden', version: '1' }, { capabilities: {} });
        await server.connect(transport);
        await step.hook();
        session = server;
      },
      close: async () => {
        closes += 1;
        await session?.close();
      },
    });
    const time = createFakeTime();
    const { client } = await serve(factory, { sessionMode: 'stateless', timeProvider: time });
    const called = client().call('ping');
    await until(() => step.waiting === 1);
    await time.advance(LISTENS_MS);
    expect((await called).response.status).toBe(200);
    await until(() => closes === 1);
    step.open();
    await until(() => closes === 2 && session !== undefined);
  });
});

test('while connect() runs, auth.authorize decides what a client of a server that polls gets', async () => {
  const step = steps();
  const ran: string[] = [];
  const factory = (): ConnectableServer => {
    const server = new Server({ name: 'hidden', version: '1' }, { capabilities: { tools: {} } });
    server.setRequestHandler('tools/list', () => ({
      tools: ['open', 'secret'].map((name) => ({ name, inputSchema: { type: 'object' as const } })),
    }));
    server.setRequestHandler('tools/call', ({ params }) => {
      ran.push(params.name);
      return said(params.name);
    });
    // The object shows its server: `authorize` runs around the handlers of that.
    return {
      server,
      connect: async (transport: Transport) => {
        await server.connect(transport);
        await step.hook();
      },
      close: () => server.close(),
    } as ConnectableServer;
  };
  const time = createFakeTime();
  const { client } = await serve(
    factory,
    {
      timeProvider: time,
      auth: { verify: userToken, authorize: (_kind, name) => name !== 'secret' },
    },
    { face: 'node' },
  );
  const one = client(bearer('ann'));
  const opened = one.initialize();
  await until(() => step.waiting === 1);
  await time.advance(LISTENS_MS);
  await opened;
  const { message } = await one.call('tools/list');
  expect(
    (message.result as { tools: Array<{ name: string }> }).tools.map(({ name }) => name),
  ).toEqual(['open']);
  expect(await say(one, 'open')).toBe('open');
  expect((await one.call(...tool('secret'))).message.error).toMatchObject({
    message: 'Tool secret not found',
  });
  step.open();
  await new Promise((resolve) => void setImmediate(resolve));
  expect((await one.call(...tool('secret'))).message.error).toMatchObject({
    message: 'Tool secret not found',
  });
  expect(ran).toEqual(['open']);
});
