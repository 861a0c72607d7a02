import { describe, expect, test } from 'vitest';
import type { LeaveReason, McpEndpointOptions, Notice, RestoreCause } from '../../src/index.ts';
import { memory } from '../../src/stores/memory/index.ts';
import { sqlite } from '../../src/stores/sqlite/index.ts';
import { decodeSession } from '../../src/session/record/session-record.ts';
import type { Store, StoredRecord } from '../../src/stores/store.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import type { RawClient } from '../kit/raw-client.ts';
import { createEchoServer } from '../kit/echo-server.ts';
import { serveMember } from '../kit/fleet.ts';
import { createLab, say, tool } from '../kit/lab.ts';
import { serve, userHeader } from '../kit/serve.ts';
import { until } from '../kit/until.ts';
import { gate, watchedStore } from '../kit/watched-store.ts';
import { newPath } from '../stores/sqlite-views.ts';
import { hashOf } from '../kit/log.ts';

const SWEEP = 5_000;
const HIBERNATE = 60_000;
const IDLE = 600_000;
/** On SQLite the clock does not move while no instance renews a lease: long enough for every jump of a test. */
const LEASE = 86_400_000;

type Told = { name: string; cause?: RestoreCause; reason?: LeaveReason };

async function sleepy(
  options: McpEndpointOptions = {},
  time = createFakeTime(),
  lab = createLab(),
) {
  const member = await serveMember(
    {
      timeProvider: time,
      hibernateAfterMs: HIBERNATE,
      idleTimeoutMs: IDLE,
      leaseMs: LEASE,
      ...options,
    },
    undefined,
    lab,
  );
  const events: Told[] = [];
  for (const name of [
    'sessionOpened',
    'sessionRestored',
    'sessionHibernated',
    'sessionReleased',
    'sessionFenced',
    'sessionEnded',
  ] as const) {
    member.endpoint.notices.on(name, (notice: Extract<Notice, { at: number }>) => {
      const { kind, sessionId: _, at: __, ...more } = notice;
      events.push({ name: kind, ...more });
    });
  }
  const statusOf = async ({ sessionId = '' }: RawClient) =>
    (await member.endpoint.sessions.get(sessionId))?.status;
  return {
    ...member,
    get id() {
      return member.id;
    },
    time,
    events,
    async open(): Promise<RawClient> {
      const client = member.client();
      await client.initialize();
      await time.advance(1); // so that no two became idle at the same time
      return client;
    },
    /** Until the session of `client` is its record. */
    async sleep(client: RawClient) {
      await time.advance(HIBERNATE + SWEEP);
      await until(async () => (await statusOf(client)) === 'hibernated', { what: 'hibernated' });
    },
  };
}

const status = async (client: RawClient): Promise<number> =>
  (await client.call('ping')).response.status;

const stores: Array<[string, () => Store]> = [
  ['memory', () => memory()],
  ['sqlite', () => sqlite(newPath())],
];

