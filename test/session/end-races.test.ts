import { describe, expect, test } from 'vitest';
import { storeAway } from '../../src/errors.ts';
import type { McpEndpointOptions } from '../../src/index.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import type { RawClient } from '../kit/raw-client.ts';
import { serveFleet } from '../kit/fleet.ts';
import { toolCall } from '../kit/lab.ts';
import { until } from '../kit/until.ts';
import { gate, watchedStore } from '../kit/watched-store.ts';

/** Three instances; `a` owns the session. `ended` is what their migration handlers were told. */
async function three(options: McpEndpointOptions = {}) {
  const store = watchedStore();
  const ended: string[] = [];
  const sessionMigrationHandler = {
    allowSessionMigration: () => null,
    onSessionEnded: (_id: string, reason: string) => void ended.push(reason),
  };
  const [a, b, c] = await serveFleet(3, { store, sessionMigrationHandler, ...options });
  const onA = await a.openSession({ capabilities: { elicitation: { form: {} } } });
  return { store, ended, a, b, c, onA, onB: b.join(onA), onC: c.join(onA) };
}

const ping = async (client: RawClient): Promise<number> => (await client.call('ping')).response.status;

describe('an end that the store does not take', () => {
  test('is no end: DELETE waits until it is stored, and no hook is called before', async () => {
    const { store, ended, onA } = await three();
    let tries = 0;
    store.before['sessions.end'] = () => {
      tries += 1;
      throw storeAway('ending a session', undefined);
    };
    const deleted = onA.delete();
    await until(() => tries >= 2);
    expect(ended).toEqual([]);
    delete store.before['sessions.end'];
    expect((await deleted).status).toBe(200);
    expect([ended, await ping(onA)]).toEqual([['deleted'], 404]);
  });

  test('of an idle session is stored by a later sweep, and its hook told then', async () => {
    const time = createFakeTime();
    const { store, ended, a, onA } = await three({ timeProvider: time, idleTimeoutMs: 60_000, keepAliveMs: Infinity });
    store.before['sessions.end'] = () => {
      throw storeAway('ending a session', undefined);
    };
    await time.advance(65_000);
    expect([a.lab.made[0]?.closed, ended]).toEqual([true, []]);
    delete store.before['sessions.end'];
    await time.advance(5_000);
    expect([ended, await ping(onA)]).toEqual([['idle'], 404]);
  });

  test('because another instance owns the session by now, goes there', async () => {
    const { store, a, b, ended, onA, onB } = await three();
    await store.views[0]?.instances.leave(a.id); // the lease is lost, and `a` does not know
    expect(await ping(onB)).toBe(200);
    expect((await onA.delete()).status).toBe(200);
    expect([b.lab.made[0]?.closed, ended]).toEqual([true, ['deleted']]);
    expect([await ping(onA), await ping(onB)]).toEqual([404, 404]);
  });
});

test('a server that never closes does not delay the sweep of other sessions, and is given up', async () => {
  const IDLE = 60_000;
  const time = createFakeTime();
  const { a } = await three({ timeProvider: time, idleTimeoutMs: IDLE });
  const [stuck] = a.lab.made;
  if (stuck !== undefined) stuck.server.close = () => new Promise(() => {});
  await time.advance(2_000);
  const other = a.client();
  await other.initialize(); // ends one sweep after the first
  await time.advance(IDLE + 3_000);
  expect(a.endpoint.sessions.count).toBe(0);
  expect(await ping(other)).toBe(404);
  await time.advance(5_000);
  expect(a.log.matching(/still closing some time after its session/, 'warn').length).toBe(1);
  await a.endpoint.close();
});

test('an initialize that is still under way at the deadline of a drain does not stay there', async () => {
  const { a, b, onB } = await three();
  const creating = gate();
  const store = watchedStore();
  const [lone] = await serveFleet(1, { store });
  store.before['sessions.create'] = creating.hook;
  const opening = lone.client().call('initialize', {
    protocolVersion: '2025-11-25',
    capabilities: {},
    clientInfo: { name: 'late', version: '1' },
  });
  await until(() => creating.waiting === 1);
  expect(await lone.endpoint.drain({ timeoutMs: 0 })).toEqual({ released: 0, interrupted: 1 });
  creating.open();
  const { response, message } = await opening;
  expect([response.status, response.header('retry-after')]).toEqual([503, '1']);
  expect(message.error).toMatchObject({ data: { reason: 'draining' } });
  await until(() => lone.lab.made[0]?.closed);
  expect((await lone.endpoint.sessions.list()).sessions).toEqual([]);
  expect([a.endpoint.sessions.count, b.endpoint.sessions.count, await ping(onB)]).toEqual([1, 0, 200]);
});

describe('a DELETE while a stream of the session is looked up in the log', () => {
  test.each(['its owner', 'another instance'])(
    'ends the call of its reader as not found, who asks %s',
    async (asked) => {
      const { store, a, onA, b } = await three();
      const client = await a.openSession({ protocolVersion: '2025-11-25' });
      const id = client.nextId();
      const stream = await client.post(toolCall(id, 'echo', { text: 'x' }));
      await stream.untilEnd();
      const lastEventId = stream.events[0]?.id;
      expect((await client.get({ lastEventId })).status).toBe(200);
      const looks = gate();
      store.before['sessions.replay'] = looks.hook;
      const reader = asked === 'its owner' ? a.join(client) : b.join(client);
      const resumed = reader.get({ lastEventId });
      await until(() => looks.waiting === 1);
      expect((await client.delete()).status).toBe(200);
      looks.open();
      // The event id names the call: clients hang at a 404 of a resume.
      const told = await resumed;
      expect(told.status).toBe(200);
      expect(await told.nextMessage()).toMatchObject({ id, error: { code: -32001 } });
      expect(await ping(onA)).toBe(200);
    },
  );
});

describe('a DELETE while the answer of a call is on its way into the store', () => {
  test.each([
    ['2025-06-18', 'its owner'],
    ['2025-06-18', 'another instance'],
    ['2025-11-25', 'its owner'],
  ])('ends the call of a client at %s that asked %s', async (protocolVersion, asked) => {
    const { store, a, b } = await three();
    const client = await a.openSession({ protocolVersion });
    const caller = asked === 'its owner' ? client : b.join(client);
    const id = caller.nextId();
    const stream = await caller.post(toolCall(id, 'hold'));
    const held = await a.lab.held();
    const stores = gate();
    store.before['sessions.append'] = stores.hook;
    held.answer('done');
    await until(() => stores.waiting === 1);
    expect((await client.delete()).status).toBe(200);
    stores.open();
    await stream.untilEnd();
    const told = stream.events.flatMap(({ message }) => message ?? []);
    // At 2025-11-25 the response continues at the next owner, which finds no session.
    const reason = protocolVersion === '2025-11-25' ? 'session_not_found' : 'session_ended';
    expect(told).toMatchObject([{ id, error: { data: { reason } } }]);
  });
});
