import { describe, expect, test } from 'vitest';
import { storeUnavailable } from '../../src/base/errors.ts';
import { memory } from '../../src/stores/memory/index.ts';
import { type FleetOptions, serveFleet, serveMember } from '../kit/fleet.ts';
import { refusalOf } from '../kit/refusals.ts';
import { userHeader } from '../kit/serve.ts';
import { watchedStore } from '../kit/watched-store.ts';

async function pair(options: FleetOptions = {}) {
  const ended: string[] = [];
  const sessionMigrationHandler = {
    allowSessionMigration: () => null,
    onSessionEnded: (_id: string, reason: string) => void ended.push(reason),
  };
  const [a, b] = await serveFleet(2, { sessionMigrationHandler, ...options });
  const onA = await a.openSession();
  return { a, b, onA, onB: b.join(onA), ended };
}

describe('a session without a live owner', () => {
  test.each(['drained', 'crashed'])(
    'is ended by terminate() without being restored where its owner has %s',
    async (what) => {
      const store = watchedStore();
      const { a, b, onA, onB, ended } = await pair({ store });
      if (what === 'drained') await a.endpoint.drain();
      else await store.views[0]?.instances.leave(a.id);
      expect(await b.endpoint.sessions.end(onA.sessionId ?? '')).toBe(true);
      expect([ended, b.lab.made.length]).toEqual([['terminated'], 0]);
      expect((await onB.call('ping')).response.status).toBe(404);
    },
  );

  test.each(['at the other instance', 'without a live owner'])(
    'that belongs to a user is ended by terminate(), which has none: %s',
    async (where) => {
      const settings = { face: 'node', auth: userHeader } as const;
      const [a, b] = await serveFleet(2, {}, [settings, settings]);
      const ann = await a.openSession({}, { headers: { 'x-user': 'ann' } });
      expect((await b.join(ann, { headers: {} }).delete()).status).toBe(403);
      if (where === 'without a live owner') await a.endpoint.drain();
      expect(await b.endpoint.sessions.end(ann.sessionId ?? '')).toBe(true);
      expect((await b.join(ann).call('ping')).response.status).toBe(404);
    },
  );

  test('is ended by a terminate() that waits for the store', async () => {
    const store = watchedStore();
    const { a, b, onA } = await pair({ store });
    await a.endpoint.drain();
    let tries = 0;
    store.before['sessions.read'] = () => {
      if (tries++ === 0) throw storeUnavailable('reading a session', undefined);
    };
    expect(await b.endpoint.sessions.end(onA.sessionId ?? '')).toBe(true);
    expect(tries).toBeGreaterThan(1);
  });

  test('is not ended by a terminate() that may not wait for the store', async () => {
    const store = watchedStore();
    const { a, b, onA } = await pair({ store, maxWaitMs: 0 });
    await a.endpoint.drain();
    store.before['sessions.read'] = () => {
      throw storeUnavailable('reading a session', undefined);
    };
    await expect(b.endpoint.sessions.end(onA.sessionId ?? '')).rejects.toMatchObject({
      code: 'STORE_UNAVAILABLE',
    });
    expect(await b.endpoint.sessions.end('')).toBe(false);
    delete store.before['sessions.read'];
  });

  test('is ended by DELETE, even when it cannot be restored any more', async () => {
    const store = memory();
    const a = await serveMember({ store });
    const onA = await a.openSession();
    const b = await serveMember({
      store,
      configureSessionOptions: () => Promise.reject(new Error('no tenant')),
    });
    await a.endpoint.drain();
    const onB = b.join(onA);
    expect(refusalOf((await onB.call('ping')).response)).toBe('restore_failed');
    expect((await onB.delete()).status).toBe(200);
    expect((await onB.call('ping')).response.status).toBe(404);
  });
});

test('sessions are listed at every instance, with their owners', async () => {
  const { a, b, onA } = await pair();
  const onB = await b.openSession();
  for (const { endpoint } of [a, b]) {
    const { sessions } = await endpoint.sessions.list();
    const shown = sessions.map(({ id, status, owner }) => [id, status, owner]);
    const expected = [
      [onA.sessionId, 'live', a.id],
      [onB.sessionId, 'live', b.id],
    ];
    expect(shown.toSorted()).toEqual(expected.toSorted());
    expect(await endpoint.sessions.get(onA.sessionId ?? '')).toMatchObject({
      owner: a.id,
      protocolVersion: '2025-11-25',
    });
  }
  expect([a.endpoint.sessions.liveCount, b.endpoint.sessions.liveCount]).toEqual([1, 1]);
  await a.endpoint.drain();
  expect(await b.endpoint.sessions.get(onA.sessionId ?? '')).toMatchObject({
    status: 'released',
  });
});

test.each(['last', 'first'])(
  'the end of the last endpoint on a memory store ends the sessions, though the %s of them had claimed them',
  async (which) => {
    const { a, b, ended } = await pair();
    const [first, last] = which === 'last' ? [b, a] : [a, b];
    await first.endpoint.close({ timeoutMs: 0 });
    expect(ended).toEqual([]);
    await last.endpoint.close({ timeoutMs: 0 });
    expect(ended).toEqual(['endpoint_closed']);
  },
);
