/**
 * Questions of a server whose client has no stream open yet: they wait at the owner, and nothing of them is left.
 * `clients/early-questions.test.ts` has the stream that opens, here and at another instance.
 */
import type { McpServer, ServerContext } from '@modelcontextprotocol/server';
import { describe, expect, test } from 'vitest';
import type { McpEndpointContext, McpEndpointOptions } from '../../../src/index.ts';
import { memory } from '../../../src/stores/memory/index.ts';
import { createFakeTime } from '../../../src/testing/index.ts';
import type { RawClient } from '../../kit/raw-client.ts';
import type { RawResponse } from '../../kit/raw-response.ts';
import { givings, perSession } from '../../kit/making-servers.ts';
import { isMatrix } from '../../kit/matrix.ts';
import { serve } from '../../kit/serve.ts';
import { said, toolServer, type Tool } from '../../kit/tool-server.ts';
import { until } from '../../kit/until.ts';
import { textOf, tool, toolCall } from '../../kit/lab.ts';
import type { Log } from '../../kit/log.ts';
import { BUDGET, hasWholeBudget } from '../../security/aborts.ts';

/** `retryMs` and a second, by default. */
const WAIT = 5_000;
const CAPABILITIES = { roots: {}, sampling: {}, elicitation: { form: {} } };

interface Asked {
  id: string;
  method: string;
  params?: { message?: string };
}

const form = (message: string) => ({
  message,
  requestedSchema: { type: 'object' as const, properties: {} },
});

/** One server per session; `asked`: what became of each question, in the order in which they ended. */
async function ground(
  options: McpEndpointOptions = {},
  tools: Record<string, Tool> = {},
  onMade?: OnMade,
) {
  const time = createFakeTime();
  const servers: McpServer[] = [];
  const ended: string[] = [];
  const made = (server: McpServer, ctx: McpEndpointContext): void => {
    servers.push(server);
    onMade?.(server, ctx, note);
  };
  const note = (name: string, asked: Promise<unknown>): Promise<void> =>
    asked.then(
      () => void ended.push(`${name} answered`),
      (error: { code?: unknown; message: string }) =>
        void ended.push(`${name} ${String(error.code)}`),
    );
  const factory = perSession(toolServer({ none: () => said(''), ...tools }, made));
  const served = await serve(factory, { timeProvider: time, ...options });
  const open = async (more: object = {}): Promise<RawClient> => {
    const client = served.client();
    await client.initialize({ capabilities: CAPABILITIES, ...more });
    return client;
  };
  /** Asks outside of any request. */
  const ask = (name: string, signal?: AbortSignal): Promise<void> =>
    note(name, (servers.at(-1) as McpServer).server.elicitInput(form(name), signal && { signal }));
  return { ...served, time, servers, ended, open, ask, waiting: () => waitingIn(served.log) };
}

const waitingIn = (log: Log): number =>
  log.matching(/waits for a stream to its client/, 'debug').length;

type OnMade = (
  server: McpServer,
  ctx: McpEndpointContext,
  note: (name: string, asked: Promise<unknown>) => Promise<void>,
) => void;

const next = async (stream: RawResponse): Promise<Asked> => (await stream.nextMessage()) as Asked;
const messagesOf = async (stream: RawResponse, count: number): Promise<(string | undefined)[]> => {
  const messages: (string | undefined)[] = [];
  while (messages.length < count) messages.push((await next(stream)).params?.message);
  return messages;
};
const answer = (client: RawClient, { id }: Asked) =>
  client.post({ jsonrpc: '2.0', id, result: { action: 'accept', content: {} } });

test('before notifications/initialized a question waits too, and takes the stream of its call if that is open', async () => {
  let ctx: ServerContext | undefined;
  const { open, ask, ended, waiting } = await ground(
    {},
    {
      ask: (_args, context) => {
        ctx = context;
        return context.mcpReq.elicitInput(form('in call')).then(({ action }) => said(action));
      },
    },
  );
  const client = await open({ initialized: false });
  const early = ask('early');
  const get = await client.get();
  const called = await client.post(toolCall(1, 'ask'));
  await until(() => ctx !== undefined && waiting() === 2);
  await client.notify('notifications/initialized');
  const [onGet, inCall] = [await next(get), await next(called)];
  expect([onGet.params?.message, inCall.params?.message]).toEqual(['early', 'in call']);
  await answer(client, onGet);
  await answer(client, inCall);
  await early;
  expect(ended).toEqual(['early answered']);
  expect(textOf((await called.nextMessage()) as object)).toBe('accept');
});

test('a client that never initializes costs one wait; once it has, questions wait again', async () => {
  const { open, ask, ended, time } = await ground();
  const client = await open({ initialized: false });
  const first = ask('first');
  await time.advance(WAIT);
  await first;
  await ask('second');
  expect(ended).toEqual(['first NOT_INITIALIZED', 'second NOT_INITIALIZED']);
  await client.notify('notifications/initialized');
  void ask('third');
  expect(await messagesOf(await client.get(), 1)).toEqual(['third']);
});

