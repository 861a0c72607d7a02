/** A hook, factory or server that hangs: its request is answered, and its session and its place are given back. */
import { describe, expect, onTestFinished, test } from 'vitest';
import type {
  LeaveReason,
  McpEndpointContext,
  McpEndpointFactory,
  McpEndpointOptions,
} from '../../src/index.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import type { RawClient } from '../kit/raw-client.ts';
import { serveMember, type Member } from '../kit/fleet.ts';
import { createLab, tool, type Lab } from '../kit/lab.ts';
import { createHandler, HANDSHAKE } from '../kit/migrating.ts';
import { callModern } from '../kit/modern.ts';
import { serve } from '../kit/serve.ts';
import { until } from '../kit/until.ts';
import { gate, watchedStore } from '../kit/watched-store.ts';
import { refusalOf } from '../kit/refusals.ts';
import { hashOf } from '../kit/log.ts';

const LIMIT = 30_000;
const HIBERNATE = 60_000;
const SWEEP = 5_000;

/** Hangs when it is called the first `times` times, until the test is over or lets it go. */
function hanging(times = 1) {
  const hung = gate();
  let calls = 0;
  const hook = async (): Promise<void> => {
    calls += 1;
    if (calls <= times) await hung.hook();
  };
  return {
    hook,
    open: hung.open,
    hangs: () => until(() => hung.waiting === times, { what: 'the hook that hangs' }),
  };
}

type Hanging = ReturnType<typeof hanging>;

const hangingFactory =
  (hung: Hanging, lab: Lab): McpEndpointFactory =>
  async (ctx) => {
    await hung.hook();
    return lab.factory(ctx);
  };

async function onFakeTime(hung: Hanging, factory: McpEndpointFactory, options: McpEndpointOptions) {
  const time = createFakeTime();
  const served = await serve(factory, { timeProvider: time, ...options });
  onTestFinished(hung.open);
  return { time, ...served };
}

/** A lab that also knows which of its servers it was told to close, connected or not. */
function closingLab() {
  const closed = new Set<unknown>();
  const lab = createLab((server) => {
    const close = server.close.bind(server);
    server.close = async () => {
      closed.add(server);
      await close();
    };
  });
  return { ...lab, closed };
}

/** `before`: of a request on a session, which did not run. */
const timeoutOf = (hook: string, before?: 'before') => ({
  code: -32000,
  message: `Service Unavailable: ${hook} did not return within ${LIMIT} ms (hookTimeoutMs); try again`,
  data: { reason: 'hook_timeout', ...(before !== undefined && { mayHaveRun: false }) },
});

interface Case {
  readonly hook: string;
  /** The session is not known yet when it is called. */
  readonly nameless?: true;
  readonly options?: (hung: Hanging, signals: AbortSignal[]) => McpEndpointOptions;
  readonly factory?: (hung: Hanging, lab: Lab) => McpEndpointFactory;
  readonly signals?: number;
  readonly lateConnect?: true;
}

const cases: readonly Case[] = [
  {
    hook: 'the server factory',
    factory: hangingFactory,
  },
  {
    hook: 'configureSessionOptions',
    options: (hung, signals) => ({
      configureSessionOptions: async (_request, _options, signal) => {
        signals.push(signal);
        await hung.hook();
      },
    }),
    signals: 1,
  },
  {
    hook: 'runSessionHandler',
    options: (hung) => ({
      runSessionHandler: async (_request, _session, run) => {
        await hung.hook();
        await run();
      },
    }),
  },
  {
    hook: 'sessionMigrationHandler.onSessionInitialized',
    options: (hung, signals) => ({
      sessionMigrationHandler: {
        allowSessionMigration: () => null,
        onSessionInitialized: async (_request, _id, _params, signal) => {
          signals.push(signal);
          await hung.hook();
        },
      },
    }),
    signals: 1,
  },
  {
    hook: 'sessionIdGenerator',
    nameless: true,
    options: (hung) => ({
      sessionIdGenerator: async () => {
        await hung.hook();
        return crypto.randomUUID();
      },
    }),
  },
  {
    hook: 'the connect() of the server',
    lateConnect: true,
    factory: (hung, lab) => (ctx) => {
      const server = lab.factory(ctx);
      const connect = server.connect.bind(server);
      server.connect = async (transport) => {
        await hung.hook();
        await connect(transport);
      };
      return server;
    },
  },
  {
    hook: 'initialize of the server',
    factory: (hung, lab) => (ctx) => slowToInitialize(lab, ctx, hung),
  },
];

/** A server that does not hear the `initialize` before the hook returns. */
function slowToInitialize(lab: Lab, ctx: McpEndpointContext, hung: Hanging) {
  const server = lab.factory(ctx);
  const connect = server.connect.bind(server);
  server.connect = async (transport) => {
    await connect(transport);
    const { onmessage } = transport;
    transport.onmessage = (message, extra) => {
      if ('method' in message && message.method === 'initialize')
        void hung.hook().then(() => onmessage?.(message, extra));
      else onmessage?.(message, extra);
    };
  };
  return server;
}

