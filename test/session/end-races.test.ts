import { describe, expect, test } from 'vitest';
import { storeAway } from '../../src/errors.ts';
import type { McpEndpointOptions } from '../../src/index.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import type { RawClient } from '../kit/raw-client.ts';
import type { RawResponse } from '../kit/raw-response.ts';
import { serveFleet, type Member } from '../kit/fleet.ts';
import { textOf, tool } from '../kit/lab.ts';
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
  const [a, b, c] = (await serveFleet(3, { store, sessionMigrationHandler, ...options })) as [Member, Member, Member];
  const onA = a.client();
  await onA.initialize({ capabilities: { elicitation: { form: {} } } });
  return { store, ended, a, b, c, onA, onB: b.join(onA), onC: c.join(onA) };
}

/** A run hook that comes back only when it is let go, so that ends take their time. */
function slowRun() {
  const finish = gate();
  const reasons: string[] = [];
  const handler: McpEndpointOptions['runSessionHandler'] = async (_request, _session, run) => {
    reasons.push(await run());
    await finish.hook();
  };
  return { handler, reasons, finish: () => finish.open() };
}

const ping = async (client: RawClient): Promise<number> => (await client.call('ping')).response.status;

const ask = async (client: RawClient): Promise<{ stream: RawResponse; question: { id: string } }> => {
  const [method, params] = tool('ask');
  const stream = await client.post({ jsonrpc: '2.0', id: client.nextId(), method, params });
  return { stream, question: (await stream.nextMessage()) as { id: string } };
};