test('a question waits while its client reconnects, and comes once', async () => {
  const { open, ask, waiting } = await ground();
  const client = await open();
  const get = await client.get();
  const { id } = await get.next();
  get.abort();
  // Until the server has seen that the connection is closed, questions go out on it.
  const asked: string[] = [];
  const askAnother = (): void => {
    const name = `question ${asked.push('')}`;
    asked[asked.length - 1] = name;
    void ask(name);
  };
  await until(async () => {
    askAnother();
    await client.call('ping');
    return waiting() === 1;
  });
  askAnother();
  const resumed = await client.get({ lastEventId: id });
  expect(await messagesOf(resumed, asked.length)).toEqual(asked);
});

test('B39 each question waits retryMs and a second; then the session refuses at once until a GET comes', async () => {
  const { open, ask, ended, time, waiting } = await ground({
    retryMs: 1_000,
    eventRetention: false,
  });
  const client = await open();
  const timers = time.pendingTimers;
  void ask('first');
  await time.advance(1_000);
  const second = ask('second');
  await time.advance(999);
  expect(ended).toEqual([]);
  await time.advance(1);
  expect(ended).toEqual(['first NO_STREAM']);
  await ask('third');
  expect(ended).toEqual(['first NO_STREAM', 'third NO_STREAM']);
  await time.advance(1_000);
  await second;
  expect(ended).toEqual(['first NO_STREAM', 'third NO_STREAM', 'second NO_STREAM']);
  await time.advance(60_000);
  await ask('fourth');
  expect([ended.at(-1), waiting()]).toEqual(['fourth NO_STREAM', 2]);

  const get = await client.get();
  get.abort();
  await until(async () => {
    void ask('fifth');
    await client.call('ping');
    return waiting() === 3;
  });
  await time.advance(2_000);
  await until(() => ended.at(-1) === 'fifth NO_STREAM');
  expect(time.pendingTimers).toBe(timers);
});

test('a question that its server cancels is never sent, nor is the cancellation', async () => {
  const { open, ask, ended, servers, time } = await ground();
  const client = await open();
  const timers = time.pendingTimers;
  const controller = new AbortController();
  const cancelled = ask('cancelled', controller.signal);
  controller.abort();
  await cancelled;
  expect(time.pendingTimers).toBe(timers);
  void ask('kept');
  const get = await client.get();
  await servers[0]?.server.sendLoggingMessage({ level: 'error', data: 'last' });
  const kept = await next(get);
  expect(kept.params?.message).toBe('kept');
  expect(await next(get)).toMatchObject({ method: 'notifications/message' });
  expect(ended).toHaveLength(1);
});

describe('while a question waits', () => {
  const ends: Array<
    [string, (given: Awaited<ReturnType<typeof ground>>, client: RawClient) => Promise<unknown>]
  > = [
    ['DELETE', (_given, client) => client.delete()],
    ['terminate()', ({ endpoint }, { sessionId = '' }) => endpoint.sessions.end(sessionId)],
    ['a close of the endpoint', ({ endpoint }) => endpoint.close({ timeoutMs: 0 })],
    ['a drain', ({ endpoint }) => endpoint.drain()],
    ['a close of its server', ({ servers }) => Promise.resolve(servers[0]?.close())],
    ['the idle timeout', ({ time }) => time.advance(700_000)],
  ];
  test.each(ends)('%s rejects it, and nothing is left', async (name, end) => {
    const given = await ground({
      retryMs: 1_000_000,
      idleTimeoutMs: 600_000,
      hibernateAfterMs: Infinity,
    });
    const client = await given.open();
    void given.ask('a');
    void given.ask('b');
    expect(given.waiting()).toBe(2);
    await end(given, client);
    await until(() => given.ended.length === 2);
    // A server that closes itself has told its questions before sojourn can.
    const code = name === 'a close of its server' ? given.ended[0]?.slice(2) : 'SESSION_GONE';
    expect(given.ended).toEqual([`a ${code}`, `b ${code}`]);
    await until(() => given.endpoint.sessions.liveCount === 0);
    await given.endpoint.close({ timeoutMs: 0 });
    expect(given.time.pendingTimers).toBe(0);
  });

  test('hibernation waits', async () => {
    const options = { hibernateAfterMs: 10_000, idleTimeoutMs: 600_000, retryMs: 99_000 };
    const { open, ask, ended, endpoint, time } = await ground(options);
    await open();
    void ask('a');
    await time.advance(90_000);
    expect([ended, endpoint.sessions.liveCount]).toEqual([[], 1]);
    await time.advance(10_000);
    expect(ended).toEqual(['a NO_STREAM']);
    await time.advance(20_000);
    expect(endpoint.sessions.liveCount).toBe(0);
  });
});