describe.each(cases)(
  '$hook that hangs',
  ({ hook, nameless, lateConnect, options, factory, signals = 0 }) => {
    test('is 503 after hookTimeoutMs, leaves nothing behind, and the next initialize is served', async () => {
      const hung = hanging();
      const lab = closingLab();
      const given: AbortSignal[] = [];
      const { time, client, endpoint, log } = await onFakeTime(
        hung,
        factory?.(hung, lab) ?? lab.factory,
        {
          limits: { sessions: 1 },
          ...options?.(hung, given),
        },
      );
      const first = client().initialize();
      await hung.hangs();
      await time.advance(LIMIT - 1);
      expect(given.map(({ aborted }) => aborted)).toEqual(given.map(() => false));
      expect((await client().initialize()).message.error?.data).toEqual({
        reason: 'too_many_sessions',
      });
      await time.advance(1);

      const { response, message } = await first;
      expect(response.status).toBe(503);
      expect(response.header('retry-after')).toBe('1');
      expect(message.error).toEqual(timeoutOf(hook));
      expect(given.map(({ aborted }) => aborted)).toEqual(
        Array.from({ length: signals }, () => true),
      );
      const [line, ...others] = log.matching(/did not return/, 'warn');
      expect(others).toEqual([]);
      expect(line?.fields).toEqual({
        hook,
        sessionId: nameless ? undefined : expect.any(String),
        hookTimeoutMs: LIMIT,
      });
      expect(endpoint.sessions.liveCount).toBe(0);

      expect((await client().initialize()).response.status).toBe(200);
      hung.open();
      await until(() => lab.made.length - lab.closed.size === 1, {
        what: 'one server, of the second',
      });
      // What connected late is closed once more.
      if (lateConnect)
        await until(() => lab.made[0]?.closed, { what: 'the connection of the first' });
      expect(endpoint.sessions.liveCount).toBe(1);
    });
  },
);

test('a runSessionHandler that calls run() too late hears that its session left', async () => {
  const hung = hanging();
  const reasons: LeaveReason[] = [];
  const { time, client } = await onFakeTime(hung, createLab().factory, {
    runSessionHandler: async (_request, _session, run) => {
      await hung.hook();
      reasons.push(await run());
    },
  });
  const first = client().initialize();
  await hung.hangs();
  await time.advance(LIMIT);
  expect((await first).response.status).toBe(503);
  hung.open();
  await until(() => reasons.length === 1);
  expect(reasons).toEqual(['closed']);
});

test('an allowSessionMigration that hangs is refused, its signal aborts, and the next request moves the session', async () => {
  const hung = hanging();
  const { handler, table } = createHandler();
  const signals: AbortSignal[] = [];
  const { time, client, log } = await onFakeTime(hung, createLab().factory, {
    maxWaitMs: 0,
    sessionMigrationHandler: {
      ...handler,
      allowSessionMigration: async (request, id, signal) => {
        signals.push(signal);
        await hung.hook();
        return handler.allowSessionMigration(request, id, signal);
      },
    },
  });
  table.set('moved-1', HANDSHAKE);
  const moved = client();
  moved.sessionId = 'moved-1';
  moved.protocolVersion = HANDSHAKE.protocolVersion;
  const first = moved.call('ping');
  await hung.hangs();
  await time.advance(LIMIT);
  expect(refusalOf((await first).response)).toBe('hook_timeout');
  expect((await first).message.error).toEqual(
    timeoutOf('sessionMigrationHandler.allowSessionMigration', 'before'),
  );
  expect(signals.map(({ aborted }) => aborted)).toEqual([true]);
  expect(log.matching(/did not return/).map(({ fields }) => fields['sessionId'])).toEqual([
    hashOf('moved-1'),
  ]);
  expect((await moved.call('ping')).response.status).toBe(200);
});

test('a factory that hangs for a request of 2026-07-28, or one without a session, is 503', async () => {
  for (const sessionMode of ['hybrid', 'stateless'] as const) {
    const hung = hanging();
    const lab = createLab();
    const options = { sessionMode, responseMode: 'json' } as const;
    const { time, client } = await onFakeTime(hung, hangingFactory(hung, lab), options);
    const ask = () =>
      sessionMode === 'hybrid' ? callModern(client(), 'tools/list') : client().call('ping');
    const first = ask();
    await hung.hangs();
    await time.advance(LIMIT);
    expect((await first).response.status).toBe(503);
    expect((await first).message.error).toEqual(timeoutOf('the server factory'));
    expect((await ask()).response.status).toBe(200);
  }
});

