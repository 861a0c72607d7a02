/** Two ends, two owners or two tries of a call at the same moment. `test/simulation` has the races of whole instances. */
import { describe, expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import { storeUnavailable } from '../../src/base/errors.ts';
import type { McpEndpointOptions } from '../../src/index.ts';
import { decodeHead } from '../../src/session/record/session-record.ts';
import type { StoredRecord } from '../../src/stores/store.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import type { RawClient } from '../kit/raw-client.ts';
import { serveFleet } from '../kit/fleet.ts';
import { createLab, textOf, tool, toolCall } from '../kit/lab.ts';
import { until } from '../kit/until.ts';
import { cut, gate, loseLease, mend, watchedStore } from '../kit/watched-store.ts';

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

const ping = async (client: RawClient): Promise<number> =>
  (await client.call('ping')).response.status;

describe('an end that the store does not take', () => {
  test('is no end: DELETE waits until it is stored, and no hook is called before', async () => {
    const { store, ended, onA } = await three();
    let tries = 0;
    store.before['sessions.end'] = () => {
      tries += 1;
      throw storeUnavailable('ending a session', undefined);
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
    const { store, ended, a, onA } = await three({
      timeProvider: time,
      idleTimeoutMs: 60_000,
      keepAliveMs: Infinity,
    });
    store.before['sessions.end'] = () => {
      throw storeUnavailable('ending a session', undefined);
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
  expect(a.endpoint.sessions.liveCount).toBe(0);
  expect(await ping(other)).toBe(404);
  await time.advance(5_000);
  expect(a.log.matching(/still closing some time after its session/, 'warn').length).toBe(1);
  await a.endpoint.close({ timeoutMs: 0 });
});

test('an initialize that is still under way at the deadline of a drain does not stay there', async () => {
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

/** Three instances that adopt any unknown session. */
function adopting() {
  const params = {
    protocolVersion: '2025-11-25',
    capabilities: {},
    clientInfo: { name: 'm', version: '1' },
  };
  return three({ sessionMigrationHandler: { allowSessionMigration: () => params } });
}

const counts = async (...calls: ReadonlyArray<ReturnType<RawClient['call']>>): Promise<string[]> =>
  (await Promise.all(calls))
    .map(({ message }) => textOf(message) ?? JSON.stringify(message.error))
    .toSorted();

test('two instances adopt the same migrated session at once: one keeps it, the other relays to it', async () => {
  const { store, b, c } = await adopting();
  const creates = gate();
  store.before['sessions.create'] = creates.hook;
  const viaB = b.client();
  viaB.sessionId = 'adopted';
  const viaC = c.join(viaB);
  const calls = [viaB.call(...tool('count')), viaC.call(...tool('count'))];
  await until(() => creates.waiting === 2);
  creates.open();
  expect(await counts(...calls)).toEqual(['1', '2']);
  expect(b.endpoint.sessions.liveCount + c.endpoint.sessions.liveCount).toBe(1);
  const made = [...b.lab.made, ...c.lab.made];
  expect(made.filter(({ closed }) => !closed).length).toBe(1);
});

test('a session that is being adopted here is not claimed from under its adopter', async () => {
  const { store, b } = await adopting();
  const replies = gate();
  store.after['sessions.create'] = replies.hook;
  const client = b.client();
  client.sessionId = 'adopted';
  const first = client.call(...tool('count'));
  await until(() => replies.waiting === 1);
  // An instance without room must not keep it from the others.
  expect(await store.views[0]?.sessions.read('adopted')).toMatchObject({ owner: null });
  const second = client.call(...tool('count')); // finds the record, and no live copy
  expect((await client.call('ping', undefined, { sessionId: 'bad id' })).response.status).toBe(400);
  replies.open();
  expect(await counts(first, second)).toEqual(['1', '2']);
  expect(b.lab.made.length).toBe(1);
});

test('an owner that lost its lease without knowing accepts no notification that it could not save: the new owner gets it', async () => {
  const store = watchedStore({ durable: true });
  // No renewal tells the owner.
  const [a, b] = await serveFleet(2, { store, leaseMs: 60_000 });
  const client = await a.openSession({ initialized: false });
  const saves = gate();
  store.before['sessions.save'] = () => {
    delete store.before['sessions.save'];
    return saves.hook();
  };
  const told = client.notify('notifications/initialized');
  await until(() => saves.waiting === 1);
  await store.views[0]?.instances.leave(a.id);
  expect((await b.join(client).call('ping')).response.status).toBe(200);
  saves.open();
  expect((await told).status).toBe(202);
  const record = await store.views[0]?.sessions.read(client.sessionId ?? '');
  expect(decodeHead((record as StoredRecord).head).initialized).toBe(true);
});

test('a call whose instance loses its lease in the turn before it begins waits until it has one', async () => {
  const store = watchedStore({ durable: true });
  const time = createFakeTime();
  let busyMs = 0;
  const timeProvider = { ...time, monotonic: () => time.monotonic() + busyMs };
  const [a] = await serveFleet(1, { store, leaseMs: 60_000, timeProvider });
  const client = await a.openSession();
  const writes = gate();
  store.after['sessions.append'] = writes.hook;
  const calling = client.call(...tool('hold'));
  await until(() => writes.waiting === 1);
  cut(store, 'instances.renew', 'instances.announce');
  setImmediate(() => void (busyMs = 60_000));
  writes.open();
  await until(() => a.endpoint.health().state === 'lapsed');
  await time.advance(1_000);
  expect(a.lab.holds).toHaveLength(0);
  mend(store);
  await time.advance(60_000);
  (await a.lab.held()).answer('late');
  expect(textOf((await calling).message)).toBe('late');
});

/**
 * Two instances with a read-only tool. Its call, which a proxy names `attempt-1`, hangs on the first; that one loses its
 * lease, and the call runs again on the second until `ends` opens.
 */
async function rerun(id: number | string, params: readonly [args?: object, meta?: object] = []) {
  const ends = gate();
  onTestFinished(() => ends.open());
  const runs: Array<{ by: string; step(progress: number): Promise<void> }> = [];
  const lab = (at: string) =>
    createLab((server) => {
      const annotations = { readOnlyHint: true };
      const inputSchema = z.looseObject({});
      server.registerTool('find', { annotations, inputSchema }, async ({ text }, { mcpReq }) => {
        const progressToken = mcpReq._meta?.progressToken ?? '';
        const step = (progress: number) =>
          mcpReq.notify({ method: 'notifications/progress', params: { progressToken, progress } });
        const by = `${at} ${String(text)}`;
        runs.push({ by, step });
        if (at === 'a') await new Promise(() => {});
        await ends.hook();
        return { content: [{ type: 'text', text: by }] };
      });
    });
  const store = watchedStore({ durable: true });
  const options = { store, leaseMs: 60_000, attemptHeader: 'X-Request-Id' };
  const [a, b] = await serveFleet(2, options, [], [lab('a'), lab('b')]);
  const onA = await a.openSession({ protocolVersion: '2025-11-25' });
  await onA.call('tools/list');
  const attempt = { headers: { 'x-request-id': 'attempt-1' } };
  const call = toolCall(id, 'find', ...params);
  const { id: lastEventId } = await (await onA.post(call, attempt)).next();
  await until(() => runs.length === 1);
  await loseLease(store, a.id);
  const client = b.join(onA);
  await client.call('ping');
  await until(() => runs.length === 2);
  return { ends, runs, store, client, again: () => client.post(call, attempt), lastEventId };
}

test('another call under the id of a call that runs again is refused, also an equal one: a proxy alone names a retry', async () => {
  const { ends, runs, client, again } = await rerun(1, [{ text: 'one' }]);
  const other = await client.post(toolCall(1, 'find', { text: 'two' }));
  const equal = await client.post(toolCall(1, 'find', { text: 'one' }));
  const same = await again();
  ends.open();
  await same.untilEnd();
  for (const refused of [other, equal])
    expect(refused.json()).toMatchObject({ id: 1, error: { code: -32600 } });
  expect(textOf(same.json())).toBe('b one');
  expect(runs.map(({ by }) => by)).toEqual(['a one', 'b one']);
});

test('a client that resumes a call that runs again, and whose proxy also sends it again, gets each message once in the newer response', async () => {
  const meta = { progressToken: 'p' };
  const { ends, runs, store, client, again, lastEventId } = await rerun('steps-1', [{}, meta]);
  const reads = gate();
  store.after['sessions.replay'] = reads.hook;
  const resumed = client.get({ lastEventId });
  await until(() => reads.waiting === 1);
  const repeated = again();
  // The server has both requests by then.
  await client.call('ping');
  await runs[1]?.step(1);
  reads.open();
  await resumed;
  const newer = await repeated;
  ends.open();
  await newer.untilEnd();
  expect(newer.messages.flatMap(({ params }) => params?.['progress'] ?? [])).toEqual([1]);
  expect(textOf(newer.json())).toBe('b undefined');
  expect(runs.map(({ by }) => by)).toEqual(['a undefined', 'b undefined']);
});