describe.each(stores)('on %s', (_kind, makeStore) => {
  test('an idle session becomes its record, and the next request wakes it with its state', async () => {
    const { open, sleep, endpoint, lab, events } = await sleepy({ store: makeStore() });
    const client = await open();
    expect(await say(client, 'count')).toBe('1');
    await sleep(client);
    expect(endpoint.sessions.liveCount).toBe(0);
    expect(lab.made.map(({ closed }) => closed)).toEqual([true]);

    expect(await say(client, 'count')).toBe('2');
    expect(JSON.parse((await say(client, 'who')) ?? '')).toMatchObject({
      id: client.sessionId,
      restored: true,
    });
    expect(lab.made.length).toBe(2);
    expect(endpoint.sessions.liveCount).toBe(1);
    expect(events).toEqual([
      {
        name: 'sessionOpened',
        clientInfo: { name: 'raw-client', version: '0.0.0' },
        protocolVersion: '2025-11-25',
      },
      { name: 'sessionHibernated', reason: 'hibernated' },
      { name: 'sessionRestored', cause: 'wake' },
    ]);
  });

  test('it ends when no request wakes it: the idle timeout counts from its last request', async () => {
    const ended: unknown[] = [];
    const { open, sleep, time } = await sleepy({
      store: makeStore(),
      sessionMigrationHandler: {
        allowSessionMigration: () => null,
        onSessionEnded: (...args) => void ended.push(args),
      },
    });
    const client = await open();
    const other = await open();
    await sleep(client);
    expect(await status(other)).toBe(200);
    await time.advance(IDLE - HIBERNATE - 2 * SWEEP);
    expect(ended).toEqual([]);
    await time.advance(2 * SWEEP);
    await until(() => ended.length === 1);
    expect(ended).toEqual([[client.sessionId, 'idle']]);
    expect(await status(client)).toBe(404);
    expect(await status(other)).toBe(200);
  });

  test('woken just before its end, it continues', async () => {
    const { open, sleep, time } = await sleepy({ store: makeStore() });
    const client = await open();
    await sleep(client);
    await time.advance(IDLE - HIBERNATE - SWEEP - 100);
    expect(await status(client)).toBe(200);
    await time.advance(SWEEP + 200);
    expect(await status(client)).toBe(200);
  });

  test('DELETE ends it where it sleeps', async () => {
    const { open, sleep, lab, events } = await sleepy({ store: makeStore() });
    const client = await open();
    await sleep(client);
    expect((await client.delete()).status).toBe(200);
    expect(await status(client)).toBe(404);
    expect(lab.made.length).toBe(1);
    expect(events.at(-1)).toEqual({
      name: 'sessionEnded',
      reason: 'deleted',
      createdAt: expect.any(Number) as number,
    });
  });
});

test('as many as became idle together fall asleep in one sweep', async () => {
  const { client, time, endpoint, events } = await sleepy();
  const many = Array.from({ length: 120 }, () => client({ sockets: 1 }));
  await Promise.all(many.map((one) => one.initialize()));
  expect(endpoint.sessions.liveCount).toBe(120);
  await time.advance(HIBERNATE + SWEEP);
  await until(() => events.filter(({ name }) => name === 'sessionHibernated').length === 120);
  expect(await status(many[119]!)).toBe(200);
});

describe('what keeps a session live', () => {
  test('an open GET, until it is closed', async () => {
    const { open, lab, time, endpoint, sleep } = await sleepy();
    const client = await open();
    const stream = await client.get();
    await time.advance(HIBERNATE + SWEEP);
    expect(endpoint.sessions.liveCount).toBe(1);
    stream.abort();
    await until(async () => {
      await time.advance(HIBERNATE);
      return endpoint.sessions.liveCount === 0;
    });
    await sleep(client);
    expect(lab.made[0]?.closed).toBe(true);
  });

  test('a question that waits for its answer', async () => {
    const { open, lab, time, endpoint } = await sleepy();
    const client = await open();
    const stream = await client.get();
    const asked = lab.made[0]?.server.server.request({ method: 'ping' }).catch(() => 'ended');
    const question = (await stream.nextMessage()) as { id: string };
    const control = await open();
    const controlStream = await control.get();
    stream.abort();
    controlStream.abort();
    await until(async () => {
      await time.advance(SWEEP);
      return endpoint.sessions.liveCount === 1;
    });
    await time.advance(HIBERNATE);
    expect((await endpoint.sessions.get(client.sessionId ?? ''))?.status).toBe('live');
    await client.post({ jsonrpc: '2.0', id: question.id, result: {} });
    expect(await asked).toEqual({});
  });
});

