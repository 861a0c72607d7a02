/**
 * What one caller can take from the others: limits of users and tools, eviction, handshakes and subscriptions by size.
 */
import { describe, expect, test } from 'vitest';
import type { McpEndpointOptions } from '../../src/index.ts';
import type { RawResponse } from '../kit/raw-response.ts';
import { createLab, say, textOf, tool, toolCall } from '../kit/lab.ts';
import { connectSse, handshake, openSse } from '../kit/legacy-sse.ts';
import { HANDSHAKE } from '../kit/migrating.ts';
import { callModern, postModern } from '../kit/modern.ts';
import { serve, userHeader } from '../kit/serve.ts';
import { sharedStore, useSharedStores } from '../kit/shared-stores.ts';
import { until } from '../kit/until.ts';

useSharedStores();

async function start(options: McpEndpointOptions) {
  const lab = createLab();
  const served = await serve(lab.factory, options, { face: 'node', auth: userHeader });
  const as = (user: string) => served.client({ headers: { 'x-user': user } });
  const open = async (user: string) => {
    const one = as(user);
    await one.initialize();
    return one;
  };
  return { lab, as, open, ...served };
}

const reasonOf = (message: unknown): unknown =>
  (message as { error?: { data?: { reason?: unknown } } }).error?.data?.reason;

const refusalOf = ({ response, message }: { response: RawResponse; message: unknown }): unknown[] => [
  response.status,
  reasonOf(message),
];

describe('limits.perUser', () => {
  test('requests: one more of the same user gets an error, on sessions and without, and other users are served', async () => {
    const { lab, open, as } = await start({ limits: { perUser: { requests: 2 } } });
    const [one, two, bob] = [await open('ann'), await open('ann'), await open('bob')];
    const running = [one.call(...tool('hold')), two.call(...tool('hold'))];
    const holds = [await lab.held(0), await lab.held(1)];
    expect(refusalOf(await one.call(...tool('echo', { text: 'x' })))).toEqual([200, 'user_limit']);
    const modern = await callModern(as('ann'), ...tool('echo', { text: 'x' }));
    expect([...refusalOf(modern), modern.response.header('retry-after')]).toEqual([429, 'user_limit', '1']);
    expect(await say(bob, 'echo', { text: 'bob' })).toBe('bob');
    for (const hold of holds) hold.answer('done');
    await Promise.all(running);
    expect(await say(one, 'echo', { text: 'again' })).toBe('again');
  });

  test('sessions: of many at once exactly as many are opened, and a session that ends makes room', async () => {
    const { as, endpoint, open } = await start({ limits: { perUser: { sessions: 3 } } });
    const clients = Array.from({ length: 12 }, () => as('ann'));
    const answers = await Promise.all(clients.map((one) => one.initialize()));
    const statuses = answers.map(({ response }) => response.status).sort();
    expect(statuses).toEqual([200, 200, 200, ...Array.from({ length: 9 }, () => 429)]);
    expect(endpoint.sessions.count).toBe(3);
    await open('bob');
    await clients.find(({ sessionId }) => sessionId !== undefined)?.delete();
    expect((await as('ann').initialize()).response.status).toBe(200);
    expect((await as('ann').initialize()).response.status).toBe(429);
  });
});

test('limits.perUser.sessions holds when sessions wake and when they migrate here', async () => {
  const { lab, as, open, endpoint } = await start({
    store: sharedStore('sqlite')(),
    hibernateAfterMs: 1,
    limits: { perUser: { sessions: 2 } },
    sessionMigrationHandler: { allowSessionMigration: () => HANDSHAKE },
  });
  const asleep = [await open('ann'), await open('ann')];
  await until(() => endpoint.sessions.count === 0, { timeoutMs: 20_000 });
  const busy = [await open('ann'), await open('ann')];
  const running = busy.map((one) => one.call(...tool('hold')));
  const holds = [await lab.held(0), await lab.held(1)];
  const refused = [];
  for (const one of asleep) refused.push(reasonOf((await one.call('ping')).message));
  for (let n = 0; n < 20; n++) {
    const moved = as('ann');
    moved.sessionId = `moved-${n}`;
    refused.push(reasonOf((await moved.call('ping')).message));
  }
  expect(refused).toEqual(refused.map(() => 'user_limit'));
  expect(endpoint.sessions.count).toBe(2);
  for (const hold of holds) hold.answer('done');
  await Promise.all(running);
  for (const one of asleep) expect((await one.call('ping')).message).toMatchObject({ result: {} });
  expect(endpoint.sessions.count).toBeLessThanOrEqual(2);
});

