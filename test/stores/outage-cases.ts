/** What every store on a server promises while its server is away, and when it is back. */
import { expect, onTestFinished, test } from 'vitest';
import { createFakeTime } from '../../src/testing/index.ts';
import type { FaultProxy } from '../kit/fault-proxy.ts';
import { freePort, startServer, type ServerKind, type TestServer } from '../kit/servers/index.ts';
import { movingTime } from '../kit/moving-time.ts';
import { turns, until } from '../kit/until.ts';
import { storeAt } from './store-at.ts';
import {
  ALL_CALLS,
  AWAY,
  failing,
  frozen,
  KEEPS_DATA,
  ownServer,
  proxied,
  TURNS,
} from './outages.ts';
import { announce, FENCE, ME, openView, recordOf } from './views.ts';

/** Two thirds of the lease of `storeOptions`; a store may have a shorter limit. */
const LONGEST_LIMIT_MS = 20_000;
/** The shortest limit of a store: a second. */
const IMPATIENT = { leaseMs: 900 };
/** Two thirds of the lease and two seconds, or what a busy machine takes. */
const BOUND_MS = 13_000;

type Link = Awaited<ReturnType<typeof proxied>> & { readonly server: TestServer };

interface Fault {
  begin(link: Link): unknown;
  end(link: Link): unknown;
}

/** Connections through it are lost. */
const cutAll = (proxy: FaultProxy): void => {
  proxy.cutAll();
  proxy.heal();
};

const FAULTS: Readonly<Record<string, Fault>> = {
  'the server is killed': {
    begin: ({ server }) => server.killed(),
    end: ({ server }) => server.start(),
  },
  'the server is frozen': {
    begin: ({ server }) => frozen(server),
    end: ({ server }) => server.resume(),
  },
  'the network is silent': {
    begin: ({ proxy }) => proxy.blackHole(true),
    end: ({ proxy }) => proxy.blackHole(false),
  },
  'the network refuses connections': {
    begin({ proxy }) {
      proxy.refuse(true);
      proxy.cutAll();
    },
    end: ({ proxy }) => proxy.heal(),
  },
};

