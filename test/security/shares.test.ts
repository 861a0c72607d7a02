/**
 * What one caller can take from the others: by default half of the places that are free, whatever it sends
 * (`limits.userShare`); limits of users and tools; handshakes and subscriptions by size.
 */
import { describe, expect, test } from 'vitest';
import type { McpEndpointOptions } from '../../src/index.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import { serveFleet } from '../kit/fleet.ts';
import type { RawClient } from '../kit/raw-client.ts';
import type { RawResponse } from '../kit/raw-response.ts';
import { createLab, say, textOf, tool, toolCall } from '../kit/lab.ts';
import { connectSse, handshake, openSse } from '../kit/legacy-sse.ts';
import { perSession } from '../kit/making-servers.ts';
import { HANDSHAKE } from '../kit/migrating.ts';
import { callModern, postModern } from '../kit/modern.ts';
import { later } from '../kit/moving-time.ts';
import { bothFaces, serve, userHeader } from '../kit/serve.ts';
import { sharedStore, storeKinds, useSharedStores } from '../kit/shared-stores.ts';
import { until } from '../kit/until.ts';
import { gate, watchedStore } from '../kit/watched-store.ts';
import { times } from './small-heap.ts';

useSharedStores();

async function start(options: McpEndpointOptions, isPerSession = false) {
  const lab = createLab();
  const given = isPerSession ? perSession(lab.factory) : lab.factory;
  const served = await serve(given, options, { face: 'node', auth: userHeader });
  const as = (user: string) => served.client({ headers: { 'x-user': user }, timeoutMs: 30_000 });
  const open = async (user: string) => {
    const one = as(user);
    await one.initialize();
    return one;
  };
  return { lab, as, open, ...served };
}

const reasonOf = (message: unknown): unknown =>
  (message as { error?: { data?: { reason?: unknown } } }).error?.data?.reason;

const refusalOf = ({
  response,
  message,
}: {
  response: RawResponse;
  message: unknown;
}): unknown[] => [response.status, reasonOf(message)];

describe('limits.perUser', () => {
  test('requests: one more of the same user gets an error, on sessions and without, and other users are served', async () => {
    const { lab, open, as } = await start({ limits: { perUser: { requests: 2 } } });
    const [one, two, bob] = [await open('ann'), await open('ann'), await open('bob')];
    const running = [one.call(...tool('hold')), two.call(...tool('hold'))];
    const holds = [await lab.held(0), await lab.held(1)];
    expect(refusalOf(await one.call(...tool('echo', { text: 'x' })))).toEqual([200, 'user_limit']);
    const modern = await callModern(as('ann'), ...tool('echo', { text: 'x' }));
    expect([...refusalOf(modern), modern.response.header('retry-after')]).toEqual([
      429,
      'user_limit',
      '1',
    ]);
    expect(await say(bob, 'echo', { text: 'bob' })).toBe('bob');
    for (const hold of holds) hold.answer('done');
    await Promise.all(running);
    expect(await say(one, 'echo', { text: 'again' })).toBe('again');
  });

  test('sessions: past it the one that is idle longest ends, and only without an idle one the next is refused', async () => {
    const limits = { perUser: { sessions: 3 } };
    const { as, endpoint, lab, open } = await start({ legacySse: true, limits });
    const ended: unknown[] = [];
    endpoint.notices.on('sessionEnded', ({ sessionId, reason }) => ended.push([sessionId, reason]));
    const status = async () => (await as('ann').initialize()).response.status;
    const [used, unused, reading] = [await open('ann'), await open('ann'), await open('ann')];
    const stream = await reading.get();
    expect(await say(used, 'echo', { text: 'x' })).toBe('x');
    const next = await open('ann');
    expect(ended).toEqual([[unused.sessionId, 'user_limit']]);
    expect((await unused.call('ping')).response.status).toBe(404);
    const running = [used, next].map((one) => one.call(...tool('hold')));
    const holds = [await lab.held(0), await lab.held(1)];
    const { response, message } = await as('ann').initialize();
    expect([response.status, reasonOf(message), response.header('retry-after')]).toEqual([
      429,
      'user_limit',
      '1',
    ]);
    await open('bob');
    holds[0]?.answer('done');
    await running[0];
    // Its connection reads, so it is never idle.
    const legacy = await connectSse(as('ann'), '/mcp/sse');
    await legacy.post(handshake(0));
    expect(await legacy.stream.nextMessage()).toMatchObject({ id: 0, result: {} });
    expect(ended.slice(1)).toEqual([[used.sessionId, 'user_limit']]);
    expect(await status()).toBe(429);
    legacy.stream.abort();
    await until(async () => (await status()) === 200);
    stream.abort();
    holds[1]?.answer('done');
    await Promise.all(running);
    const many = await Promise.all(Array.from({ length: 20 }, status));
    expect(new Set(many)).toEqual(new Set([200]));
    expect(endpoint.sessions.liveCount).toBe(4);
  });
});

