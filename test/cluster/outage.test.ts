/** What an outage of the store looks like from outside: 503 where it is needed, one line in the log, nothing lost. */
import { expect, onTestFinished, test } from 'vitest';
import { createFakeTime, type FakeTime } from '../../src/testing/index.ts';
import { serveFleet, type Member } from '../kit/fleet.ts';
import { say, textOf, tool } from '../kit/lab.ts';
import { postModern } from '../kit/modern.ts';
import { later, passing } from '../kit/moving-time.ts';
import { readScrape } from '../kit/prometheus.ts';
import { refusalOf } from '../kit/refusals.ts';
import { sharedStore, useSharedStores } from '../kit/shared-stores.ts';
import { serve } from '../kit/serve.ts';
import { toolServer } from '../kit/tool-server.ts';
import { until } from '../kit/until.ts';
import {
  cut,
  gate,
  loseLease,
  mend,
  watchedStore,
  type WatchedStore,
} from '../kit/watched-store.ts';

useSharedStores();

const LEASE_MS = 1_000;
const TOOLS = 'notifications/tools/list_changed';

/** Short beside the pauses of an instance that looks for its store. */
const STEP_MS = 20;

/** The clock moves on until the condition holds. */
const passes = (time: FakeTime, condition: () => boolean): Promise<boolean> =>
  later(time, condition, undefined, STEP_MS);

async function pair(maxWaitMs: number) {
  const time = createFakeTime();
  // A write that waits for the file of the store waits by this clock, also while the endpoints close.
  let moving: NodeJS.Timeout | undefined;
  onTestFinished(() => clearInterval(moving));
  // Leases run out in it by themselves, those of an id that could not be given back too.
  const connect = sharedStore('sqlite');
  const stores = [0, 1].map(() => watchedStore({ durable: true, inner: connect() })) as [
    WatchedStore,
    WatchedStore,
  ];
  let next = 0;
  const [a, b] = await serveFleet(2, {
    store: () => stores[next++] as WatchedStore,
    leaseMs: LEASE_MS,
    maxWaitMs,
    timeProvider: time,
    eventRetention: false,
  });
  onTestFinished(() => void (moving = setInterval(() => void time.advance(STEP_MS), 1)));
  const onA = await a.openSession();
  const told = (member: Member) =>
    member.log.lines.filter(({ level }) => ['warn', 'error', 'fatal'].includes(level));
  return { time, stores, a, b, onA, onB: b.join(onA), told };
}

test('what was published while an instance was without its lease reaches its clients once it is back', async () => {
  const { time, stores, a, b, onA } = await pair(15_000);
  const session = await onA.get();
  const notifications = { toolsListChanged: true, resourceSubscriptions: ['note://a'] };
  const listen = await postModern(a.client(), 'subscriptions/listen', { notifications });
  await listen.nextMessage(); // the acknowledgement
  const { instance } = a.endpoint.health();
  cut(stores[0]);
  await time.advance(2 * LEASE_MS);
  b.endpoint.notify.resourceUpdated('note://a');
  b.endpoint.notify.toolsChanged();
  await time.advance(LEASE_MS);
  mend(stores[0]);
  const methods = [listen, listen, session].map(
    (stream) => stream.nextMessage() as Promise<{ method: string }>,
  );
  const came = await passing(time, Promise.all(methods), STEP_MS);
  expect(a.endpoint.health().instance).not.toBe(instance);
  expect(came.map(({ method }) => method)).toEqual([
    'notifications/resources/updated',
    TOOLS,
    TOOLS,
  ]);
});

