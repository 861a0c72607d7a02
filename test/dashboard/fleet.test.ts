/** What the pages of a fleet see, over every store: several instances, of which one has no dashboard. */
import { describe, expect, test } from 'vitest';
import { sessionHash } from '../../src/base/shown.ts';
import type { Store } from '../../src/stores/store.ts';
import type {
  FleetPage,
  InstanceRow,
  RecordRows,
  SessionDetail,
  SessionRow,
} from '../../src/dashboard/wire.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import { ACTION, ask, BEARER, jsonOf, mount, valueOf } from '../kit/dashboard.ts';
import { type FleetOptions, type Member, serveFleet } from '../kit/fleet.ts';
import { tool } from '../kit/lab.ts';
import { later } from '../kit/moving-time.ts';
import { sharedStore, storeKinds, useSharedStores } from '../kit/shared-stores.ts';
import { until } from '../kit/until.ts';
import { cut, mend, watchedStore, type WatchedStore } from '../kit/watched-store.ts';

useSharedStores();

interface Mounted extends Member {
  readonly dashboard: number;
}

async function mountedFleet(
  kind: (typeof storeKinds)[number],
  options: FleetOptions = {},
): Promise<[Mounted, Mounted]> {
  const connect = sharedStore(kind);
  // Several endpoints of one process share a memory store by being passed the same one.
  const store = kind === 'memory' ? connect() : connect;
  const [one, two] = await serveFleet(2, { store, leaseMs: 3_000, ...options });
  const mounted = async (member: Member): Promise<Mounted> =>
    Object.assign(Object.create(member) as Member, { dashboard: await mount(member.endpoint) });
  return [await mounted(one), await mounted(two)];
}

const rowOf = async ({ dashboard }: Mounted, id: string): Promise<InstanceRow | undefined> =>
  (await valueOf<FleetPage>(dashboard, 'fleet')).instances.find((one) => one.id === id);

const act = async ({ dashboard }: Mounted, path: string): Promise<number> =>
  (await ask(dashboard, `/api/${path}`, { method: 'POST', headers: ACTION, body: '{}' })).status;