test('a session past limits.perUser.sessions costs the same at every limit: the store names 16 sessions at most', async () => {
  const store = watchedStore();
  const { open, endpoint } = await start({ store, limits: { perUser: { sessions: 40 } } });
  for (let n = 0; n < 60; n++) await open('ann');
  expect(endpoint.sessions.liveCount).toBe(40);
  const called = (name: string) => store.calls.filter(({ call }) => call === `sessions.${name}`);
  const asked = called('oldest').map(({ args }) => Number(args[1]));
  expect([asked.length, Math.max(...asked), called('read').length]).toEqual([20, 16, 0]);
});

test('limits.perUser.sessions: no session takes the place of one whose client has no answer yet', async () => {
  const store = watchedStore();
  const { as, open } = await start({ store, limits: { perUser: { sessions: 1 } } });
  const storing = gate();
  store.before['sessions.append'] = storing.hook;
  const first = open('ann');
  await until(() => storing.waiting === 1, { what: 'the answer of the first one is being stored' });
  expect((await as('ann').initialize()).response.status).toBe(429);
  storing.open();
  const client = await first;
  expect(await say(client, 'echo', { text: 'x' })).toBe('x');
  delete store.before['sessions.append'];
  expect((await as('ann').initialize()).response.status).toBe(200);
  expect((await client.call('ping')).response.status).toBe(404);
});

test('limits.perUser.sessions counts sessions that hibernate, and those that migrate here', async () => {
  const time = createFakeTime();
  const { lab, as, open, endpoint } = await start({
    store: sharedStore('sqlite')(),
    timeProvider: time,
    leaseMs: 3_600_000,
    hibernateAfterMs: 1,
    limits: { perUser: { sessions: 2 } },
    sessionMigrationHandler: { allowSessionMigration: () => HANDSHAKE },
  });
  const first = await open('ann');
  await time.advance(1_000);
  const second = await open('ann');
  await later(time, () => endpoint.sessions.liveCount === 0);
  const third = await open('ann');
  expect((await first.call('ping')).response.status).toBe(404);
  const running = [second, third].map((one) => one.call(...tool('hold')));
  const holds = [await lab.held(0), await lab.held(1)];
  const moved = as('ann');
  moved.sessionId = 'moved';
  expect(reasonOf((await moved.call('ping')).message)).toBe('user_limit');
  for (const hold of holds) hold.answer('done');
  await Promise.all(running);
  expect((await moved.call('ping')).message).toMatchObject({ result: {} });
  const left = await Promise.all(
    [second, third].map(async (one) => (await one.call('ping')).response.status),
  );
  expect(left.sort()).toEqual([200, 404]);
});

test.each(storeKinds)('limits.perUser.sessions holds over all instances, on %s', async (kind) => {
  const settings = { face: 'node', auth: userHeader } as const;
  const options = {
    store: sharedStore(kind),
    limits: { perUser: { sessions: 4 } },
    eventRetention: false,
  } as const;
  const members = await serveFleet(2, options, [settings, settings]);
  const [one, other] = members;
  const as = { headers: { 'x-user': 'ann' } };
  const ended: unknown[] = [];
  for (const { endpoint } of members)
    endpoint.notices.on('sessionEnded', ({ reason }) => ended.push(reason));
  for (let n = 0; n < 4; n++) await one.openSession({}, as);
  // It has none of its own yet: the instance that has them all is asked.
  expect((await other.client(as).initialize()).response.status).toBe(200);
  expect(ended).toEqual(['user_limit']);
  const openMany = async ({ client }: typeof one) => {
    for (let n = 0; n < 15; n++) expect((await client(as).initialize()).response.status).toBe(200);
  };
  await Promise.all(members.map(openMany));
  const count = () => one.endpoint.sessions.liveCount + other.endpoint.sessions.liveCount;
  expect(count()).toBeLessThanOrEqual(5);
});

