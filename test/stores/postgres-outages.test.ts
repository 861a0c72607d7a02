/** A server that crashes, freezes, loses its connections or its data, and comes back. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { postgres } from '../../packages/postgres/src/index.ts';
import type { View } from '../store-contract/view.ts';
import { createFaultProxy } from '../kit/fault-proxy.ts';
import {
  describeWhereInstalled,
  describeWithServer,
  freePort,
  startServer,
  type TestServer,
} from '../kit/servers/index.ts';
import { until } from '../kit/until.ts';
import { connect, FENCE, ME, newDatabase, openView, recordOf, storeOptions } from './postgres-views.ts';
import { openPlain } from './views.ts';

/** The shortest time limit of a store: a second. */
const IMPATIENT = { leaseMs: 1_500 };
const AWAY = { code: 'STORE_AWAY' };

async function start(port?: number): Promise<TestServer> {
  const server = await startServer('postgres', port === undefined ? {} : { port });
  onTestFinished(() => server.close());
  return server;
}

/** One of each kind. */
const calls: Readonly<Record<string, (view: View) => unknown>> = {
  read: ({ records }) => records.read('s'),
  list: ({ records }) => records.list(10),
  create: ({ records }) => records.create(recordOf('other')),
  save: ({ records }) => records.save('s', FENCE, { stamp: 1 }),
  claim: ({ records }) => records.claim('s', FENCE, ME),
  end: ({ records }) => records.end('other', FENCE, 'deleted'),
  mark: ({ records }) => records.append({ id: 's', fence: FENCE, stream: null, mark: { name: '1', stream: 'p' } }),
  append: ({ records }) => records.append({ id: 's', fence: FENCE, stream: 'p', from: 0, events: ['1'] }),
  replay: ({ records }) => records.replay('s', 'p', -1),
  announce: ({ instances }) => instances.announce({ id: 'new', state: 'serving', version: '1' }, () => undefined),
  renew: ({ instances }) => instances.renew('a', 'serving'),
  lease: ({ instances }) => instances.read('a'),
  send: ({ instances }) => instances.send('a', 'a', { kind: 'word' }),
  publish: ({ instances }) => instances.publish('a', { kind: 'word' }),
  secret: (view) => view.secret('unknown'),
};

async function expectAllAway(view: View): Promise<void> {
  const settled = await Promise.allSettled(Object.values(calls).map(async (call) => call(view)));
  for (const [n, name] of Object.keys(calls).entries()) {
    expect(settled[n], name).toMatchObject({ status: 'rejected', reason: AWAY });
  }
}

/** Two instances, `a` and `b`, and a session of `ME`. */
async function openInstances(url: string, more: object = IMPATIENT) {
  const [a, b] = [await openView(url, more), await openView(url, more)];
  const [heard, lost]: [unknown[], string[]] = [[], []];
  const announce = (view: View, id: string): unknown =>
    view.instances.announce(
      { id, state: 'serving', version: '1' },
      (_, { word }) => heard.push(word),
      () => lost.push(id),
    );
  await announce(a, 'a');
  await announce(b, 'b');
  await a.records.create(recordOf('s'));
  let fresh = 0;
  /** Under a new id: the lease of the old one may have run out. */
  const works = async (): Promise<boolean> => {
    const id = `fresh-${fresh++}`;
    await announce(a, id);
    if ((await b.instances.send('b', id, { kind: 'word', word: id })) !== 'sent') return false;
    await until(() => heard.includes(id));
    return (await a.records.save('s', FENCE, { stamp: 1 })) === 'written';
  };
  return { a, b, heard, lost, works };
}