describe.each(storeKinds)('on %s', (kind) => {
  test('a page sees the figures of every instance, from the store', async () => {
    const [one, two] = await mountedFleet(kind);
    const client = await two.openSession();
    await client.call('tools/list');
    for (let n = 0; n < 3; n++) await client.call(...tool('echo', { text: 'x' }));
    await client.call('tools/call', { name: 'a name of a client', arguments: {} });
    for (const origin of ['https://notes.example', 'https://notes.example'])
      await fetch(two.url, { method: 'POST', headers: { origin, 'user-agent': 'tester/1 (x)' } });
    const row = await until(async () => {
      const found = await rowOf(one, two.id);
      return found?.figures?.refusals?.[0]?.times === 2 ? found : undefined;
    });
    expect(row).toMatchObject({
      state: 'serving',
      process: { pid: process.pid },
      figures: { sessions: 1, waiting: 0, errors: 3 },
    });
    const { calls = [], tools, refusals, p50 } = row?.figures ?? {};
    // Initialize, the list, four calls, two refusals.
    expect(calls.reduce((sum, each) => sum + each, 0)).toBe(8);
    expect(p50).toBeGreaterThanOrEqual(0);
    expect(tools?.map(({ name, calls: of, errors }) => [name, of, errors])).toEqual([
      ['echo', 3, 0],
      ['_OTHER', 1, 1],
    ]);
    expect(refusals).toMatchObject([
      {
        status: 403,
        reason: 'origin',
        callers: [{ origin: 'https://notes.example', client: 'tester/1', times: 2 }],
      },
    ]);
    expect((await rowOf(one, one.id))?.figures?.sessions).toBe(0);
  });

  test('a session is found, shown and ended from another instance, without its id', async () => {
    const [one, two] = await mountedFleet(kind);
    const client = await two.openSession({ clientInfo: { name: 'shown', version: '1' } });
    await two.client().initialize({ clientInfo: { name: 'another', version: '1' } });
    const hash = sessionHash(client.sessionId ?? '');
    for (const query of ['shown', 'SHOW', hash.slice(0, 6), client.sessionId ?? '']) {
      const { rows, scanned } = await valueOf<RecordRows<SessionRow>>(
        one.dashboard,
        `sessions?q=${query}`,
      );
      expect([query, rows.map((row) => row.hash), scanned]).toEqual([query, [hash], 2]);
      expect(rows[0]).toMatchObject({
        status: 'live',
        owner: two.id,
        clientInfo: { name: 'shown' },
      });
      expect(JSON.stringify(rows)).not.toContain(client.sessionId);
    }
    const { rows } = await valueOf<RecordRows<SessionRow>>(one.dashboard, `sessions?q=${two.id}`);
    expect(rows).toHaveLength(2);
    // In a header, which no proxy logs.
    const headers = { ...BEARER, 'sojourn-search': encodeURIComponent(client.sessionId ?? '') };
    expect(
      jsonOf<RecordRows<SessionRow>>(await ask(one.dashboard, '/api/sessions', { headers })).rows,
    ).toHaveLength(1);
    const detail = await valueOf<SessionDetail>(one.dashboard, `sessions/${hash}`);
    const ref = rows.find((row) => row.hash === hash)?.ref;
    expect(detail).toMatchObject({
      hash,
      state: {},
      subscriptions: 0,
      protocolVersion: client.protocolVersion,
    });
    expect(JSON.stringify(detail)).not.toContain(client.sessionId);
    expect(await act(one, `sessions/${ref}/end`)).toBe(200);
    await until(() => two.endpoint.sessions.liveCount === 1);
    for (const { dashboard } of [one, two])
      expect(await valueOf(dashboard, `sessions/${ref}`)).toMatchObject({
        hash,
        ended: { reason: 'terminated' },
      });
    expect(await act(one, `sessions/${ref}/end`)).toBe(409);
    expect(await act(one, 'sessions/0123456789ab/end')).toBe(404);
    expect(
      (await ask(one.dashboard, '/api/sessions/0123456789ab', { headers: BEARER })).status,
    ).toBe(404);
  });

  test('an instance drains when it is ordered to, and has left then: it was not killed', async () => {
    const [one, two] = await mountedFleet(kind);
    await until(async () => (await rowOf(one, two.id))?.figures !== undefined);
    const { id } = two;
    // Orders go to other processes.
    expect(await act(one, `instances/${id}/drain`)).toBe(kind === 'memory' ? 409 : 200);
    if (kind === 'memory') expect(await act(two, `instances/${id}/drain`)).toBe(200);
    await until(async () => (await rowOf(one, id))?.state === 'draining');
    const { joinedAt, since } = (await rowOf(one, id)) ?? {};
    expect(since).toBeGreaterThan(Number(joinedAt));
    expect(two.endpoint.health().state).toBe('draining');
    await two.endpoint.close({ timeoutMs: 0 });
    await until(async () => (await rowOf(one, id))?.state === 'left');
    expect(await act(one, 'instances/nowhere/drain')).toBe(404);
  });
});

test('an instance that has joined again drains when it is ordered to', async () => {
  const store = watchedStore({ durable: true });
  const time = createFakeTime();
  const [one] = await mountedFleet('memory', { store, timeProvider: time });
  const { id } = one;
  cut(store, 'instances.announce', 'instances.renew', 'instances.list');
  await later(time, () => one.endpoint.health().state === 'lapsed');
  mend(store);
  await later(time, () => one.endpoint.health().state === 'serving' && one.id !== id);
  expect(await act(one, `instances/${id}/drain`)).toBe(404);
  expect(await act(one, `instances/${one.id}/drain`)).toBe(200);
  await until(() => one.endpoint.health().state === 'draining');
});