test('limits.perUser.requestsPerMinute counts initialize, GET and DELETE, and no other user is refused', async () => {
  const { as, open } = await start({
    legacySse: true,
    limits: { perUser: { requestsPerMinute: 3 } },
  });
  const bob = await open('bob');
  const opened = await Promise.all(
    Array.from({ length: 40 }, async () => (await as('eve').initialize()).response.status),
  );
  expect(opened.filter((status) => status === 200)).toHaveLength(3);
  expect(opened.filter((status) => status === 429)).toHaveLength(37);
  const refused: number[] = [];
  for (let n = 0; n < 20; n++) {
    const eve = as('eve');
    eve.sessionId = 'unknown';
    refused.push(
      (await eve.get()).status,
      (await eve.delete()).status,
      (await eve.get({ path: '/mcp/sse' })).status,
    );
  }
  expect(refused).toEqual(refused.map(() => 429));
  const ping = await bob.call('ping');
  expect(ping.message).toMatchObject({ result: {} });
});

const LONG_CAPABILITIES = { experimental: { big: { text: 'x'.repeat(17_000) } } };

/** Of 8 KiB, the longest. */
const longUri = (n: number): string => `note://${n}/`.padEnd(8_192, 'u');

describe('by size', () => {
  test('a long handshake, or one of many keys, gets 413, and opens nothing', async () => {
    const { as, endpoint } = await start({});
    const { response, message } = await as('ann').initialize({ capabilities: LONG_CAPABILITIES });
    expect([response.status, reasonOf(message)]).toEqual([413, 'handshake_too_large']);
    const experimental = Object.fromEntries(Array.from({ length: 512 }, (_, n) => [`k${n}`, {}]));
    const many = await as('ann').initialize({ capabilities: { experimental } });
    expect([many.response.status, many.message.error?.message]).toEqual([
      413,
      expect.stringContaining('may have 512 keys and objects'),
    ]);
    expect(endpoint.sessions.liveCount).toBe(0);
  });

  test('a subscriptions/listen with a long URI, or with URIs of more than 64 KiB, is refused', async () => {
    const { as } = await start({});
    const listen = async (...resourceSubscriptions: string[]) => {
      const ann = as('ann');
      const stream = await postModern(ann, 'subscriptions/listen', {
        notifications: { resourceSubscriptions },
      });
      return [
        stream.status,
        stream.sse ? '' : (stream.json() as { error: { message: string } }).error.message,
      ];
    };
    const eight = Array.from({ length: 8 }, (_, n) => longUri(n));
    expect(await listen(`${longUri(0)}u`)).toEqual([400, expect.stringContaining('8192 bytes')]);
    expect(await listen(...eight, '')).toEqual([400, expect.stringContaining('65536 bytes')]);
    expect(await listen(...eight)).toEqual([200, '']);
    // A short URI counts 64 bytes, also where it is there already.
    const short = Array.from({ length: 1_024 }, () => '');
    expect(await listen(...short, '')).toEqual([400, expect.stringContaining('65536 bytes')]);
    expect(await listen(...short)).toEqual([200, '']);
  });

  /** Sends a request of Ann, on a session or on a connection of the 2024-11-05 transport. */
  const asks: Record<string, () => Promise<(method: string, params: object) => Promise<unknown>>> =
    {
      'a session': async () => {
        const ann = await (await start({})).open('ann');
        return async (method, params) => (await ann.call(method, params)).message;
      },
      '2024-11-05': async () => {
        const { stream, post } = await openSse((await start({ legacySse: true })).as('ann'));
        return async (method, params) => {
          expect((await post({ jsonrpc: '2.0', id: 1, method, params })).status).toBe(202);
          return stream.nextMessage();
        };
      },
    };

  test.each(Object.entries(asks))(
    'on %s a long URI, and URIs of more than 64 KiB, are refused; the session lives on',
    async (_on, open) => {
      const ask = await open();
      const subscribe = (uri: string) => ask('resources/subscribe', { uri });
      expect(await subscribe(`${longUri(0)}u`)).toMatchObject({ error: { code: -32600 } });
      for (let n = 0; n < 8; n++) expect(await subscribe(longUri(n))).toMatchObject({ result: {} });
      expect(await subscribe(longUri(7))).toMatchObject({ result: {} });
      expect(await subscribe(longUri(8))).toMatchObject({
        error: { code: -32602, message: expect.stringContaining('65536 bytes') },
      });
      await ask('resources/unsubscribe', { uri: longUri(1) });
      expect(await subscribe(longUri(8))).toMatchObject({ result: {} });
    },
  );
});

