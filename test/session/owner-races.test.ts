import { describe, expect, test } from 'vitest';
import { storeAway } from '../../src/errors.ts';
import type { McpEndpointOptions } from '../../src/index.ts';
import type { RawClient } from '../kit/raw-client.ts';
import type { RawResponse } from '../kit/raw-response.ts';
import { serveFleet, serveMember, type Member } from '../kit/fleet.ts';
import { createLab, textOf, tool } from '../kit/lab.ts';
import { until } from '../kit/until.ts';
import { refusalOf } from '../kit/refusals.ts';
import { gate, watchedStore } from '../kit/watched-store.ts';

/** Three instances; `a` owns the session. */
async function three(options: McpEndpointOptions = {}) {
  const store = watchedStore();
  const [a, b, c] = (await serveFleet(3, { store, ...options })) as [Member, Member, Member];
  const onA = a.client();
  await onA.initialize({ capabilities: { elicitation: { form: {} } } });
  /** What a crash leaves: no lease, and a record that names its owner. The copy of `a` knows nothing of it. */
  const kill = async (member: Member): Promise<void> => store.views[0]?.instances.leave(member.id);
  return { store, a, b, c, onA, onB: b.join(onA), onC: c.join(onA), kill };
}

const counts = async (...calls: ReadonlyArray<ReturnType<RawClient['call']>>): Promise<string[]> =>
  (await Promise.all(calls)).map(({ message }) => textOf(message) ?? JSON.stringify(message.error)).toSorted();

const data = (stream: RawResponse): unknown[] =>
  stream.events.flatMap(({ message }) => (message as { params?: { data?: unknown } } | undefined)?.params?.data ?? []);

test('two instances claim the session of a dead owner at once: one wins, the other relays to it', async () => {
  const { store, a, b, c, onB, onC, kill } = await three();
  const claims = gate();
  store.before['sessions.claim'] = claims.hook;
  await kill(a);
  const calls = [onB.call(...tool('count')), onC.call(...tool('count')), onB.call(...tool('count'))];
  await until(() => claims.waiting === 2);
  claims.open();
  expect(await counts(...calls)).toEqual(['1', '2', '3']);
  expect(b.lab.made.length + c.lab.made.length).toBe(1);
  expect(b.endpoint.sessions.count + c.endpoint.sessions.count).toBe(1);
});

test('two instances adopt the same migrated session at once: one keeps it, the other relays to it', async () => {
  const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'm', version: '1' } };
  const { store, b, c } = await three({ sessionMigrationHandler: { allowSessionMigration: () => params } });
  const creates = gate();
  store.before['sessions.create'] = creates.hook;
  const viaB = b.client();
  viaB.sessionId = 'adopted';
  const viaC = c.join(viaB);
  const calls = [viaB.call(...tool('count')), viaC.call(...tool('count'))];
  await until(() => creates.waiting === 2);
  creates.open();
  expect(await counts(...calls)).toEqual(['1', '2']);
  expect(b.endpoint.sessions.count + c.endpoint.sessions.count).toBe(1);
  const made = [...b.lab.made, ...c.lab.made];
  expect(made.filter(({ closed }) => !closed).length).toBe(1);
});

test('a session that is being adopted here is not claimed from under its adopter', async () => {
  const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'm', version: '1' } };
  const { store, b } = await three({ sessionMigrationHandler: { allowSessionMigration: () => params } });
  const replies = gate();
  store.after['sessions.create'] = replies.hook;
  const client = b.client();
  client.sessionId = 'adopted';
  const first = client.call(...tool('count'));
  await until(() => replies.waiting === 1);
  const second = client.call(...tool('count')); // finds the record, and no live copy
  expect((await client.call('ping', undefined, { sessionId: 'bad id' })).response.status).toBe(400);
  replies.open();
  expect(await counts(first, second)).toEqual(['1', '2']);
  expect(b.lab.made.length).toBe(1);
});