test('live sessions are served until the lease runs out, then with maxWaitMs 0 they are refused; one line reports the outage, one its end', async () => {
  const { time, stores, a, b, onA, onB, told } = await pair(0);
  await onA.call(...tool('count'));
  for (const store of stores) cut(store);
  // What needs no store is served: a call that may be repeated, on a session that is live here and keeps no log.
  expect((await onA.call('ping')).response.status).toBe(200);
  for (let n = 0; n < 20; n++) {
    const refused = await b.client().post(
      { jsonrpc: '2.0', id: n, method: 'ping' },
      {
        headers: {
          'mcp-session-id': onA.sessionId ?? '',
          'mcp-protocol-version': onA.protocolVersion ?? '',
        },
      },
    );
    expect(refusalOf(refused)).toBe('store_unavailable');
    await refused.untilEnd();
    expect(refused.body).not.toContain('cable');
  }
  await passes(time, () => [a, b].every(({ endpoint }) => endpoint.health().state === 'lapsed'));
  expect(a.endpoint.health()).toMatchObject({ state: 'lapsed', store: 'unavailable', sessions: 1 });
  for (let n = 0; n < 20; n++) {
    const { response } = await onA.call(...tool('count'));
    expect(refusalOf(response)).toBe('lease_lost');
  }
  for (const member of [a, b]) {
    await passes(time, () => told(member).length > 1);
    expect(told(member).map(({ level, message }) => [level, message.slice(0, 22)])).toEqual([
      ['warn', 'The session store cann'],
      ['fatal', 'The session store has '],
    ]);
    expect((await fetch(`http://127.0.0.1:${member.port}/readyz`)).status).toBe(503);
    expect((await fetch(`http://127.0.0.1:${member.port}/healthz`)).status).toBe(200);
  }

  for (const store of stores) mend(store);
  await passes(time, () => [a, b].every(({ endpoint }) => endpoint.health().state === 'serving'));
  expect(await say(onA, 'count')).toBe('2');
  expect(await say(onB, 'count')).toBe('3');
  for (const member of [a, b]) {
    await passes(time, () => member.log.matching(/^The session store is back/).length === 1);
    expect((await fetch(`http://127.0.0.1:${member.port}/readyz`)).status).toBe(200);
  }
  expect(a.lab.made.length).toBe(1);
});

test('where the store is stays in the log: a tool passes on what it catches, and no client learns an address', async () => {
  const { time, stores, a, onA } = await pair(300);
  cut(stores[0], 'sessions.save');
  const { message } = await passing(time, onA.call(...tool('count')), STEP_MS);
  expect(textOf(message)).toBe(
    'Service Unavailable: the session store cannot be reached (session.state)',
  );
  expect(a.log.lines.some(({ fields }) => String(fields['err']).includes('the cable is out'))).toBe(
    true,
  );
});

test('a handler that sends while the lease is lapsed continues when its endpoint closes', async () => {
  const { time, stores, a, onA } = await pair(5_000);
  void onA.call(...tool('hold')).catch(() => {});
  const { ctx } = await a.lab.held();
  for (const store of stores) cut(store);
  await passes(time, () => a.endpoint.health().state === 'lapsed');
  let isSent = false;
  const sent = ctx.mcpReq.notify({
    method: 'notifications/message',
    params: { level: 'error', data: 'lapsed' },
  });
  void sent.finally(() => (isSent = true));
  await time.advance(STEP_MS);
  expect(isSent).toBe(false);
  await passing(time, a.endpoint.close({ timeoutMs: 0 }), STEP_MS);
  await passes(time, () => isSent);
});

test('an instance that cannot renew its own lease takes no session from an owner that may return', async () => {
  const { time, stores, a, b, onA, onB, told } = await pair(15_000);
  const [ofA, ofB] = stores;
  await onA.call(...tool('count'));
  const unwritable = (store: WatchedStore): void =>
    cut(store, 'instances.renew', 'instances.announce');
  unwritable(ofA);
  await passes(time, () => a.endpoint.health().state === 'lapsed');
  expect(b.endpoint.health().state).toBe('serving');
  unwritable(ofB);
  await passes(time, () =>
    told(b).some(({ message }) => message.startsWith('The session store cannot be reached')),
  );
  // Reads are answered, and the owner has no lease.
  const called = onB.call(...tool('count'));
  mend(ofA);
  await passes(time, () => a.endpoint.health().state === 'serving');
  mend(ofB);
  expect(textOf((await passing(time, called, STEP_MS)).message)).toBe('2');
  expect([a, b].map(({ endpoint }) => endpoint.sessions.liveCount)).toEqual([1, 0]);
});

test('a restore that ends without a store leaves no server behind, and its session is served later', async () => {
  const { time, stores, a, b, onA, onB } = await pair(15_000);
  await onA.call(...tool('count'));
  const claims = gate();
  stores[1].after['sessions.claim'] = claims.hook;
  await loseLease(stores[0], a.id);
  const called = onB.call(...tool('count'));
  await passes(time, () => claims.waiting === 1);
  cut(stores[1]);
  await passes(time, () => b.endpoint.health().state === 'lapsed');
  mend(stores[1]);
  cut(stores[1], 'sessions.claim');
  await passes(time, () => b.endpoint.health().state === 'serving');
  claims.open();
  await passes(time, () => b.lab.made.length === 1);
  await time.advance(LEASE_MS);
  mend(stores[1]);
  expect(textOf((await passing(time, called, STEP_MS)).message)).toBe('2');
  expect(b.lab.made.map(({ closed }) => closed)).toEqual([true, false]);
});