describe('the 2024-11-05 transport has the same limits', () => {
  const connect = async (options: McpEndpointOptions = {}) => {
    const served = await start({ legacySse: true, ...options });
    const { stream, post } = await connectSse(served.as('ann'), '/mcp/sse');
    const ask = async (message: object) => {
      const { status } = await post(message);
      return status === 202 ? stream.nextMessage() : status;
    };
    return { ...served, ask, stream, post };
  };

  test(
    'a long handshake is refused, and ends its connection',
    { tags: ['per-session'] },
    async () => {
      const { ask, lab, stream } = await connect();
      const long = handshake(0);
      Object.assign(long.params.capabilities, LONG_CAPABILITIES);
      expect(await ask(long)).toMatchObject({
        id: 0,
        error: { data: { reason: 'handshake_too_large' } },
      });
      expect(await stream.ended).toBe('complete');
      expect(lab.made).toEqual([]);
    },
  );

  test('a call past limits.requestsPerSession is refused', async () => {
    const { ask, post, lab } = await connect({ maxWaitMs: 0, limits: { requestsPerSession: 1 } });
    await ask(handshake(0));
    await post(toolCall(1, 'hold'));
    await lab.held();
    expect(await ask(toolCall(2, 'echo', { text: 'x' }))).toMatchObject({
      id: 2,
      error: { data: { reason: 'too_many_requests' } },
    });
  });
});

// ——— limits.userShare ———

const opened = async (client: RawClient): Promise<number> =>
  (await client.initialize()).response.status;
const echo = tool('echo', { text: 'served' });

test('calls without a session: 200 of a slow tool take half of limits.sessionlessRequests, and the next user is served', async () => {
  const { lab, as } = await start({ limits: { sessionlessRequests: 20 } });
  const eve = as('eve');
  const answers = Array.from({ length: 200 }, () => callModern(eve, ...tool('hold')));
  await lab.held(9);
  const bob = await callModern(as('bob'), ...echo);
  expect(textOf(bob.message)).toBe('served');
  const refused = await callModern(eve, ...echo);
  expect([
    refused.response.status,
    refused.response.header('retry-after'),
    refused.message.error,
  ]).toEqual([
    503,
    '1',
    expect.objectContaining({
      message:
        'Service Unavailable: this user has its share of 20 places (limits.sessionlessRequests, limits.userShare)',
    }),
  ]);
  await until(() => lab.holds.length >= 10);
  expect(lab.holds).toHaveLength(10);
  for (const hold of lab.holds) hold.answer('done');
  await Promise.all(answers);
  expect(textOf((await callModern(eve, ...echo)).message)).toBe('served');
});

test('sessions of the memory store: one user opens half of limits.sessions, and each next user half of the rest', async () => {
  const { as, endpoint } = await start({ limits: { sessions: 16 }, legacySse: true });
  const clients = Array.from({ length: 60 }, () => as('eve'));
  const statuses = await Promise.all(clients.map(opened));
  expect(statuses.filter((status) => status === 200)).toHaveLength(8);
  const { message } = await as('eve').initialize();
  expect(message.error?.message).toBe(
    'Service Unavailable: this user has its share of 16 places (limits.sessions, limits.userShare)',
  );
  expect((await as('eve').get({ path: '/mcp/sse' })).status).toBe(503);
  for (let n = 0; n < 4; n++) expect(await opened(as('bob'))).toBe(200);
  expect(await opened(as('bob'))).toBe(503);
  expect((await connectSse(as('joe'), '/mcp/sse')).stream.status).toBe(200);
  expect(endpoint.sessions.liveCount).toBe(12);
  await clients.find(({ sessionId }) => sessionId !== undefined)?.delete();
  // What Bob holds is not free for Eve.
  expect(await opened(as('eve'))).toBe(503);
  expect(await opened(as('joe'))).toBe(200);
});

test('sessions of a durable store: a user past its share loses its own idle ones, and no user is shut out', async () => {
  const { lab, as, endpoint } = await start(
    { store: sharedStore('sqlite')(), limits: { sessions: 16 } },
    true,
  );
  const bob = as('bob');
  await bob.initialize();
  for (let n = 0; n < 40; n++) expect(await opened(as('eve'))).toBe(200);
  expect(endpoint.sessions.liveCount).toBe(9);
  expect(lab.made.filter(({ closed }) => closed)).toHaveLength(32);
  // None is free any more for the last of them: those who have more make room.
  for (let n = 0; n < 20; n++) expect(await opened(as(`user ${n}`))).toBe(200);
  expect(endpoint.sessions.liveCount).toBe(16);
  expect((await bob.call(...echo)).response.status).toBe(200);
});