describe('what a wake brings back', () => {
  test('subscriptions: the new server receives them, the client what changed, and the bus reaches it', async () => {
    const subscribed: string[] = [];
    const lab = createLab((server) =>
      server.server.setRequestHandler('resources/subscribe', ({ params }) => {
        subscribed.push(params.uri);
        return {};
      }),
    );
    const { open, sleep, endpoint } = await sleepy({}, undefined, lab);
    const client = await open();
    await client.call('resources/subscribe', { uri: 'note://a' });
    await sleep(client);
    const updated = { method: 'notifications/resources/updated', params: { uri: 'note://a' } };
    for (const uri of ['note://b', 'note://a']) endpoint.notify.resourceUpdated(uri);
    const stream = await client.get();
    expect(await stream.nextMessage()).toMatchObject(updated);
    expect(subscribed).toEqual(['note://a', 'note://a']);
    endpoint.notify.resourceUpdated('note://a');
    expect(await stream.nextMessage()).toMatchObject(updated);
  });

  test('list_changed of what changed while it slept, once, on the stream of its next request', async () => {
    const { open, sleep, endpoint, lab } = await sleepy();
    const client = await open();
    await sleep(client);
    endpoint.notify.resourcesChanged();
    endpoint.notify.resourcesChanged();
    endpoint.notify.promptsChanged(); // not announced: this server has none
    expect(lab.made.length).toBe(1);
    const methods = async () => {
      const { response } = await client.call('ping');
      const messages = response.events.map(({ message }) => message);
      return messages.flatMap((message) => message?.method ?? []);
    };
    expect(await methods()).toEqual(['notifications/resources/list_changed']);
    expect(await methods()).toEqual([]);
    await sleep(client);
    expect(await methods()).toEqual([]);
  });

  test('list_changed on its GET stream, also on a resumed one', async () => {
    const { open, sleep, endpoint } = await sleepy();
    const client = await open();
    const first = await client.get();
    const { id } = await first.next();
    first.abort();
    await sleep(client);
    endpoint.notify.toolsChanged();
    const resumed = await client.get({ lastEventId: id });
    expect(await resumed.nextMessage()).toMatchObject({
      method: 'notifications/tools/list_changed',
    });
  });

  test('news that could not be told yet keep it live', async () => {
    const { open, sleep, endpoint, time } = await sleepy();
    const client = await open();
    await sleep(client);
    endpoint.notify.toolsChanged();
    await client.notify('notifications/roots/list_changed');
    await time.advance(HIBERNATE + SWEEP);
    expect(endpoint.sessions.liveCount).toBe(1);
  });
});

describe('races', () => {
  test('what another instance woke and gave back is a takeover, not a wake', async () => {
    const store = memory();
    const time = createFakeTime();
    const a = await sleepy({ store }, time);
    const b = await sleepy({ store }, time);
    const onA = await a.open();
    await a.sleep(onA);
    const onB = b.join(onA);
    expect(await say(onB, 'count')).toBe('1');
    expect(b.events).toEqual([{ name: 'sessionRestored', cause: 'takeover', after: 'hibernated' }]);
    await time.advance(1);
    await b.endpoint.drain();
    expect(await say(onA, 'count')).toBe('2');
    expect(a.events.at(-1)).toEqual({
      name: 'sessionRestored',
      cause: 'takeover',
      after: 'released',
    });
  });

  test('a session that another instance ended while it fell asleep is fenced, not hibernated', async () => {
    const store = watchedStore();
    store.before['sessions.release'] = () => {
      const fence = { epoch: 1, owner: endpoint.health().instance };
      void store.views[0]?.sessions.end(client.sessionId ?? '', fence, 'terminated');
    };
    const { open, time, endpoint, events } = await sleepy({ store });
    const client = await open();
    await time.advance(HIBERNATE + SWEEP);
    await until(() => events.some(({ name }) => name === 'sessionFenced'));
    expect(events.some(({ name }) => name === 'sessionHibernated')).toBe(false);
    expect(await status(client)).toBe(404);
  });
});