describe('an owner that lost its lease without knowing', () => {
  test('neither runs nor drops what it is asked: the new owner does it, once; its own copy ends', async () => {
    const { a, b, onA, onB, kill } = await three();
    const fenced: unknown[] = [];
    a.endpoint.sessions.events.on('fenced', ({ sessionId }) => fenced.push(sessionId));
    expect(await counts(onA.call(...tool('count')))).toEqual(['1']);
    const stream = await onA.get();
    const running = onA.call(...tool('hold'));
    const { ctx } = await a.lab.held();
    await kill(a);
    expect(await counts(onB.call(...tool('count')))).toEqual(['2']);
    expect(await counts(onA.call(...tool('count')))).toEqual(['3']);
    expect(fenced).toEqual([onA.sessionId]);
    expect((await running).message.error).toMatchObject({
      code: -32000,
      data: { reason: 'owner_lost', mayHaveRun: true },
    });
    // The response of the GET continues at the new owner.
    await b.lab.made[0]?.server.server.sendLoggingMessage({ level: 'info', data: 'from b' });
    await until(() => data(stream).length === 1);
    expect([ctx.mcpReq.signal.aborted, a.lab.made[0]?.closed, a.endpoint.sessions.count]).toEqual([true, true, 0]);
    expect(b.endpoint.sessions.count).toBe(1);
  });

  test.each(['2025-11-25', '2025-06-18'])(
    'a %s call that its new owner runs again is answered with that result, in the response of its client',
    async (protocolVersion) => {
      const looked = { a: 0, b: 0 };
      const lab = (at: 'a' | 'b') =>
        createLab((server) => {
          server.registerTool('look', { annotations: { readOnlyHint: true } }, async () => {
            looked[at] += 1;
            // The run at the first owner is still under way when that owner learns that it was taken over.
            if (at === 'a') await new Promise(() => {});
            return { content: [{ type: 'text', text: `seen by ${at}` }] };
          });
        });
      const store = watchedStore({ durable: true, inProcess: false });
      const labs = [lab('a'), lab('b')];
      const [a, b] = (await serveFleet(2, { store }, [{}, {}], labs)) as [Member, Member];
      const onA = a.client();
      await onA.initialize({ protocolVersion });
      const through = protocolVersion === '2025-11-25' ? onA : b.join(onA);
      const running = through.call(...tool('look'));
      await until(() => looked.a === 1);
      await store.views[0]?.instances.leave(a.id);
      expect(await counts(b.join(onA).call(...tool('count')))).toEqual(['1']);
      // Its next write tells it.
      expect(await counts(a.join(onA).call(...tool('count')))).toEqual(['2']);
      expect(textOf((await running).message)).toBe('seen by b');
      expect(looked).toEqual({ a: 1, b: 1 });
    },
  );

  test('writes no state any more', async () => {
    const { a, onA, onB, kill } = await three();
    const running = onA.call(...tool('hold'));
    const { session } = await a.lab.held();
    await session?.state.set('count', 10);
    await kill(a);
    expect(await counts(onB.call(...tool('count')))).toEqual(['11']);
    await expect(session?.state.set('count', 99)).rejects.toMatchObject({ code: 'SESSION_GONE' });
    expect((await running).message.error).toMatchObject({ data: { reason: 'owner_lost' } });
    expect(await counts(onB.call(...tool('count')))).toEqual(['12']);
  });

  test('may write until the claim is committed, and what it wrote is replayed; not after', async () => {
    const { store, a, b, onA, onB, kill } = await three();
    const log = (n: number) => a.lab.made[0]?.server.server.sendLoggingMessage({ level: 'info', data: n });
    const stream = await onA.get();
    const { id } = await stream.next();
    const claims = gate();
    store.before['sessions.claim'] = claims.hook;
    await kill(a);
    const called = onB.call('ping');
    await until(() => claims.waiting === 1);
    await log(1);
    await until(() => data(stream).length === 1);
    claims.open();
    expect((await called).response.status).toBe(200);
    await log(2);
    // The response of the GET continues at the new owner.
    await until(() => a.endpoint.sessions.count === 0);
    await b.lab.made[0]?.server.server.sendLoggingMessage({ level: 'info', data: 3 });
    await until(() => data(stream).length === 2);
    expect(data(stream)).toEqual([1, 3]);
    const resumed = await onB.get({ lastEventId: id });
    await until(() => data(resumed).length === 2);
    expect(data(resumed)).toEqual([1, 3]);
  });
});

describe('a reply that was lost', () => {
  test('of a claim: the session is claimed again for the request that waits', async () => {
    const { store, a, b, onB } = await three();
    await a.endpoint.drain();
    let lost = 0;
    store.after['sessions.claim'] = () => {
      lost += 1;
      throw storeAway('claiming', undefined);
    };
    const called = onB.call(...tool('count'));
    await until(() => lost >= 2);
    delete store.after['sessions.claim'];
    expect(textOf((await called).message)).toBe('1');
    expect([b.lab.made.length, b.endpoint.sessions.count]).toEqual([1, 1]);
  });

  test('of a claim: with waitMs 0 the request is refused, and the next one claims the session again', async () => {
    const { store, a, b, onB } = await three({ waitMs: 0 });
    await a.endpoint.drain();
    store.after['sessions.claim'] = () => {
      throw storeAway('claiming', undefined);
    };
    expect(refusalOf((await onB.call('ping')).response)).toBe('store_away');
    delete store.after['sessions.claim'];
    expect((await onB.call('ping')).response.status).toBe(200);
    expect([b.lab.made.length, b.endpoint.sessions.count]).toEqual([1, 1]);
  });

  test('of a release: the next instance claims', async () => {
    const { store, a, onB } = await three();
    store.after['sessions.release'] = () => {
      throw storeAway('releasing', undefined);
    };
    await a.endpoint.drain();
    delete store.after['sessions.release'];
    expect((await onB.call('ping')).response.status).toBe(200);
  });
});