test('limits.perUser.requestsPerMinute counts initialize, GET and DELETE, and no other user is refused', async () => {
  const { as, open } = await start({ legacySse: true, limits: { perUser: { requestsPerMinute: 3 } } });
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
    refused.push((await eve.get()).status, (await eve.delete()).status, (await eve.get({ path: '/mcp/sse' })).status);
  }
  expect(refused).toEqual(refused.map(() => 429));
  const ping = await bob.call('ping');
  expect(ping.message).toMatchObject({ result: {} });
});

test('limits.perTool: running calls of a tool are counted over sessions, users and eras', async () => {
  const { lab, open, as } = await start({ limits: { perTool: { hold: { requests: 1 } } } });
  const [ann, bob] = [await open('ann'), await open('bob')];
  const running = ann.call(...tool('hold'));
  const hold = await lab.held();
  expect(refusalOf(await bob.call(...tool('hold')))).toEqual([200, 'tool_limit']);
  expect(refusalOf(await callModern(as('eve'), ...tool('hold')))).toEqual([429, 'tool_limit']);
  expect(await say(bob, 'echo', { text: 'other' })).toBe('other');
  hold.answer('done');
  await running;
  const again = bob.call(...tool('hold'));
  (await lab.held(1)).answer('now');
  expect(textOf((await again).message)).toBe('now');
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
    expect(endpoint.sessions.count).toBe(0);
  });

  test('a subscriptions/listen with a long URI, or with URIs of more than 64 KiB, is refused', async () => {
    const { as } = await start({});
    const listen = async (...resourceSubscriptions: string[]) => {
      const ann = as('ann');
      const stream = await postModern(ann, 'subscriptions/listen', { notifications: { resourceSubscriptions } });
      return [stream.status, stream.sse ? '' : (stream.json() as { error: { message: string } }).error.message];
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
  const asks: Record<string, () => Promise<(method: string, params: object) => Promise<unknown>>> = {
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

  test('a long handshake is refused, and its client may send a shorter one', async () => {
    const { ask, lab } = await connect();
    const long = handshake(0);
    Object.assign(long.params.capabilities, LONG_CAPABILITIES);
    expect(await ask(long)).toBe(413);
    expect(lab.made).toEqual([]);
    expect(await ask(handshake(1))).toMatchObject({ id: 1, result: { protocolVersion: '2024-11-05' } });
  });

  test('connections count in limits.perUser.sessions, beside sessions, until they close', async () => {
    const { as, open, stream } = await connect({ limits: { perUser: { sessions: 2 } } });
    await open('ann');
    expect((await as('ann').get({ path: '/mcp/sse' })).status).toBe(429);
    expect((await as('ann').initialize()).response.status).toBe(429);
    expect((await as('bob').get({ path: '/mcp/sse' })).status).toBe(200);
    stream.abort();
    await until(async () => (await as('ann').initialize()).response.status === 200);
  });

  test('a call past limits.requestsPerSession is refused', async () => {
    const { ask, post, lab } = await connect({ limits: { requestsPerSession: 1 } });
    await ask(handshake(0));
    await post(toolCall(1, 'hold'));
    await lab.held();
    expect(await ask(toolCall(2, 'echo', { text: 'x' }))).toMatchObject({
      id: 2,
      error: { data: { reason: 'too_many_requests' } },
    });
  });
});