describe('maxIdleSessionCount', () => {
  test('on the memory store hibernated sessions count, and the session that has slept longest ends', async () => {
    const { open, sleep, events, log, time } = await sleepy({ maxIdleSessionCount: 2 });
    const [a, b] = [await open(), await open()];
    await sleep(b);
    const c = await open();
    expect(events.at(-2)).toEqual({
      name: 'sessionEnded',
      reason: 'idle_limit',
      createdAt: expect.any(Number) as number,
    });
    expect([await status(a), await status(b), await status(c)]).toEqual([404, 200, 200]);
    await time.advance(SWEEP);
    expect(log.lines.filter(({ level }) => level === 'fatal').map(({ fields }) => fields)).toEqual([
      { limit: 2, ended: 1 },
    ]);
  });

  test('on the memory store those of a user with many end first, also where they sleep', async () => {
    const time = createFakeTime();
    const options = { timeProvider: time, hibernateAfterMs: HIBERNATE, maxIdleSessionCount: 2 };
    const { openSession, endpoint } = await serve(createEchoServer, options, {
      face: 'node',
      auth: userHeader,
    });
    const alice = await openSession({}, { headers: { 'x-user': 'alice' } });
    await time.advance(HIBERNATE + SWEEP);
    expect(endpoint.sessions.liveCount).toBe(0);
    for (let n = 0; n < 3; n++) await openSession({}, { headers: { 'x-user': 'bob' } });
    expect(await status(alice)).toBe(200);
  });

  test('on the memory store a session that becomes idle past the limit ends the session that has slept longest', async () => {
    const { open, sleep, lab, time } = await sleepy({ maxIdleSessionCount: 1 });
    const busy = await open();
    const called = busy.call(...tool('hold'));
    const call = await lab.held();
    const asleep = await open();
    await sleep(asleep);
    call.answer('done');
    await called;
    await time.advance(SWEEP);
    expect([await status(asleep), await status(busy)]).toEqual([404, 200]);
  });

  test('the end of a hibernated session that the store does not take is logged, and the new session opens', async () => {
    const store = watchedStore();
    const { open, sleep, log } = await sleepy({ maxIdleSessionCount: 1, store });
    const a = await open();
    await sleep(a);
    store.before['sessions.end'] = () => {
      throw new Error('away');
    };
    const b = await open();
    delete store.before['sessions.end'];
    expect(
      log.matching(/end of a session could not be stored/).map(({ fields }) => fields['sessionId']),
    ).toEqual([hashOf(a.sessionId)]);
    expect([await status(b), await status(a)]).toEqual([200, 200]);
  });

  test.each([1, 2])(
    'race 14: with a limit of %i the session that is woken is not the session that ends',
    async (limit) => {
      const { open, sleep, lab } = await sleepy({ maxIdleSessionCount: limit });
      const a = await open();
      await sleep(a);
      expect(await status(a)).toBe(200);
      await sleep(a);
      const asleep = lab.made.length;
      expect((await Promise.all([status(a), status(a)])).sort()).toEqual([200, 200]);
      expect(lab.made.length).toBe(asleep + 1);
    },
  );

  test.each([HIBERNATE, Infinity])(
    'on a durable store those past it hibernate, none ends (%s)',
    async (after) => {
      const options = { maxIdleSessionCount: 1, store: sqlite(newPath()), hibernateAfterMs: after };
      const { open, events, log, time, endpoint } = await sleepy(options);
      const clients = [await open(), await open(), await open()];
      await until(() => events.filter(({ name }) => name === 'sessionHibernated').length === 2);
      expect(endpoint.sessions.liveCount).toBe(1);
      await time.advance(SWEEP);
      expect(
        log.matching(/^maxIdleSessionCount of 1 exceeded/, 'info').map(({ fields }) => fields),
      ).toEqual([{ limit: 1, hibernated: 2 }]);
      expect(log.matching(/./, 'fatal')).toEqual([]);
      for (const client of clients) expect(await status(client)).toBe(200);
      expect(events.some(({ name }) => name === 'sessionEnded')).toBe(false);
    },
  );
});

test('a session does not hibernate while an earlier save is under way, though a later one is stored', async () => {
  const store = watchedStore({ durable: true });
  const { open, sleep, time, endpoint } = await sleepy({ store });
  const client = await open();
  const slow = gate();
  store.before['sessions.save'] = slow.hook;
  await client.call('logging/setLevel', { level: 'error' });
  expect(slow.waiting).toBe(1);
  delete store.before['sessions.save'];
  await client.call('resources/subscribe', { uri: 'note://a' });
  await time.advance(HIBERNATE + SWEEP);
  expect(endpoint.sessions.liveCount).toBe(1);

  slow.open();
  await sleep(client);
  const record = await store.views[0]?.sessions.read(client.sessionId ?? '');
  expect(decodeSession(record as StoredRecord)).toMatchObject({
    logLevel: 'error',
    subscriptions: ['note://a'],
  });
});