test('an owner whose answers were lost learns that the client of a call got an error', async () => {
  const { time, stores, a, onB } = await pair(1_000);
  cut(stores[0], 'instances.send');
  const called = onB.call(...tool('hold'));
  const { ctx } = await a.lab.held();
  const { message } = await passing(time, called, STEP_MS);
  expect(message).toMatchObject({
    error: { data: { reason: 'owner_unreachable', mayHaveRun: true } },
  });
  mend(stores[0]);
  await passes(time, () => ctx.http?.req?.signal.aborted === true);
});

test('what changed while the store was away reaches the clients of other instances once it is back, each change once', async () => {
  const { time, stores, a, b } = await pair(5_000);
  const there = await b.openSession();
  const stream = await there.get();
  for (const store of stores) cut(store);
  a.endpoint.notify.toolsChanged();
  a.endpoint.notify.toolsChanged();
  await passes(time, () => [a, b].every(({ endpoint }) => endpoint.health().state === 'lapsed'));
  for (const store of stores) mend(store);
  await passes(time, () => [a, b].every(({ endpoint }) => endpoint.health().state === 'serving'));
  const changed = { method: 'notifications/tools/list_changed' };
  expect(await passing(time, stream.nextMessage(), STEP_MS)).toMatchObject(changed);
  a.endpoint.notify.resourcesChanged();
  expect(await stream.nextMessage()).toMatchObject({
    method: 'notifications/resources/list_changed',
  });
});

test('a notification that waits is accepted when its time is over, or its client left, and is delivered when the store is back', async () => {
  const store = watchedStore({ durable: true, inner: sharedStore('sqlite')() });
  const time = createFakeTime();
  const heard: unknown[] = [];
  const hears = toolServer({}, (server) =>
    server.server.setNotificationHandler(
      'notifications/roots/list_changed',
      ({ params }) => void heard.push(params?._meta),
    ),
  );
  const options = { store, leaseMs: LEASE_MS, maxWaitMs: 2_000, timeProvider: time, metrics: true };
  const { endpoint, openSession } = await serve(hears, options);
  const client = await openSession();
  cut(store);
  await passes(time, () => endpoint.health().state === 'lapsed');
  const told = (n: number, more = {}) =>
    client.notify('notifications/roots/list_changed', { _meta: { n } }, more);
  const waits = told(1);
  const leaving = new AbortController();
  const left = told(2, { signal: leaving.signal }).catch(() => 'left');
  await until(() => readScrape(endpoint.metrics()).sum('sojourn_waiting_requests') === 2);
  leaving.abort();
  expect(await left).toBe('left');
  expect((await passing(time, waits, STEP_MS)).status).toBe(202);
  expect(heard).toEqual([]);
  mend(store);
  await passes(time, () => heard.length === 2);
  expect(heard).toEqual([{ n: 1 }, { n: 2 }]);
});

test('a resume that has no place to wait ends cleanly, so that its client comes back, and any other GET is refused', async () => {
  const store = watchedStore({ durable: true, inner: sharedStore('sqlite')() });
  const limits = { waitingRequests: 1 };
  const time = createFakeTime();
  const [a] = await serveFleet(1, { store, leaseMs: LEASE_MS, timeProvider: time, limits });
  const [client, other] = [a.client(), a.client()];
  await client.initialize();
  await other.initialize();
  const stream = await client.get();
  const { id = '' } = await stream.next();
  stream.abort();
  cut(store);
  await passes(time, () => a.endpoint.health().state === 'lapsed');
  const waits = other.call('ping');
  let last = id;
  for (let n = 0; n < 3; n++) {
    const resumed = await client.get({ lastEventId: last });
    expect(resumed.status).toBe(200);
    const event = await resumed.next();
    expect(event).toMatchObject({ data: '', retry: 4_000 });
    // Some clients count a resume without a new id as failed.
    expect(event.id).not.toBe(last);
    await resumed.untilEnd();
    last = event.id ?? '';
  }
  expect((await client.get()).status).toBe(503);
  mend(store);
  await passing(time, waits, STEP_MS);
  const resumed = await client.get({ lastEventId: last });
  await resumed.next();
  a.endpoint.notify.toolsChanged();
  expect(await resumed.nextMessage()).toMatchObject({ method: 'notifications/tools/list_changed' });
});
