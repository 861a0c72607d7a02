/** What the pages of a fleet see, over every store: several instances, of which one has no dashboard. */
import { describe, expect, onTestFinished, test } from 'vitest';
import type { FleetSnapshot, FleetEvent, StoppedInstance } from '../../src/dashboard/wire.ts';
import { sessionHash } from '../../src/base/shown.ts';
import type {
  ChangedRow,
  RefusalReason,
  Rows,
  SessionDetail,
  SessionPage,
  SessionRow,
} from '../../src/dashboard/wire-pages.ts';
import { type FleetOptions, type Member, serveFleet } from '../kit/fleet.ts';
import { ACTION, ask, BEARER, jsonOf, mount, openStream, TOKEN } from '../kit/dashboard.ts';
import { sharedStore, storeKinds, useSharedStores } from '../kit/shared-stores.ts';
import { tool } from '../kit/lab.ts';
import { until } from '../kit/until.ts';

useSharedStores();

const WAIT = { timeoutMs: 15_000 };

interface Mounted extends Member {
  readonly dashboard: number;
}

async function mountedFleet(kind: (typeof storeKinds)[number], size = 2, options: FleetOptions = {}) {
  const connect = sharedStore(kind);
  // Several endpoints of one process share a memory store by being passed the same one.
  const store = kind === 'memory' ? connect() : connect;
  const members = await serveFleet(size, { store, leaseMs: 9_000, ...options });
  const mounted: Mounted[] = [];
  for (const member of members)
    mounted.push(Object.assign(Object.create(member) as Member, { dashboard: await mount(member.endpoint) }));
  return mounted;
}

const figuresOf = (fleet: FleetSnapshot | undefined, id: string) => fleet?.instances.find((one) => one.id === id);

