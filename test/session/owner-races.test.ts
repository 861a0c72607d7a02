import { describe, expect, test } from 'vitest';
import type { McpEndpointOptions } from '../../src/index.ts';
import { decodeHead } from '../../src/session/record/session-record.ts';
import type { StoredRecord } from '../../src/stores/store.ts';
import type { RawClient } from '../kit/raw-client.ts';
import type { RawResponse } from '../kit/raw-response.ts';
import { serveFleet, type Member } from '../kit/fleet.ts';
import { textOf, tool } from '../kit/lab.ts';
import { until } from '../kit/until.ts';
import { gate, watchedStore } from '../kit/watched-store.ts';

/** Three instances; `a` owns the session. */
async function three(options: McpEndpointOptions = {}) {
  const store = watchedStore();
  const [a, b, c] = await serveFleet(3, { store, ...options });
  const onA = await a.openSession({ capabilities: { elicitation: { form: {} } } });
  /** What a crash leaves: no lease, and a record that names its owner. The copy of `a` knows nothing of it. */
  const kill = async (member: Member): Promise<void> => store.views[0]?.instances.leave(member.id);
  return { store, a, b, c, onA, onB: b.join(onA), onC: c.join(onA), kill };
}

const counts = async (...calls: ReadonlyArray<ReturnType<RawClient['call']>>): Promise<string[]> =>
  (await Promise.all(calls)).map(({ message }) => textOf(message) ?? JSON.stringify(message.error)).toSorted();

const data = (stream: RawResponse): unknown[] =>
  stream.events.flatMap(({ message }) => (message as { params?: { data?: unknown } } | undefined)?.params?.data ?? []);

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

  test('accepts no notification that it could not save: the new owner gets it', async () => {
    const store = watchedStore({ durable: true, inProcess: false });
    const [a, b] = await serveFleet(2, { store });
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
});

describe('a restore', () => {
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
});
