import { describe, expect, test } from 'vitest';
import type { RawClient } from '../../kit/raw-client.ts';
import type { RawResponse } from '../../kit/raw-response.ts';
import { memory } from '../../../src/stores/memory/index.ts';
import { type FleetOptions, serveFleet, serveMember } from '../../kit/fleet.ts';
import { say, textOf, tool, toolCall } from '../../kit/lab.ts';
import { handshake } from '../../kit/legacy-sse.ts';
import type { ServeSettings } from '../../kit/serve.ts';
import { sharedStore, storeKinds, useSharedStores } from '../../kit/shared-stores.ts';
import { refusalOf } from '../../kit/refusals.ts';

useSharedStores();

const MIB = 2 ** 20;
const SLOW = { timeoutMs: 30_000 };

const hold = (client: RawClient, id: number): Promise<RawResponse> =>
  client.post(toolCall(id, 'hold'));

describe.each(storeKinds)('on the store %s', (kind) => {
  /** `a` owns the session of `onA`; `onB` and `onC` speak in it through the others. */
  async function threeInstances(
    options: FleetOptions = {},
    settings: ServeSettings[] = [],
    initialize = {},
  ) {
    const [a, b, c] = await serveFleet(3, { store: sharedStore(kind), ...options }, settings);
    const onA = await a.openSession({ capabilities: { elicitation: { form: {} } }, ...initialize });
    return { a, b, c, onA, onB: b.join(onA), onC: c.join(onA) };
  }

  describe.each([
    ['node', 'fetch'],
    ['fetch', 'node'],
  ] as const)('from the %s face to the %s face', (relayingFace, owningFace) => {
    const settings = [{ face: owningFace }, { face: relayingFace }];

    test('a POST is answered by the instance where the session lives', async () => {
      const { a, b, onA, onB } = await threeInstances({}, settings);
      expect(await say(onA, 'count')).toBe('1');
      const { response, message } = await onB.call(...tool('count'));
      expect([response.status, response.header('mcp-session-id'), textOf(message)]).toEqual([
        200,
        onA.sessionId,
        '2',
      ]);
      expect((await onB.notify('notifications/roots/list_changed')).status).toBe(202);
      expect([a.lab.made.length, b.lab.made.length]).toEqual([1, 0]);
      expect([a.endpoint.sessions.liveCount, b.endpoint.sessions.liveCount]).toEqual([1, 0]);
    });

    test('the client reads the same bytes', async () => {
      const { onA, onB } = await threeInstances({}, settings);
      const bytes = async (client: RawClient) => {
        const response = await client.post(toolCall(99, 'log'));
        await response.untilEnd();
        // A relayed answer may leave event by event, and then its head tells proxies not to hold it back.
        const heads = ['content-type', 'cache-control', 'mcp-session-id'];
        // What counts streams in an event id is the one thing that differs from one call to the next.
        return [
          response.status,
          heads.map((name) => response.headers(name)),
          response.body.replaceAll(/-p\w+-/g, '-p-'),
        ];
      };
      expect(await bytes(onB)).toEqual(await bytes(onA));
    });
  });

  test('what a session refuses, it refuses through any instance', async () => {
    const { a, onA, onB } = await threeInstances({
      limits: { requestsPerSession: 1 },
      maxWaitMs: 0,
    });
    const stream = await hold(onA, 1);
    const call = await a.lab.held();
    const twice = await onB.post({ jsonrpc: '2.0', id: 1, method: 'ping' });
    expect(refusalOf(twice, 1)).toBe('request_id_in_flight');
    expect(twice.json()).toMatchObject({ error: { code: -32600 } });
    const tooMany = await onB.post({ jsonrpc: '2.0', id: 2, method: 'tools/list' });
    expect(refusalOf(tooMany, 2)).toBe('too_many_requests');
    expect(tooMany.json()).toMatchObject({
      error: { code: -32000, data: { reason: 'too_many_requests' } },
    });
    const version = await onB.call('ping', undefined, { version: '2025-06-18' });
    expect([version.response.status, version.message.error?.code]).toEqual([400, -32600]);
    const again = await onB.call('initialize', handshake(0, '2025-11-25').params);
    expect([refusalOf(again.response), again.message.error?.code]).toEqual([
      'already_initialized',
      -32600,
    ]);
    call.answer('done');
    await stream.untilEnd();
  });

  test('an answer in JSON, and a batch, are relayed as they are', async () => {
    const json = await threeInstances({ responseMode: 'json' });
    const { response, message } = await json.onB.call(...tool('count'));
    expect([response.header('content-type'), textOf(message)]).toEqual(['application/json', '1']);
    const batching = await threeInstances({}, [], { protocolVersion: '2025-03-26' });
    const batch = await batching.onB.post([
      toolCall('x', 'count'),
      { jsonrpc: '2.0', method: 'notifications/roots/list_changed' },
      toolCall('y', 'echo', { text: 'y' }),
    ]);
    await batch.untilEnd();
    expect(
      new Map(batch.events.map(({ message: one }) => [(one as { id: string }).id, textOf(one)])),
    ).toEqual(
      new Map([
        ['x', '1'],
        ['y', 'y'],
      ]),
    );
  });

  test('a relayed request keeps the headers that relayedHeaders names, and has no node pair', async () => {
    const { a, onA, onB } = await threeInstances({ relayedHeaders: ['X-Tenant'] });
    for (const client of [onA, onB]) {
      const called = client.call(...tool('hold'), { headers: { 'x-tenant': 'blue' } });
      const { ctx, answer } = await a.lab.held(client === onA ? 0 : 1);
      const request: (Request & { node?: object }) | undefined = ctx.http?.req;
      expect(request?.headers.get('x-tenant')).toBe('blue');
      expect(request?.node === undefined).toBe(client === onB);
      answer('done');
      await called;
    }
  });

  test('a call whose authInfo JSON cannot hold fails alone', async () => {
    const verify = async (token: string) => {
      const extra = { sub: token, row: token === 'ann' ? 1n : 1 };
      return { token, clientId: 'c', scopes: [], expiresAt: Infinity, extra };
    };
    const [a, b] = await serveFleet(2, { store: sharedStore(kind), auth: { verify } });
    const [ann, bob] = await Promise.all(
      ['ann', 'bob'].map(async (token) => {
        const headers = { authorization: `Bearer ${token}` };
        return b.join(await a.openSession({}, { headers }), { headers });
      }),
    );
    const [refused, served] = await Promise.all([
      ann?.call(...tool('count')),
      bob?.call(...tool('count')),
    ]);
    expect([refused?.response.status, textOf(served?.message)]).toEqual([500, '1']);
    const [line] = b.log.matching(/^A request could not be served/, 'error');
    expect(String(line?.fields['err'])).toMatch(/what JSON cannot hold/);
  });

  test('an open GET through another instance keeps the session in use', async () => {
    const { a, onA, onB } = await threeInstances({ maxIdleSessionCount: 1 });
    const stream = await onB.get();
    const other = await a.openSession();
    const third = a.client();
    await third.initialize(); // the session that is read does not count
    expect((await a.endpoint.sessions.get(other.sessionId ?? ''))?.status ?? 'ended').toMatch(
      /ended|hibernated/,
    );
    expect((await onA.call('ping')).response.status).toBe(200);
    expect(stream.ending).toBeUndefined();
  });
});

test('a body counts at the owner too, until its call is answered: what finds no room there is refused', async () => {
  const store = memory();
  // Room for one of these, of which a byte counts as four.
  const limits = { memoryBytes: 6 * MIB, userShare: 1 };
  const [owner, relay] = [await serveMember({ store, limits }), await serveMember({ store })];
  const near = relay.join(await owner.openSession({}, SLOW), SLOW);
  const large = (id: number): Promise<RawResponse> =>
    near.post(toolCall(id, 'hold', { padding: 'x'.repeat(MIB) }));
  for (const round of [0, 1]) {
    const first = await large(10 * round + 1);
    const held = await owner.lab.held(round);
    expect(refusalOf(await large(10 * round + 2), 10 * round + 2)).toBe('over_memory');
    expect(await say(near, 'count')).toBe(`${round + 1}`);
    held.answer('done');
    expect(textOf((await first.nextMessage()) as object)).toBe('done');
  }
});