describe('an instance that does not renew its lease', () => {
  /** `watch`: each state in which the first instance shows the second one, and since when, in ms after it joined. */
  async function cutOff() {
    const time = createFakeTime();
    const connect = sharedStore('sqlite');
    const [own, other] = [0, 1].map(() => watchedStore({ durable: true, inner: connect() }));
    const stores = [own, other] as [WatchedStore, WatchedStore];
    let opened = 0;
    const options = {
      store: () => stores[opened++] as Store,
      timeProvider: time,
      keepAliveMs: Infinity,
    };
    const [one, { id }] = await mountedFleet('memory', options);
    const began = time.now();
    const watch = async (forMs: number, rowOfIt = () => rowOf(one, id)): Promise<unknown[]> => {
      const seen = new Map<string | undefined, number>();
      // Each look reads the store, so its calls take no longer than a few of these steps.
      for (let ms = 0; ms < forMs; ms += 50) {
        await time.advance(50);
        const { state, since = NaN } = (await rowOfIt()) ?? {};
        seen.set(state, since - began);
      }
      return [...seen];
    };
    return { one, stores, watch };
  }

  test('is silent since its last renewal, and killed since then once the lease is gone', async () => {
    const { stores, watch } = await cutOff();
    await watch(2_500);
    cut(stores[1]);
    const seen = (await watch(5_000)) as [string, number][];
    const [, [, since] = ['', 0]] = seen;
    expect(seen).toEqual([
      ['serving', 0],
      ['silent', since],
      ['killed', since],
    ]);
    // It renews each second; on a busy machine the last renewal may not have been seen.
    expect([1_000, 2_000]).toContain(since);
  });

  test('serves while nothing is known: the store is away for all, and it comes back later than others', async () => {
    const { one, stores, watch } = await cutOff();
    await watch(100);
    for (const store of stores) cut(store);
    const other = async () => {
      const { instances } = await valueOf<FleetPage>(one.dashboard, 'fleet');
      expect(instances).toHaveLength(2);
      return instances.find(({ id }) => id !== one.id);
    };
    const states = await watch(6_000, other);
    mend(stores[0]);
    states.push(...(await watch(1_000, other)));
    mend(stores[1]);
    expect([...states, ...(await watch(3_000, other))]).toEqual(Array(3).fill(['serving', 0]));
  });
});

test('an instance that has left is shown for two minutes', async () => {
  const time = createFakeTime();
  const [one, two] = await mountedFleet('memory', { timeProvider: time });
  const { id } = two;
  expect(await rowOf(one, id)).toMatchObject({ state: 'serving' });
  await two.endpoint.close({ timeoutMs: 0 });
  expect(await rowOf(one, id)).toMatchObject({ state: 'left' });
  await time.advance(119_000);
  expect(await rowOf(one, id)).toMatchObject({ state: 'left' });
  await time.advance(2_000);
  expect(await rowOf(one, id)).toBeUndefined();
});

test('a list has pages of 100 at any instance, which tell no id', async () => {
  const [one, two] = await mountedFleet('memory');
  const clients = Array.from({ length: 110 }, () => two.client());
  await Promise.all(clients.map((client) => client.initialize({ initialized: false })));
  const answer = await ask(one.dashboard, '/api/sessions', { headers: BEARER });
  const first = jsonOf<RecordRows<SessionRow>>(answer);
  const cursor = encodeURIComponent(first.nextCursor ?? '');
  const rest = await valueOf<RecordRows<SessionRow>>(two.dashboard, `sessions?cursor=${cursor}`);
  expect([first.rows.length, rest.rows.length, rest.nextCursor]).toEqual([100, 10, undefined]);
  const ids = clients.map(({ sessionId }) => sessionId ?? '');
  expect(new Set([...first.rows, ...rest.rows].map(({ hash }) => hash))).toEqual(
    new Set(ids.map(sessionHash)),
  );
  const opened = Buffer.from(first.nextCursor ?? '', 'base64url').toString('latin1');
  expect(ids.filter((id) => opened.includes(id) || JSON.stringify(first).includes(id))).toEqual([]);
  // A row keeps its name, so that the page keeps it.
  expect(
    jsonOf<RecordRows<SessionRow>>(await ask(one.dashboard, '/api/sessions', { headers: BEARER })),
  ).toEqual(first);
});

test('an instance without a dashboard keeps nothing, writes nothing, and is shown without figures', async () => {
  const connect = sharedStore('memory');
  const store = connect();
  const [one, two] = await serveFleet(2, { store });
  const dashboard = await mount(one.endpoint);
  const page = await until(async () => {
    const found = await valueOf<FleetPage>(dashboard, 'fleet');
    return found.instances.length === 2 ? found : undefined;
  });
  const other = page?.instances.find(({ id }) => id === two.id);
  expect(other).toMatchObject({ state: 'serving' });
  expect(other).not.toHaveProperty('figures');
});

test('figures are read when a page asks, and no lease carries them', async () => {
  const store = watchedStore();
  const [one, two] = await mountedFleet('memory', { store, leaseMs: 300 });
  const callsOf = (name: string) => store.calls.filter(({ call }) => call === name);
  await until(() => callsOf('figures.save').length >= 8);
  expect([callsOf('figures.create').length, callsOf('figures.read').length]).toEqual([2, 0]);
  expect(JSON.stringify(await store.views[0]?.instances.list())).not.toMatch(/refusals|storeMs/);
  expect(await rowOf(one, two.id)).toMatchObject({ figures: { sessions: 0 } });
  expect(callsOf('figures.read').map(({ args }) => args)).toEqual([[two.id]]);
});