test('a scope check that hangs is refused, and its tool does not run, not even when the check ends late', async () => {
  const hung = hanging();
  let ran = 0;
  const lab = createLab((server) => {
    const scopeChallenge = async (): Promise<undefined> => {
      await hung.hook();
      return undefined;
    };
    server.registerTool('guarded', { description: 'Counts', scopeChallenge }, () => {
      ran += 1;
      return { content: [] };
    });
  });
  const { time, openSession, log } = await onFakeTime(hung, lab.factory, {});
  const one = await openSession();
  const first = one.call(...tool('guarded'));
  await hung.hangs();
  await time.advance(LIMIT);
  expect(refusalOf((await first).response)).toBe('hook_timeout');
  expect((await first).message.error).toEqual(timeoutOf('the scope check', 'before'));
  expect(log.matching(/did not return/).map(({ fields }) => fields['sessionId'])).toEqual([
    hashOf(one.sessionId),
  ]);
  hung.open();
  expect((await one.call(...tool('guarded'))).message.error).toBeUndefined();
  expect(ran).toBe(1);
});

test('hookTimeoutMs: Infinity sets no limit', async () => {
  const hung = hanging();
  const lab = createLab();
  const { time, client } = await onFakeTime(hung, hangingFactory(hung, lab), {
    hookTimeoutMs: Infinity,
  });
  const first = client().initialize();
  await hung.hangs();
  await time.advance(3_600_000);
  hung.open();
  expect((await first).response.status).toBe(200);
});

/** What hangs while a session is restored. */
const restores: ReadonlyArray<
  [hook: string, factory: (hung: Hanging, lab: Lab) => McpEndpointFactory]
> = [
  [
    'the server factory',
    (hung, lab) => (ctx) => (ctx.restored ? hangingFactory(hung, lab)(ctx) : lab.factory(ctx)),
  ],
  [
    'initialize of the server',
    (hung, lab) => (ctx) => (ctx.restored ? slowToInitialize(lab, ctx, hung) : lab.factory(ctx)),
  ],
];

describe.each(restores)('at a restore, %s that hangs once', (hook, factory) => {
  /** A session that sleeps in a store of two instances. */
  async function asleep(given: McpEndpointOptions = {}) {
    const hung = hanging();
    const time = createFakeTime();
    const store = watchedStore({ durable: true });
    const options = {
      timeProvider: time,
      hibernateAfterMs: HIBERNATE,
      idleTimeoutMs: 10 * HIBERNATE,
      store,
      ...given,
    };
    const labs = [closingLab(), closingLab()];
    const members: Member[] = [];
    for (const lab of labs)
      members.push(
        await serveMember(options, undefined, {
          ...lab,
          factory: factory(hung, lab) as Lab['factory'],
        }),
      );
    onTestFinished(hung.open);
    const [a, b] = members as [Member, Member];
    const client = await a.openSession();
    await time.advance(HIBERNATE + SWEEP);
    await until(() => a.endpoint.sessions.liveCount === 0, { what: 'hibernated' });
    return { a, b, client, other: b.join(client), time, hung, store, labs };
  }

  async function hangs(
    { client, time, hung }: Awaited<ReturnType<typeof asleep>>,
    whileHung = (): void => {},
  ) {
    const first = client.call('ping');
    await hung.hangs();
    whileHung();
    await time.advance(LIMIT);
    const { response, message } = await first;
    expect(refusalOf(response)).toBe('hook_timeout');
    expect(message.error).toEqual(timeoutOf(hook, 'before'));
  }

  const status = async (client: RawClient): Promise<number> =>
    (await client.call('ping')).response.status;

  test('is asked again for the request that waits for it', async () => {
    const { client, time, hung, a } = await asleep();
    const waiting = status(client);
    await hung.hangs();
    await time.advance(LIMIT);
    expect(await waiting).toBe(200);
    expect(a.log.matching(/did not return/, 'warn').length).toBe(1);
  });

  test('does not keep the next request from being served here', async () => {
    const sleeping = await asleep({ maxWaitMs: 0 });
    await hangs(sleeping);
    expect(await status(sleeping.client)).toBe(200);
    const lines = sleeping.a.log.matching(/did not return/, 'warn');
    expect(lines.map(({ fields }) => fields['sessionId'])).toEqual([
      hashOf(sleeping.client.sessionId),
    ]);
  });

  test('nor on another instance, and what still returns is closed', async () => {
    const sleeping = await asleep({ maxWaitMs: 0 });
    await hangs(sleeping);
    expect(await status(sleeping.other)).toBe(200);
    sleeping.hung.open();
    const [here] = sleeping.labs;
    await until(() => here?.made.length === 2 && here.closed.size === 2, { what: 'all closed' });
    expect(sleeping.a.endpoint.sessions.liveCount).toBe(0);
    expect(await status(sleeping.other)).toBe(200);
  });

  test('nor a DELETE that waits for it', async () => {
    const sleeping = await asleep({ maxWaitMs: 0 });
    let deleted: Promise<{ status: number }> | undefined;
    await hangs(sleeping, () => {
      deleted = sleeping.client.delete();
    });
    expect((await deleted)?.status).toBe(200);
    expect(await status(sleeping.other)).toBe(404);
  });
});