describe.each(storeKinds)('on %s', (kind) => {
  test('a page sees the figures of every instance', { timeout: 60_000 }, async () => {
    const [one, two] = (await mountedFleet(kind)) as [Mounted, Mounted];
    const client = two.client();
    await client.initialize();
    await client.call(...tool('echo', { text: 'x' })).catch(() => {});
    const page = await openStream(one.dashboard, '/api/stream');
    // A report that is late for a moment makes its instance silent.
    const seen = await until(() => {
      const now = page.of<FleetSnapshot>('fleet').at(-1);
      const figures = [one, two].map(({ id }) => figuresOf(now, id));
      return figures[1]?.sessions === 1 && figures.every((each) => each?.state === 'serving') ? now : undefined;
    }, WAIT);
    expect(seen?.instances).toHaveLength(2);
    expect(figuresOf(seen, two.id)?.count?.requests).toBeGreaterThan(1);
    expect(figuresOf(seen, one.id)?.sessions).toBe(0);
    expect(page.of<FleetEvent>('event').map((event) => event.kind)).toEqual(['joined', 'joined']);
    page.close();
  });

  test('a session is found, shown and ended from another instance', { timeout: 60_000 }, async () => {
    const [one, two] = (await mountedFleet(kind)) as [Mounted, Mounted];
    const client = two.client();
    await client.initialize({ clientInfo: { name: 'shown', version: '1' } });
    await client.call('tools/list');
    await client.call('tools/call', { name: 'no such tool', arguments: {} });
    const rows = jsonOf<{ sessions: SessionRow[] }>(
      await ask(one.dashboard, '/api/sessions', { headers: BEARER }),
    ).sessions;
    expect(rows.map(({ status, owner, clientInfo }) => [status, owner, clientInfo.name])).toEqual([
      ['live', two.id, 'shown'],
    ]);
    const hash = rows[0]?.hash ?? '';
    expect(JSON.stringify(rows)).not.toContain(client.sessionId);
    const detail = await until(async () => {
      const found = jsonOf<SessionDetail>(await ask(one.dashboard, `/api/sessions/${hash}`, { headers: BEARER }));
      return found.timeline.length === 5 ? found : undefined;
    }, WAIT);
    expect(detail?.exact).toBe(true);
    expect(detail?.timeline.map((row) => (row.kind === 'event' ? row.what : row.method))).toEqual([
      'tools/call',
      'tools/list',
      'notifications/initialized',
      'opened',
      'initialize',
    ]);
    // A name that the server does not have is text of a client.
    expect(JSON.stringify(detail)).not.toContain('no such tool');
    expect(JSON.stringify(detail)).not.toContain(client.sessionId);
    expect((await ask(one.dashboard, `/api/sessions/${hash}/end`, { method: 'POST', headers: ACTION })).status).toBe(
      200,
    );
    await until(() => two.endpoint.sessions.count === 0, WAIT);
    const ended = jsonOf<SessionDetail>(await ask(one.dashboard, `/api/sessions/${hash}`, { headers: BEARER }));
    expect(ended.ended?.reason).toBe('terminated');
    const again = await ask(one.dashboard, `/api/sessions/${hash}/end`, { method: 'POST', headers: ACTION });
    expect(again.status).toBe(409);
    expect((await ask(one.dashboard, '/api/sessions/0123456789ab', { headers: BEARER })).status).toBe(404);
  });

  // Every store passes the cases of the contract about cursors.
  const isEven = storeKinds.indexOf(kind) % 2 === 0;
  const title = 'a list continues at another instance, and its cursor tells no id';
  if (isEven)
    test(title, { timeout: 120_000 }, async () => {
      const [one, two] = (await mountedFleet(kind)) as [Mounted, Mounted];
      const clients = Array.from({ length: 1_010 }, () => two.client());
      for (let n = 0; n < clients.length; n += 50)
        await Promise.all(clients.slice(n, n + 50).map(async (client) => client.initialize({ initialized: false })));
      const first = jsonOf<SessionPage>(await ask(one.dashboard, '/api/sessions', { headers: BEARER }));
      const cursor = encodeURIComponent(first.nextCursor ?? '');
      const rest = jsonOf<SessionPage>(await ask(two.dashboard, `/api/sessions?cursor=${cursor}`, { headers: BEARER }));
      const all = [...first.sessions, ...rest.sessions].map(({ hash }) => hash);
      expect(new Set(all)).toEqual(new Set(clients.map(({ sessionId }) => sessionHash(sessionId ?? ''))));
      const ids = clients.map(({ sessionId }) => sessionId ?? '');
      const opened = Buffer.from(first.nextCursor ?? '', 'base64url').toString('latin1');
      expect(ids.filter((id) => opened.includes(id) || JSON.stringify(first).includes(id))).toEqual([]);
    });

  test('refusals at every instance are one list, with what allows them', { timeout: 60_000 }, async () => {
    const [one, two] = (await mountedFleet(kind)) as [Mounted, Mounted];
    for (const member of [one, two, two])
      await fetch(member.url, {
        method: 'POST',
        headers: { origin: 'https://notes.example', 'user-agent': 'tester/1' },
      });
    const list = async () =>
      jsonOf<{ reasons: RefusalReason[] }>(await ask(one.dashboard, '/api/refusals', { headers: BEARER })).reasons;
    // What an instance does not answer in time is missing in the list.
    const reasons = await until(async () => {
      const found = await list();
      return found[0]?.times === 3 ? found : undefined;
    }, WAIT);
    expect(reasons).toMatchObject([
      {
        status: 403,
        reason: 'origin',
        times: 3,
        callers: [{ origin: 'https://notes.example', client: 'tester/1', times: 3 }],
        allow: { variable: "SOJOURN_ALLOWED_ORIGINS='localhost,127.0.0.1,[::1],https://notes.example'" },
      },
    ]);
    // A minute of the clock may begin in between.
    const [before = 0, now = 0] = reasons?.[0]?.minutes?.slice(-2) ?? [];
    expect(before + now).toBe(3);
  });

  test('another instance drains when it is ordered to', { timeout: 60_000 }, async () => {
    const [one, two] = (await mountedFleet(kind)) as [Mounted, Mounted];
    const page = await openStream(one.dashboard, '/api/stream');
    await until(() => figuresOf(page.of<FleetSnapshot>('fleet').at(-1), two.id)?.sessions !== undefined, WAIT);
    const order = await ask(one.dashboard, `/api/instances/${two.id}/drain`, { method: 'POST', headers: ACTION });
    expect(order.status).toBe(200);
    await until(() => two.endpoint.health().state !== 'serving', WAIT);
    const stop = await until(() => page.of<StoppedInstance>('stop').find((each) => each.overAt !== undefined), WAIT);
    expect(stop).toMatchObject({ kind: 'drain', instance: two.id, lost: 0 });
    expect(page.of<FleetEvent>('event').map((event) => event.kind)).toContain('drained');
    const unknown = await ask(one.dashboard, '/api/instances/nowhere/drain', { method: 'POST', headers: ACTION });
    expect(unknown.status).toBe(404);
  });
});