test('subscriptions/listen: one user opens half of limits.subscriptions, also past limits.perUser', async () => {
  const limits = { subscriptions: 8, perUser: { subscriptions: 100 } };
  const { as } = await start({ limits });
  const listen = (user: string) =>
    postModern(as(user), 'subscriptions/listen', { notifications: { toolsListChanged: true } });
  const statuses = [];
  for (let n = 0; n < 20; n++) statuses.push((await listen('eve')).status);
  expect(statuses.filter((status) => status === 200)).toHaveLength(4);
  expect((await listen('eve')).json()).toMatchObject({
    error: { message: expect.stringContaining('(limits.subscriptions, limits.userShare)') },
  });
  expect((await listen('bob')).status).toBe(200);
});

test('the calls of a tool: those of both eras are one count, and relayed ones count at the owner for their own user', async () => {
  const limits = { perTool: { hold: { requests: 4 } } };
  const settings = { face: 'node', auth: userHeader } as const;
  const [owner, other] = await serveFleet(2, { limits }, [settings, settings]);
  const open = async (user: string) => {
    const client = await owner.openSession({}, { headers: { 'x-user': user } });
    return other.join(client, { headers: { 'x-user': user } });
  };
  const [eve, again, bob] = [await open('eve'), await open('eve'), await open('bob')];
  const running = [eve.call(...tool('hold')), again.call(...tool('hold'))];
  await owner.lab.held(1);
  const refused = await again.call(...tool('hold'));
  expect(refused.message.error?.message).toContain(
    'the tool "hold" (limits.perTool, limits.userShare)',
  );
  const modern = await callModern(owner.client({ headers: { 'x-user': 'eve' } }), ...tool('hold'));
  expect(refusalOf(modern)).toEqual([429, 'tool_limit']);
  running.push(bob.call(...tool('hold')));
  await owner.lab.held(2);
  expect(owner.lab.holds.length).toBeLessThanOrEqual(3);
  for (const hold of owner.lab.holds) hold.answer('done');
  await Promise.all(running);
});

test('calls that one user leaves running on many sessions count in its share of the memory', async () => {
  const { lab, as } = await start({ limits: { memoryBytes: 2 * 1_048_576 } });
  const body = (id: number) => ({
    jsonrpc: '2.0',
    id,
    method: 'tools/call',
    params: tool('hold')[1],
  });
  let refused = 0;
  for (let n = 0; n < 5; n++) {
    const eve = as('eve');
    await eve.initialize();
    await times(60, 20, async (at) => {
      const response = await eve.post(body(at + 10));
      // Its client may resume, so it continues without a connection.
      if (response.sse) await response.next();
      else refused += 1;
      response.abort();
    });
  }
  // Each takes 12 KiB and more of 1.25 MiB: small requests use the reserve.
  expect(lab.holds.length).toBeLessThan(128);
  expect(lab.holds.length + refused).toBe(300);
  expect(textOf((await callModern(as('bob'), ...echo)).message)).toBe('served');
  for (const hold of lab.holds) hold.answer('done');
});

test('the long answers of one user drop none of another from the event log (memory store)', async () => {
  const { lab, as } = await start({ limits: { eventLogBytes: 1_000_000 } });
  const bob = as('bob');
  await bob.initialize();
  const call = await bob.post(toolCall(1, 'hold'));
  const { id } = await call.next();
  call.abort();
  (await lab.held()).answer('missed');
  // 3 MB in 30 sessions.
  for (let n = 0; n < 30; n++) {
    const eve = as('eve');
    await eve.initialize();
    await eve.call(...tool('echo', { text: 'x'.repeat(100_000) }));
    if (n % 2 === 0) await eve.delete();
  }
  expect(textOf(await (await bob.get({ lastEventId: id })).nextMessage())).toBe('missed');
});

test.each(bothFaces)(
  'callers without a user share by the address of their connection, over %s',
  async (face) => {
    const { client, endpoint, log } = await serve(
      createLab().factory,
      { limits: { sessions: 8 } },
      { face },
    );
    const from = async (address: string): Promise<number> => opened(client({ from: address }));
    const other = client({ from: '127.0.0.3' });
    expect(await opened(other)).toBe(200);
    const streams = [];
    // What one address has past its share takes the place of its own idle sessions, of no other's.
    for (let n = 0; n < 20; n++) {
      const one = client({ from: '127.0.0.2' });
      expect(await opened(one)).toBe(200);
      if (n > 15) streams.push(await one.get());
    }
    expect(endpoint.sessions.liveCount).toBe(5);
    expect((await other.call('ping')).response.status).toBe(200);
    expect(log.matching(/^A session was ended for its user's limit/)).toMatchObject([
      { fields: { share: '127.0.0.2', limit: 'limits.sessions, limits.userShare' } },
    ]);
    expect(await from('127.0.0.2')).toBe(503);
    expect(await from('127.0.0.4')).toBe(200);
    for (const stream of streams) stream.abort();
  },
);