describeWithServer('postgres', 'the PostgreSQL store, on a server that keeps running,', (server) => {
  test('answers within its time limit on a silent network, and recovers by itself', async () => {
    const url = await newDatabase(server().url);
    const proxy = await createFaultProxy({ port: server().port });
    onTestFinished(() => proxy.close());
    const { a, lost, works } = await openInstances(url.replace(String(server().port), String(proxy.port)));
    proxy.blackHole(true);
    await expectAllAway(a);
    expect(lost).toContain('a');
    proxy.cutAll();
    proxy.blackHole(false);
    await until(works, { timeoutMs: 10_000 });
  });

  test('reconnects after a cut, reports that messages may be lost, and then reads them', async () => {
    const url = await newDatabase(server().url);
    const proxy = await createFaultProxy({ port: server().port });
    onTestFinished(() => proxy.close());
    const view = await openView(url, { leaseMs: 60_000 });
    const heard: unknown[] = [];
    const lost: string[] = [];
    const other = await openView(url.replace(String(server().port), String(proxy.port)), { leaseMs: 60_000 });
    await other.instances.announce(
      { id: 'cut', state: 'serving', version: '1' },
      (_, { n }) => heard.push(n),
      () => lost.push('cut'),
    );
    proxy.refuse(true);
    proxy.cutAll();
    await until(() => lost.length > 0);
    await until(async () => (await view.instances.send('me', 'cut', { kind: 'word', n: 1 })) === 'suspect');
    await expect(Promise.resolve(other.instances.renew('cut', 'serving'))).rejects.toMatchObject(AWAY);
    proxy.heal();
    await until(async () => other.instances.renew('cut', 'serving'));
    expect(await view.instances.send('me', 'cut', { kind: 'word', n: 2 })).toBe('sent');
    await until(() => heard.includes(2));
    expect(heard[0]).toBe(1);
    expect(lost).toEqual(['cut']);
  });

  test('is away for a read whose connection breaks, without other effects', async () => {
    const url = await newDatabase(server().url);
    const proxy = await createFaultProxy({ port: server().port });
    onTestFinished(() => proxy.close());
    const { a, works } = await openInstances(url.replace(String(server().port), String(proxy.port)));
    // The connection is back for the next read.
    await works();
    await a.records.read('s');
    const unheard: unknown[] = [];
    const listener = (error: unknown): void => void unheard.push(error);
    process.on('uncaughtException', listener);
    onTestFinished(() => void process.off('uncaughtException', listener));
    proxy.blackHole(true);
    const read = expect(Promise.resolve(a.records.read('s'))).rejects.toMatchObject(AWAY);
    await new Promise((turn) => setImmediate(turn));
    proxy.cutAll();
    proxy.heal();
    await read;
    await until(works, { timeoutMs: 10_000 });
    expect(unheard).toEqual([]);
  });

  test.each(['writes', 'listens'])('reconnects when an administrator ends the connection that %s', async (which) => {
    const url = await newDatabase(server().url);
    const { lost, works } = await openInstances(url, { leaseMs: 60_000 });
    await works();
    const client = await connect(url);
    const last = which === 'writes' ? '%put_rows%' : '%.messages%';
    const { rows } = await client.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE $1 AND datname = current_database() AND pid <> pg_backend_pid()`,
      [last],
    );
    expect(rows.length).toBeGreaterThan(0);
    await until(works);
    await until(() => lost.includes('a') === (which === 'listens'));
  });

  test('creates its tables again after they were dropped; their contents are missing', async () => {
    const url = await newDatabase(server().url);
    const { a } = await openInstances(url, { leaseMs: 60_000 });
    const client = await connect(url);
    for (const call of ['read', 'save', 'append', 'renew', 'send', 'secret', 'create']) {
      await client.query('DROP SCHEMA sojourn CASCADE');
      await Promise.resolve(calls[call]?.(a));
      expect(await a.records.read('s'), call).toBeUndefined();
    }
  });
});

describeWhereInstalled('postgres', 'the PostgreSQL store', () => {
  test('is away while its server is away, and recovers by itself', async () => {
    const server = await start();
    const { a, b, lost, works } = await openInstances(server.url, { leaseMs: 60_000 });
    await server.killed();
    await expectAllAway(a);
    await until(() => lost.includes('a') && lost.includes('b'));
    await expectAllAway(a);
    await server.start();
    await until(works, { timeoutMs: 10_000 });
    // A lease that has not expired is renewed, and its instance receives again.
    expect(await a.instances.renew('a', 'serving')).toBe(true);
    expect(await b.instances.renew('b', 'serving')).toBe(true);
    expect(await a.instances.send('a', 'b', { kind: 'word' })).toBe('sent');
    expect(await a.records.read('s')).toMatchObject({ owner: ME });
  });

  test('answers within its time limit while the server is frozen, and recovers by itself', async () => {
    const server = await start();
    const { a, lost, works } = await openInstances(server.url, { leaseMs: 3_000 });
    server.pause();
    try {
      await expectAllAway(a);
      await expectAllAway(a);
    } finally {
      server.resume();
    }
    expect(lost).toContain('a');
    await until(works, { timeoutMs: 10_000 });
  });

  test('finds nothing when the server comes back without its data, and creates its tables again', async () => {
    const port = await freePort();
    const first = await start(port);
    const { a, works } = await openInstances(first.url, { leaseMs: 60_000 });
    await first.close();
    await expectAllAway(a);
    await start(port);
    await until(async () => (await a.records.read('s')) === undefined, { timeoutMs: 10_000 });
    expect(await a.records.save('s', FENCE, { stamp: 1 })).toBe('fenced');
    expect(await a.instances.renew('a', 'serving')).toBe(false);
    await a.instances.announce({ id: 'again', state: 'serving', version: '1' }, () => undefined);
    expect((await a.instances.list()).map(({ id }) => id)).toEqual(['again']);
    expect(await a.records.create(recordOf('s'))).toBe('created');
    await until(works);
  });

  test('rejects its opening while the server is away, in every way of being away', async () => {
    const server = await start();
    const proxy = await createFaultProxy({ port: server.port });
    onTestFinished(() => proxy.close());
    const url = server.url.replace(String(server.port), String(proxy.port));
    const open = (): Promise<unknown> => Promise.resolve(openPlain(postgres(url), storeOptions(IMPATIENT)));
    proxy.refuse(true);
    await expect(open()).rejects.toMatchObject(AWAY);
    proxy.heal();
    proxy.blackHole(true);
    await expect(open()).rejects.toMatchObject(AWAY);
    proxy.cutAll();
    proxy.heal();
    server.pause();
    await expect(open()).rejects.toMatchObject(AWAY);
    server.resume();
    await server.stop();
    await expect(open()).rejects.toMatchObject(AWAY);
    await server.start();
    await (await openView(url)).close();
  });

  test('opens with the same object once the server is there', async () => {
    const port = await freePort();
    const store = postgres(`postgres://postgres@127.0.0.1:${port}/postgres`);
    for (let n = 0; n < 3; n++) {
      await expect(Promise.resolve(openPlain(store, storeOptions(IMPATIENT)))).rejects.toMatchObject(AWAY);
    }
    await start(port);
    const view = await openView(store);
    expect((await view.records.list(1_000)).records.length).toBe(0);
  });

  test('refuses a standby, which would show old data', async () => {
    const server = await start();
    await (await openView(server.url)).close();
    await server.stop();
    // A standby without a primary serves the data that it has.
    writeFileSync(join(server.folder, 'standby.signal'), '');
    await server.start();
    const opened = Promise.resolve(openPlain(postgres(server.url), storeOptions()));
    await expect(opened).rejects.toMatchObject({ ...AWAY, message: expect.stringContaining('standby') });
    // A pool that leads to a standby is refused too.
    const pool = new pg.Pool({ connectionString: server.url });
    onTestFinished(() => pool.end());
    const primary = await start();
    const view = openView(postgres(pool, { direct: primary.url }));
    await expect(view).rejects.toMatchObject({ ...AWAY, message: expect.stringContaining('standby') });
  });
});
