/** What is observed, counted and logged of the same events, in fleets on real stores; an observer harms nothing. */
import { describe, expect, test } from 'vitest';
import type { Notice } from '../../../src/index.ts';
import type { Store } from '../../../src/stores/store.ts';
import { serveMember } from '../../kit/fleet.ts';
import { createLab, tool } from '../../kit/lab.ts';
import { hashOf } from '../../kit/log.ts';
import { readScrape } from '../../kit/prometheus.ts';
import { faces, serve } from '../../kit/serve.ts';
import { durableKinds, sharedStore, useSharedStores } from '../../kit/shared-stores.ts';
import { until } from '../../kit/until.ts';
import { cut, mend, watchedStore } from '../../kit/watched-store.ts';

useSharedStores();

const LEASE_MS = 1_000;

type Kind = Notice['kind'];
type Of<K extends Kind> = Extract<Notice, { readonly kind: K }>;

class Seen {
  readonly all: Notice[] = [];

  readonly observe = (notice: Notice): void => void this.all.push(notice);

  of<K extends Kind>(kind: K): Of<K>[] {
    return this.all.filter((notice): notice is Of<K> => notice.kind === kind);
  }

  /** The first of this kind, once it is there. */
  async first<K extends Kind>(kind: K): Promise<Of<K>> {
    await until(() => this.of(kind).length > 0, { what: `a notice ${kind}` });
    return this.of(kind)[0] as Of<K>;
  }
}

async function observed(store: Store, more: object = {}) {
  const seen = new Seen();
  const member = await serveMember({ store, observe: seen.observe, metrics: true, ...more });
  const sum = (name: string, labels?: Record<string, string>) =>
    readScrape(member.endpoint.metrics()).sum(name, labels);
  return { member, seen, sum };
}

const CALLS = 'mcp_server_operation_duration_seconds_count';
const TOOLS = { mcp_method_name: 'tools/call' };

describe.each(durableKinds)('on %s', (kind) => {
  test('a relayed call, a resume and a drain are observed and counted, with each call to the store', async () => {
    const connect = sharedStore(kind);
    const [a, b] = [await observed(connect()), await observed(connect())];
    const one = await a.member.openSession();
    const { sessionId } = one;
    expect(await a.seen.first('instanceJoined')).toEqual({
      kind: 'instanceJoined',
      instance: a.member.id,
    });
    expect(await a.seen.first('sessionOpened')).toMatchObject({
      sessionId,
      protocolVersion: '2025-11-25',
    });

    const elsewhere = b.member.join(one);
    await elsewhere.call(...tool('count'));
    const relayed = await b.seen.first('requestRelayed');
    expect(relayed).toEqual({
      kind: 'requestRelayed',
      to: a.member.id,
      outcome: 'done',
      ms: expect.any(Number) as number,
      sessionId,
    });
    // It is counted where the client is, and its notice may come after the client has read the answer.
    await until(() => b.sum(CALLS, TOOLS) === 1);
    // No list has passed there, and the answer says that the server has the tool.
    expect(b.sum(CALLS, { ...TOOLS, gen_ai_tool_name: 'count' })).toBe(1);
    expect([a.sum(CALLS, TOOLS), b.sum('sojourn_relays_total', { outcome: 'done' })]).toEqual([
      0, 1,
    ]);

    const stream = await one.get();
    const { id } = await stream.next();
    stream.abort();
    (await one.get({ lastEventId: id })).abort();
    expect(await a.seen.first('streamResumed')).toEqual({
      kind: 'streamResumed',
      outcome: 'continued',
      sessionId,
    });
    expect(a.sum('sojourn_resumes_total', { outcome: 'continued' })).toBe(1);

    const calls = a.seen
      .of('storeCall')
      .filter(({ failed }) => !failed)
      .map(({ operation }) => operation);
    expect(calls).toEqual(
      expect.arrayContaining(['instances.announce', 'sessions.create', 'sessions.append']),
    );
    expect(a.seen.of('storeCall').every(({ ms }) => ms >= 0)).toBe(true);
    expect(
      a.sum('sojourn_store_call_duration_seconds_count', { operation: 'sessions.create' }),
    ).toBe(1);
    expect(a.sum('sojourn_lease_remaining_seconds')).toBeGreaterThan(0);

    await a.member.endpoint.drain();
    expect(a.seen.of('drainBegun')).toHaveLength(1);
    expect(await a.seen.first('drainEnded')).toMatchObject({ released: 1, interrupted: 0 });
    const lines = a.member.log.matching(/^This instance/, 'info');
    expect(lines.map(({ message, fields }) => [message.split(':')[0], fields])).toEqual([
      ['This instance joined the deployment', { instance: relayed.to }],
      ['This instance drains', {}],
      [
        'This instance has drained',
        { released: 1, interrupted: 0, ms: expect.any(Number) as number },
      ],
    ]);
    expect(await a.seen.first('sessionReleased')).toMatchObject({ sessionId, reason: 'released' });
    expect([a.sum('sojourn_ready'), a.sum('sojourn_sessions_live')]).toEqual([0, 0]);
    expect(a.sum('sojourn_sessions_left_total', { reason: 'released' })).toBe(1);
    await elsewhere.call(...tool('count'));
    expect(await b.seen.first('sessionRestored')).toMatchObject({ sessionId, cause: 'takeover' });
    expect(b.sum('sojourn_sessions_restored_total', { cause: 'takeover' })).toBe(1);
    expect(b.member.log.matching(/^A session continues here$/, 'info')).toMatchObject([
      { fields: { cause: 'takeover', sessionId: hashOf(sessionId) } },
    ]);
    await elsewhere.delete({ sessionId: String(sessionId) });
    expect(await b.seen.first('sessionEnded')).toMatchObject({
      reason: 'deleted',
      createdAt: expect.any(Number) as number,
    });
    await a.member.endpoint.close({ timeoutMs: 0 });
    expect(a.sum('sojourn_sessions_live')).toBe(0);
  });
});