test('the 202 does not wait, and a restore asks again: a ping carries the question, and does not wait', async () => {
  const store = memory();
  const options = { store, timeProvider: undefined, retryMs: 600_000 };
  const asks: OnMade = (server, _ctx, note) => {
    server.server.oninitialized = () => void note('roots', server.server.listRoots());
    // A handler of a message that a restore repeats.
    server.server.setRequestHandler('resources/subscribe', async () => {
      await note('subscribed', server.server.listRoots());
      return {};
    });
  };
  const first = await ground(options, {}, asks);
  const client = await first.open();
  expect(first.waiting()).toBe(1);
  const subscribing = await client.post({
    jsonrpc: '2.0',
    id: 7,
    method: 'resources/subscribe',
    params: { uri: 'a:b' },
  });
  const question = await next(subscribing);
  expect(question.method).toBe('roots/list');
  await client.post({ jsonrpc: '2.0', id: question.id, result: { roots: [] } });
  expect(await subscribing.nextMessage()).toMatchObject({ id: 7, result: {} });

  const second = await ground(options, {}, asks);
  await first.endpoint.drain();
  const later = second.client({ of: client });
  const ping = await later.call('ping');
  expect(first.ended).toEqual(['subscribed answered', 'roots SESSION_GONE']);
  expect([second.waiting(), second.ended]).toEqual([1, ['subscribed NO_STREAM']]);
  const [again] = ping.response.messages as unknown as [Asked];
  await later.post({ jsonrpc: '2.0', id: again.id, result: { roots: [] } });
  await until(() => second.ended.length === 2);
  expect(second.ended).toEqual(['subscribed NO_STREAM', 'roots answered']);
});

describe('what questions hold', () => {
  const limits = { memoryBytes: BUDGET, userShare: 1 };
  const large = 'x'.repeat(BUDGET / 8);

  test('is charged while they wait, and given back however they end', async () => {
    const { open, ask, ended, port, time } = await ground({ limits });
    const client = await open();
    void ask(large);
    await ask(large);
    expect(ended).toEqual([`${large} NO_STREAM`]);
    expect(await hasWholeBudget(port, {})).toBe(false);
    const get = await client.get();
    await next(get);
    await until(() => hasWholeBudget(port, {}));

    const other = await open();
    void ask(large);
    expect(await hasWholeBudget(port, {})).toBe(false);
    await time.advance(WAIT);
    await until(() => hasWholeBudget(port, {}));
    await other.delete();

    const last = await open();
    void ask(large);
    expect(await hasWholeBudget(port, {})).toBe(false);
    await last.delete();
    await until(() => hasWholeBudget(port, {}));
  });

  const FLOOD = isMatrix ? 10_000 : 100;
  const MOST_WAITING = 16;
  const tables = (server: McpServer): number =>
    Object.values(server.server).reduce(
      (sum: number, member) => sum + (member instanceof Map ? member.size : 0),
      0,
    );

  test.each(givings.filter(({ name }) => name.startsWith('a factory')))(
    'is nothing after a flood of them, of which sixteen wait: $name',
    async ({ give }) => {
      const time = createFakeTime();
      const servers: McpServer[] = [];
      const ended: unknown[] = [];
      const factory = give((server) => {
        servers.push(server);
        server.registerTool('flood', {}, () => {
          for (let n = 0; n < FLOOD; n++)
            server.server
              .elicitInput(form('x'))
              .catch(({ code }: { code: unknown }) => ended.push(code));
          return said('asked');
        });
      });
      // No stream of a POST carries a question.
      const { openSession, log, port } = await serve(factory, {
        timeProvider: time,
        responseMode: 'json',
        limits,
      });
      const client = await openSession({ capabilities: CAPABILITIES });
      const [server] = servers as [McpServer];
      const before = tables(server);
      const timers = time.pendingTimers;
      await client.call(...tool('flood'));
      await until(() => ended.length === FLOOD - MOST_WAITING);
      // Each has a timer.
      expect([waitingIn(log), time.pendingTimers - timers]).toEqual([MOST_WAITING, MOST_WAITING]);
      await time.advance(WAIT);
      await until(() => ended.length === FLOOD);
      // One wait: later ones are refused at once.
      await client.call(...tool('flood'));
      await until(() => ended.length === 2 * FLOOD);
      expect([waitingIn(log), new Set(ended)]).toEqual([MOST_WAITING, new Set(['NO_STREAM'])]);
      expect([tables(server) - before, time.pendingTimers - timers]).toEqual([0, 0]);
      expect(log.lines.filter(({ level }) => level !== 'debug' && level !== 'info')).toEqual([]);
      await until(() => hasWholeBudget(port, {}));
    },
  );
});