describe.each(storeKinds)('on %s', (kind) => {
  test(
    'a page that begins to list sessions gets those of other instances at once, as they are',
    { timeout: 60_000 },
    async () => {
      const [one, two] = (await mountedFleet(kind)) as [Mounted, Mounted];
      const clients = Array.from({ length: 3 }, () => two.client());
      for (const client of clients) await client.initialize();
      await clients[0]?.call('tools/list');
      const hashes = clients.map(({ sessionId = '' }) => sessionHash(sessionId));
      for (let pages = 0; pages < 2; pages++) {
        // The second page comes while the first one is open.
        const rows = await openStream(one.dashboard, '/api/stream?rows');
        const seen = (): SessionRow[] =>
          rows.of<Rows>('rows').flatMap((each) => each.rows.filter((row): row is SessionRow => !('leftAt' in row)));
        await until(() => hashes.every((hash) => seen().some((row) => row.hash === hash)), WAIT);
        const first = seen().find(({ hash }) => hash === hashes[0]);
        expect(first).toMatchObject({
          owner: two.id,
          status: 'live',
          exact: true,
          calls: 2,
          posts: 0,
          getStream: false,
        });
      }
    },
  );
});

/** How a session leaves its owner: the row that pages get, and what its next owner says. */
const LEAVES = [
  ['hibernated', { maxIdleSessionCount: 1 }, 'woken', 0],
  ['released', {}, 'takenOver', 1],
] as const;

describe.each(storeKinds)('on %s', (kind) => {
  // No store looks at how a session leaves: each has one of them.
  test.skipIf(kind === 'memory').each(LEAVES.filter((_, n) => n === storeKinds.indexOf(kind) % 2))(
    'a session that is %s says so, and continues elsewhere as itself',
    { timeout: 60_000 },
    async (status, options, what, moved) => {
      const [one, two] = (await mountedFleet(kind, 2, options)) as [Mounted, Mounted];
      const client = two.client();
      await client.initialize();
      for (let n = 0; n < 3; n++) await client.call('tools/list');
      const rows = await openStream(one.dashboard, '/api/stream?rows');
      const page = await openStream(one.dashboard, '/api/stream');
      const hash = sessionHash(client.sessionId ?? '');
      const last = (of: string | undefined, now: ChangedRow['status']) => {
        const all = rows.of<Rows>('rows').flatMap((each) => each.rows);
        return all.findLast((row) => row.hash === hash && row.status === now && ('leftAt' in row || row.owner === of));
      };
      // The other instance hears first that rows are wanted.
      let calls = 4;
      const live = await until(async () => (await client.call('tools/list'), (calls += 1), last(two.id, 'live')), WAIT);
      const counted = live !== undefined && 'calls' in live ? live.calls : undefined;
      expect(counted).toBeGreaterThanOrEqual(5);
      expect(counted).toBeLessThanOrEqual(calls);
      if (status === 'hibernated') await two.client().initialize();
      else void two.endpoint.drain();
      expect(await until(() => last(undefined, status), WAIT)).toEqual({
        hash,
        status,
        leftAt: expect.any(Number) as number,
      });
      await one.join(client).call('tools/list');
      await until(() => last(one.id, 'live'), WAIT);
      const detail = jsonOf<SessionDetail>(await ask(one.dashboard, `/api/sessions/${hash}`, { headers: BEARER }));
      expect(detail.timeline.find((row) => row.kind === 'event' && row.instance === one.id)).toMatchObject({ what });
      await until(() => figuresOf(page.of<FleetSnapshot>('fleet').at(-1), one.id)?.count?.moved === moved, WAIT);
    },
  );
});

test('an instance without a dashboard is shown without figures', async () => {
  const [one, two] = await serveFleet(2, { store: sharedStore('memory')() });
  const port = await mount(one?.endpoint as Member['endpoint'], { token: TOKEN });
  const page = await openStream(port, '/api/stream');
  onTestFinished(page.close);
  const seen = await until(() => page.of<FleetSnapshot>('fleet').at(3), WAIT);
  expect(figuresOf(seen, two?.id ?? '')).toMatchObject({ state: 'serving' });
  expect(figuresOf(seen, two?.id ?? '')).not.toHaveProperty('sessions');
});