describe('a restore', () => {
  async function failing(options: McpEndpointOptions = {}) {
    const served = await three();
    const failures = { left: 0, tried: 0 };
    const store = served.store;
    const lab = createLab(() => {
      failures.tried += 1;
      if (failures.left-- > 0) throw new Error('no database');
    });
    const sick = await serveMember({ store, ...options }, {}, lab);
    return { ...served, sick, onSick: sick.join(served.onA), failures };
  }

  test('that fails once is tried again for the requests that wait for it', async () => {
    const { a, onSick, failures } = await failing();
    await a.endpoint.drain();
    failures.left = 1;
    expect(await counts(...[1, 2, 3].map(() => onSick.call(...tool('count'))))).toEqual(['1', '2', '3']);
    expect(failures.tried).toBe(2);
  });

  test('that fails once refuses with waitMs 0, keeps the session, and is tried again', async () => {
    const { store, a, sick, onSick, onA, failures } = await failing({ waitMs: 0 });
    await a.endpoint.drain();
    failures.left = 1;
    const claims = gate();
    store.before['sessions.claim'] = claims.hook;
    const reads = () => store.calls.filter(({ call }) => call === 'sessions.read').length;
    const before = reads();
    const calls = [1, 2, 3].map(() => onSick.call(...tool('count')));
    await until(() => reads() === before + 3);
    claims.open();
    for (const { response, message, id } of await Promise.all(calls)) {
      expect(refusalOf(response, id)).toBe('restore_failed');
      expect(message).toMatchObject({ error: { code: -32000, data: { reason: 'restore_failed' } } });
    }
    expect(failures.tried).toBe(1); // one restore for all three
    expect(sick.log.matching(/could not be restored here; it is kept/).length).toBe(1);
    expect(await sick.endpoint.sessions.get(onA.sessionId ?? '')).toMatchObject({ status: 'hibernated' });
    expect(await counts(onSick.call(...tool('count')))).toEqual(['1']);
  });

  test('that always fails here does not keep another instance from it', async () => {
    const { a, sick, onSick, onB, failures } = await failing();
    await a.endpoint.drain();
    failures.left = Infinity;
    for (let n = 1; n <= 3; n++) {
      expect(refusalOf((await onSick.call('ping')).response)).toBe('restore_failed');
      expect(failures.tried).toBe(3 * n);
    }
    // Its head may leave before the last try fails: then the stream ends, and its client comes back.
    const stream = await onSick.get();
    await stream.untilEnd();
    expect(stream.events.flatMap(({ message }) => message ?? [])).toEqual([]);
    expect(await counts(onB.call(...tool('count')))).toEqual(['1']);
    expect(await counts(onSick.call(...tool('count')))).toEqual(['2']); // relayed
    expect(sick.endpoint.sessions.count).toBe(0);
  });

  test('under way when its instance drains is finished first; no request waits for ever', async () => {
    const { store, a, b, c, onB, onC } = await three();
    await a.endpoint.drain();
    const restores = gate();
    store.after['sessions.claim'] = restores.hook;
    const calls = [onB.call(...tool('count'))];
    await until(() => restores.waiting === 1);
    const draining = b.endpoint.drain({ timeoutMs: 0 });
    calls.push(onB.call(...tool('count')), onC.call(...tool('count')));
    restores.open();
    await draining;
    const statuses = (await Promise.all(calls)).map(({ response }) => response.status);
    for (const status of statuses) expect([200, 503]).toContain(status);
    expect((await onC.call('ping')).response.status).toBe(200);
    expect([b.endpoint.sessions.count, c.endpoint.sessions.count]).toEqual([0, 1]);
    for (const { closed } of b.lab.made) expect(closed).toBe(true);
  });

  test('makes room for itself, and is never the session that ends', async () => {
    const { a, b, onB } = await three({ maxIdleSessionCount: 1 });
    const idle = b.client();
    await idle.initialize();
    await a.endpoint.drain();
    expect((await onB.call('ping')).response.status).toBe(200);
    expect((await onB.call('ping')).response.status).toBe(200);
    expect((await idle.call('ping')).response.status).toBe(404);
  });

  test('of another user is not tried', async () => {
    const store = watchedStore();
    const auth = (headers: Record<string, unknown>) => ({
      token: 't',
      clientId: 'c',
      scopes: [],
      extra: { sub: headers['x-user'] },
    });
    const settings = [
      { face: 'node', auth },
      { face: 'node', auth },
    ] as const;
    const [a, b] = (await serveFleet(2, { store }, settings)) as [Member, Member];
    const alice = a.client({ headers: { 'x-user': 'alice' } });
    await alice.initialize();
    await a.endpoint.drain();
    const bob = b.join(alice, { headers: { 'x-user': 'bob' } });
    expect((await bob.call('ping')).response.status).toBe(403);
    expect((await bob.delete()).status).toBe(403);
    expect(b.lab.made.length).toBe(0);
    const again = b.join(alice, { headers: { 'x-user': 'alice' } });
    expect(JSON.parse(textOf((await again.call(...tool('who'))).message) ?? '')).toMatchObject({
      user: '["sub","","alice"]',
      restored: true,
    });
  });
});