describe('a DELETE while the session is being restored elsewhere', () => {
  test('after the claim waits for the restore and ends the session: 404 everywhere', async () => {
    const { store, a, b, ended, onA, onB, onC } = await three();
    await a.endpoint.drain();
    const restores = gate();
    store.after['sessions.claim'] = restores.hook;
    const called = onB.call('ping');
    await until(() => restores.waiting === 1);
    const deleted = onC.delete();
    restores.open();
    expect((await deleted).status).toBe(200);
    expect([200, 404]).toContain((await called).response.status);
    expect([await ping(onB), await ping(onC)]).toEqual([404, 404]);
    expect([b.endpoint.sessions.count, ended]).toEqual([0, ['deleted']]);
    await until(() => b.lab.made.every(({ closed }) => closed));
    expect(await b.endpoint.sessions.get(onA.sessionId ?? '')).toBeUndefined();
  });

  test('before the claim ends it: the claim finds nothing, and the request is 404', async () => {
    const { store, a, b, ended, onB, onC } = await three();
    await a.endpoint.drain();
    const claims = gate();
    store.before['sessions.claim'] = claims.hook;
    const called = onB.call('ping');
    await until(() => claims.waiting === 1);
    expect((await onC.delete()).status).toBe(200);
    claims.open();
    expect((await called).response.status).toBe(404);
    expect([b.lab.made.length, ended]).toEqual([0, ['deleted']]);
  });

  test('and a terminate() at the same time: one of them ends it', async () => {
    const { b, c, ended, onA, onC } = await three();
    const [terminated, deleted] = await Promise.all([b.endpoint.sessions.terminate(onA.sessionId ?? ''), onC.delete()]);
    expect([200, 404]).toContain(deleted.status);
    expect(terminated || deleted.status === 200).toBe(true);
    expect(ended.length).toBe(1);
    expect(await c.endpoint.sessions.terminate(onA.sessionId ?? '')).toBe(false);
  });
});

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

  test('is no end: with waitMs 0, DELETE is 503 until it is stored, and no hook is called before', async () => {
    const { store, ended, onA, onB } = await three({ waitMs: 0 });
    store.before['sessions.end'] = () => {
      throw storeAway('ending a session', undefined);
    };
    const refused = await onA.delete();
    expect([refused.status, refused.header('retry-after')]).toEqual([503, '1']);
    expect(ended).toEqual([]);
    delete store.before['sessions.end'];
    expect((await onB.delete()).status).toBe(200);
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

describe('an elicitation whose owner is going away', () => {
  test('ends with its owner; the late answer resolves nothing, not even the same question asked again', async () => {
    const time = createFakeTime();
    const { a, b, onA, onB, onC } = await three({ timeProvider: time, keepAliveMs: Infinity });
    const first = await ask(onA);
    const draining = a.endpoint.drain({ timeoutMs: 10_000 });
    await time.advance(10_100);
    expect(await draining).toEqual({ released: 1, interrupted: 1 });
    expect(await first.stream.nextMessage()).toMatchObject({
      error: { data: { reason: 'draining', mayHaveRun: true } },
    });
    await first.stream.untilEnd();

    const second = await ask(onB);
    expect(second.question.id).not.toBe(first.question.id);
    const answer = (colour: string) => ({ action: 'accept', content: { colour } });
    const late = await onC.post({ jsonrpc: '2.0', id: first.question.id, result: answer('late') });
    expect(late.status).toBe(202);
    await until(() => b.log.matching(/answered a request that is not pending/, 'info').length === 1);
    expect((await onC.post({ jsonrpc: '2.0', id: second.question.id, result: answer('right') })).status).toBe(202);
    expect(textOf(await second.stream.nextMessage())).toBe('accept {"colour":"right"}');
  });

  test('answered elsewhere while its owner drains is answered in time', async () => {
    const time = createFakeTime();
    const { a, onA, onB } = await three({ timeProvider: time, keepAliveMs: Infinity });
    const { stream, question } = await ask(onA);
    const draining = a.endpoint.drain({ timeoutMs: 10_000 });
    await time.advance(1_000);
    const result = { action: 'accept', content: { colour: 'red' } };
    expect((await onB.post({ jsonrpc: '2.0', id: question.id, result })).status).toBe(202);
    expect(textOf(await stream.nextMessage())).toBe('accept {"colour":"red"}');
    await time.advance(1_000);
    expect(await draining).toEqual({ released: 1, interrupted: 0 });
    expect(await ping(onB)).toBe(200);
  });
});

test('a request that comes while its owner gives the session back is served when that is done, by the next owner', async () => {
  const run = slowRun();
  const { a, b, onB } = await three({ runSessionHandler: run.handler });
  const closing = a.endpoint.close();
  await until(() => run.reasons.length === 1);
  const calls = [onB.call(...tool('count')), onB.call(...tool('count'))];
  expect((await b.client().call('ping', undefined, { sessionId: 'unknown' })).response.status).toBe(404);
  expect([a.lab.made.length, b.lab.made.length]).toEqual([1, 0]);
  run.finish();
  const counts = (await Promise.all(calls)).map(({ message }) => textOf(message));
  expect(counts.toSorted()).toEqual(['1', '2']);
  expect([a.lab.made.length, b.lab.made.length, run.reasons]).toEqual([1, 1, ['closed']]);
  await closing;
});

test('a GET on one instance and a GET on another: the newer gets the messages, each comes once, the older stay open', async () => {
  const { a, onA, onB, onC } = await three();
  const log = (n: number) => a.lab.made[0]?.server.server.sendLoggingMessage({ level: 'info', data: n });
  const streams = [await onB.get()];
  await log(1);
  streams.push(await onC.get());
  await log(2);
  streams.push(await onA.get());
  await log(3);
  await streams[2]?.nextMessage();
  const seen = streams.map(({ events }) =>
    events.flatMap(({ message }) => (message as { params?: { data: number } } | undefined)?.params?.data ?? []),
  );
  expect(seen).toEqual([[1], [2], [3]]);
  expect(streams.map(({ ending }) => ending)).toEqual([undefined, undefined, undefined]);
  expect((await onA.delete()).status).toBe(200);
  await Promise.all(streams.map((stream) => stream.untilEnd()));
  expect(streams.map(({ ending }) => ending)).toEqual(['complete', 'complete', 'complete']);
});

describe('the idle sweep and a request at the same moment', () => {
  const IDLE = 60_000;

  test('a request that came first keeps the session', async () => {
    const time = createFakeTime();
    const { a, onB } = await three({ timeProvider: time, idleTimeoutMs: IDLE });
    await time.advance(IDLE - 1);
    const called = onB.call(...tool('hold'));
    const call = await a.lab.held();
    await time.advance(10_000);
    call.answer('done');
    expect(textOf((await called).message)).toBe('done');
    expect(await ping(onB)).toBe(200);
  });

  test('a request that comes while the session ends is 404, here and there, and revives nothing', async () => {
    const time = createFakeTime();
    const run = slowRun();
    const { a, b, ended, onA, onB } = await three({
      timeProvider: time,
      idleTimeoutMs: IDLE,
      runSessionHandler: run.handler,
    });
    await time.advance(IDLE);
    expect(run.reasons).toEqual(['idle']);
    const calls = [onA.call('ping'), onB.call('ping'), onA.get(), onB.get()] as const;
    run.finish();
    const [viaA, viaB, getA, getB] = await Promise.all(calls);
    expect([viaA.response.status, viaB.response.status, getA.status, getB.status]).toEqual([404, 404, 404, 404]);
    expect([a.lab.made.length, b.lab.made.length, ended]).toEqual([1, 0, ['idle']]);
  });

  test('a server that never closes does not delay the sweep of other sessions, and is given up', async () => {
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
});

describe('an initialize whose client vanished', () => {
  const vanishing = async (options: McpEndpointOptions, reached: () => boolean | undefined) => {
    const fleet = await three(options);
    const { a, ended } = fleet;
    const before = a.endpoint.sessions.count;
    const gone = a.client();
    const opening = gone.initialize().catch((error: unknown) => error);
    await until(reached);
    gone.disconnect();
    expect(await opening).toBeInstanceOf(Error);
    await ping(fleet.onA); // a round trip: the server knows by now
    return { ...fleet, before, ended };
  };

  test('while the server is being made leaves nothing behind', async () => {
    const making = gate();
    let n = 0;
    const { a, before, store } = await vanishing(
      { configureSessionOptions: async () => void (n++ === 1 && (await making.hook())) },
      () => making.waiting === 1,
    );
    making.open();
    await until(() => a.lab.made.length === 2 && a.lab.made[1]?.closed);
    expect(a.endpoint.sessions.count).toBe(before);
    expect(store.calls.filter(({ call }) => call === 'sessions.create').length).toBe(1);
  });

  test('while it is being recorded is ended, and is not counted', async () => {
    const creating = gate();
    const store = watchedStore();
    let n = 0;
    const { a, before, ended } = await vanishing(
      { store, runSessionHandler: async (_request, _session, run) => void (await run()) },
      () => {
        if (n++ === 0) store.before['sessions.create'] = creating.hook;
        return creating.waiting === 1;
      },
    );
    creating.open();
    await until(() => a.lab.made[1]?.closed);
    expect(a.endpoint.sessions.count).toBe(before);
    await until(() => ended.length === 1);
    expect(ended).toEqual(['deleted']);
    expect((await a.endpoint.sessions.list()).sessions.length).toBe(1);
  });
});

test('an initialize that is still under way at the deadline of a drain does not stay there', async () => {
  const { a, b, onB } = await three();
  const creating = gate();
  const store = watchedStore();
  const [lone] = (await serveFleet(1, { store })) as [Member];
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
      const client = a.client();
      await client.initialize({ protocolVersion: '2025-11-25' });
      const [method, params] = tool('echo', { text: 'x' });
      const id = client.nextId();
      const stream = await client.post({ jsonrpc: '2.0', id, method, params });
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
    const client = a.client();
    await client.initialize({ protocolVersion });
    const caller = asked === 'its owner' ? client : b.join(client);
    const [method, params] = tool('hold');
    const id = caller.nextId();
    const stream = await caller.post({ jsonrpc: '2.0', id, method, params });
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