export function outageCases(kind: ServerKind): void {
  async function link(): Promise<Link> {
    const server = await ownServer(kind, ...KEEPS_DATA[kind]);
    return { server, ...(await proxied(server)) };
  }

  test.each(Object.entries(FAULTS))(
    'while %s every call fails in time, messages may be lost, and afterwards data and lease are there',
    async (_, { begin, end }) => {
      const to = await link();
      const time = movingTime();
      const view = await openView(to.url, { time });
      const inbox = await announce(view, ME);
      await view.records.create(recordOf('s', { fields: { a: '1' } }));
      await view.records.append({ id: 's', fence: FENCE, stream: 'p', from: 0, events: ['1'] });
      const before = to.proxy.accepted;
      await begin(to);
      const waiting = Object.entries(ALL_CALLS).map(
        ([name, ask]) => [name, failing(() => ask(view))] as const,
      );
      // Each of them may first wait for a connection, and then for an answer.
      for (let limit = 0; limit < 2; limit++) {
        await turns(TURNS);
        await time.advance(LONGEST_LIMIT_MS);
      }
      await until(() => waiting.every(([, { over }]) => over), { what: 'every call fails' });
      await until(() => inbox.lost > 0);
      await end(to);
      expect(await until(() => view.records.read('s'))).toMatchObject({
        epoch: 1,
        fields: { a: '1' },
      });
      expect(await view.records.save('s', FENCE, { head: 'later' })).toBe('written');
      expect(await view.records.replay('s', 'p', -1)).toMatchObject({ found: true });
      // The store gave its connections up, though neither side of a silent network has closed them.
      expect(to.proxy.accepted).toBeGreaterThan(before);
      expect(await until(async () => view.instances.renew(ME, 'serving'))).toBe(true);
      expect(await view.instances.send(ME, ME, { kind: 'own', n: 1 })).toBe('sent');
      await until(() => inbox.messages.length === 1);
      // A write that failed may have been stored, and never after a later one.
      expect(await view.records.read('s')).toMatchObject({ head: 'later' });
    },
  );

  test('a store rejects its opening in every way of being away, and the same object opens afterwards', async () => {
    const to = await link();
    const object = storeAt(to.url);
    for (const [name, { begin, end }] of Object.entries(FAULTS)) {
      await begin(to);
      const began = performance.now();
      await expect(openView(object, IMPATIENT), name).rejects.toMatchObject(AWAY);
      expect(performance.now() - began, name).toBeLessThan(BOUND_MS);
      cutAll(to.proxy);
      await end(to);
    }
    const view = await openView(object);
    expect((await view.records.list(1_000)).records).toEqual([]);
  });

  test('a store that cannot be reached is named by its address, without the password', async () => {
    const port = await freePort();
    const opened = openView(`${kind}://user:secret@127.0.0.1:${port}/0`);
    const message = expect.stringMatching(
      new RegExp(`^(?!.*secret).*127\\.0\\.0\\.1:${port}.*ECONNREFUSED`),
    ) as string;
    await expect(opened).rejects.toMatchObject({ ...AWAY, message });
  });

  test('a server that comes back without its data has no sessions and leases, and takes new ones', async () => {
    const first = await ownServer(kind);
    const view = await openView(first.url);
    const inbox = await announce(view, ME);
    await view.records.create(recordOf('s'));
    await view.records.append({ id: 's', fence: FENCE, stream: 'p', from: 0, events: ['1'] });
    await first.close();
    const next = await startServer(kind, { port: first.port });
    onTestFinished(() => next.close());
    await until(async () => (await view.records.read('s')) === undefined);
    await until(() => inbox.lost > 0);
    // A subscribed connection may reconnect later than the others.
    await until(async () => (await view.instances.renew(ME, 'serving')) === false);
    expect(await view.records.claim('s', FENCE, ME)).toEqual({
      claimed: false,
      current: undefined,
    });
    expect(await view.records.save('s', FENCE, {})).toBe('fenced');
    const append = { id: 's', fence: FENCE, stream: 'p', from: 1, events: ['2'] };
    expect(await view.records.append(append)).toBe('fenced');
    await announce(view, 'next');
    expect((await view.instances.list()).map(({ id }) => id)).toEqual(['next']);
    expect(await view.instances.send('next', 'next', { kind: 'own' })).toBe('sent');
    expect(await view.records.create(recordOf('s'))).toBe('created');
  });

  test('when the connection is cut, pending calls fail and later ones wait for the new connection', async () => {
    const { proxy, url } = await link();
    // No limit passes: neither for an answer, nor for the new connection.
    const view = await openView(url, { time: createFakeTime() });
    await view.records.create(recordOf('s'));
    const unheard: unknown[] = [];
    const listener = (error: unknown): void => void unheard.push(error);
    process.on('uncaughtException', listener);
    onTestFinished(() => void process.off('uncaughtException', listener));
    for (let n = 0; n < 10; n++) {
      const before = proxy.accepted;
      proxy.delay(50);
      const underWay = expect(Promise.resolve(view.records.read('s'))).rejects.toMatchObject(AWAY);
      // The read is sent at the end of the turn.
      await new Promise((done) => setImmediate(done));
      proxy.cutAll();
      proxy.delay(0);
      await underWay;
      expect(await view.records.read('s')).toBeDefined();
      expect(proxy.accepted).toBeGreaterThan(before);
    }
    expect(unheard).toEqual([]);
  });

  test('a view on an unreachable server closes in time, and then refuses writes', async () => {
    const { server } = await link();
    const view = await openView(server.url, IMPATIENT);
    await announce(view, ME);
    await frozen(server);
    const began = performance.now();
    await view.close();
    expect(performance.now() - began).toBeLessThan(BOUND_MS);
    await expect((async () => view.records.create(recordOf('late')))()).rejects.toThrow(
      /is closed/,
    );
  });
}