test('an outage is observed: the store goes and comes back, the lease lapses, a call waits and is served', async () => {
  const store = watchedStore({ durable: true, inner: sharedStore('sqlite')() });
  const { member, seen, sum } = await observed(store, { leaseMs: LEASE_MS });
  const one = await member.openSession();
  expect(sum('sojourn_store_up')).toBe(1);
  const before = member.id;
  cut(store);
  await until(() => member.endpoint.health().state === 'lapsed', { what: 'the lease to run out' });
  const tries = store.calls.length;
  await until(
    () =>
      store.calls.filter(({ call }) => call === 'instances.announce').length > 2 &&
      store.calls.length > tries,
  );
  const called = one.call(...tool('count'));
  expect((await seen.first('storeUnavailable')).error.message).toContain('the cable is out');
  await until(() => sum('sojourn_waiting_requests') === 1, { what: 'the call to wait' });
  expect([
    sum('sojourn_store_up'),
    sum('sojourn_ready'),
    sum('sojourn_lease_remaining_seconds'),
  ]).toEqual([0, 0, 0]);
  expect(sum('sojourn_store_outages_total')).toBe(1);
  mend(store);
  await called;
  // Each renewal in the outage tries another id, and none of those has lapsed.
  const joined = seen.of('instanceJoined').map(({ instance }) => instance);
  expect(seen.of('leaseLapsed')).toContainEqual({
    kind: 'leaseLapsed',
    instance: before,
    lost: false,
  });
  expect(seen.of('leaseLapsed').filter(({ instance }) => !joined.includes(instance))).toEqual([]);
  expect(seen.of('instanceJoined')).toContainEqual({
    kind: 'instanceJoined',
    instance: expect.any(String) as string,
    before,
  });
  expect((await seen.first('storeBack')).ms).toBeGreaterThan(0);
  expect(await seen.first('requestWaited')).toMatchObject({
    reason: 'lease_lost',
    outcome: 'served',
    sessionId: one.sessionId,
  });
  expect(seen.of('storeCall').some(({ failed }) => failed)).toBe(true);
  expect(seen.of('storeUnavailable')).toHaveLength(1);
  expect(
    sum('sojourn_wait_duration_seconds_count', { outcome: 'served', reason: 'lease_lost' }),
  ).toBe(1);
  expect(sum('sojourn_leases_lapsed_total')).toBeGreaterThanOrEqual(1);
  expect(sum('sojourn_store_call_failures_total')).toBeGreaterThan(0);
});

test('an owner that is cut off: its session is taken over from it, and its running call is lost', async () => {
  const connect = sharedStore('sqlite');
  const store = watchedStore({ durable: true, inner: connect() });
  const [a, b] = [
    await observed(store, { leaseMs: LEASE_MS, maxWaitMs: 0 }),
    await observed(connect(), { leaseMs: LEASE_MS }),
  ];
  const one = await a.member.openSession();
  const owner = a.member.id;
  // Its response ends before an answer.
  const held = one.call(...tool('hold')).catch(() => {});
  await a.member.lab.held();
  cut(store);
  await b.member.join(one).call(...tool('count'));
  expect(await b.seen.first('sessionRestored')).toMatchObject({
    cause: 'takeover',
    from: owner,
    after: 'died',
  });
  expect(await b.seen.first('callLost')).toMatchObject({
    method: 'tools/call',
    sessionId: one.sessionId,
  });
  mend(store);
  (await a.member.lab.held()).answer('late');
  await held;
});

describe.each(faces)('over %s', (face) => {
  test('a refusal before a call exists is observed, with what allows it', async () => {
    const seen = new Seen();
    const served = await serve(
      createLab().factory,
      { observe: seen.observe, allowedHosts: ['127.0.0.1'] },
      { face },
    );
    await served
      .client()
      .post({ jsonrpc: '2.0', id: 1, method: 'ping' }, { headers: { host: 'evil.example' } });
    expect(seen.of('requestRefused')).toEqual([
      {
        kind: 'requestRefused',
        status: 403,
        reason: 'host',
        why: expect.stringContaining('allowedHosts') as string,
        share: undefined,
        sessionId: undefined,
      },
    ]);
  });

  test.each([
    [
      'throws',
      () => {
        throw new Error('mine');
      },
    ],
    [
      'rejects',
      async () => {
        throw new Error('mine');
      },
    ],
    [
      'changes what it gets',
      (notice: Notice) => {
        for (const key of Object.keys(notice)) Reflect.set(notice, key, 'other');
      },
    ],
  ])('an observer that %s harms no request', async (what, observe) => {
    const served = await serve(createLab().factory, { observe }, { face });
    const one = await served.openSession();
    expect((await one.call(...tool('count'))).response.status).toBe(200);
    await one.delete({ sessionId: String(one.sessionId) });
    expect(served.log.matching(/^observe threw$/, 'warn').length > 0).toBe(
      what !== 'changes what it gets',
    );
    expect(served.log.matching(/^A session ended$/)[0]?.fields).toMatchObject({
      reason: 'deleted',
    });
  });
});
