/** What every store on a server promises while its server is away: the cases that every such store passes. */
import { expect, test } from 'vitest';
import type { StoredRecord, Store } from '../../src/stores/store.ts';
import type { View, ViewSettings } from '../store-contract/view.ts';
import { freePort, type ServerKind } from '../kit/servers/index.ts';
import { createSkippingTime } from '../kit/skipping-time.ts';
import { until } from '../kit/until.ts';
import { asked, AWAY, BOUND_MS, failing, failsAtOnce, failsWithin, frozen, ownServer, proxied } from './outages.ts';
import { SLACK_MS, turns } from './outages.ts';
import { FENCE, ME, recordOf } from './views.ts';

/** Two thirds of the lease of `storeOptions`; a store may have a shorter limit. */
const LONGEST_LIMIT_MS = 20_000;

export interface OutageCases {
  readonly kind: ServerKind;
  /** Arguments of a server that keeps its data when it is killed. */
  readonly keepsData: readonly string[];
  /** How error messages name the server at a port. */
  readonly where: (port: number) => string;
  readonly store: (url: string) => Store;
  readonly openView: (at: string | Store, options?: Partial<ViewSettings>) => Promise<View>;
}

export function outageCases({ kind, keepsData, where, store, openView }: OutageCases): void {
  test('a store that cannot be reached rejects its opening with the address and without the password', async () => {
    const port = await freePort();
    const url = `${kind}://user:secret@127.0.0.1:${port}`;
    await expect(openView(url)).rejects.toMatchObject({
      ...AWAY,
      message: expect.stringMatching(new RegExp(`${where(port)}.*ECONNREFUSED`)) as string,
    });
    await expect(openView(url)).rejects.not.toMatchObject({ message: expect.stringContaining('secret') as string });
  });

  test('a store object that failed to open opens once the server is there', async () => {
    const server = await ownServer(kind);
    await server.stop();
    const object = store(server.url);
    await expect(openView(object)).rejects.toMatchObject(AWAY);
    await server.start();
    const view = await openView(object);
    expect((await view.records.list(1_000)).records.length).toBe(0);
  });

  test('with the server killed every call fails in time, and the data comes back', async () => {
    const server = await ownServer(kind, ...keepsData);
    const view = await openView(server.url);
    await view.records.create(recordOf('s', { fields: { a: '1' } }));
    await view.records.append({ id: 's', fence: FENCE, stream: 'p', from: 0, events: ['1'] });
    await server.killed();
    for (const [name, ask] of Object.entries(asked(view))) {
      expect(await failsWithin(ask), name).toBeLessThan(BOUND_MS + SLACK_MS);
    }
    await server.start();
    await until(() => view.records.read('s'));
    expect(await view.records.read('s')).toEqual(recordOf('s', { fields: { a: '1' } }));
    expect((await view.records.replay('s', 'p', -1)).found).toBe(true);
    const append = { id: 's', fence: FENCE, stream: 'p', from: 1, events: ['2'] };
    expect(await view.records.append(append)).toBe('written');
  });

  test('with the server frozen calls fail in time, later ones at once; after the thaw they work again', async () => {
    const server = await ownServer(kind);
    const time = createSkippingTime();
    const view = await openView(server.url, { time });
    await view.records.create(recordOf('s'));
    await frozen(server);
    const waiting = Object.entries(asked(view)).map(([name, ask]) => [name, failing(ask)] as const);
    await turns();
    time.skip(LONGEST_LIMIT_MS);
    await turns();
    for (const [name, { over }] of waiting) expect(over, name).toBe(true);
    expect(await failsAtOnce(() => view.records.read('s'))).toBe(true);
    server.resume();
    const { epoch } = (await until(() => view.records.read('s'))) as StoredRecord;
    // A call without an answer may have taken effect.
    expect([1, 2]).toContain(epoch);
    expect(await view.records.save('s', { epoch, owner: ME }, { head: 'info' })).toBe('written');
  });

  test('on a silent network calls fail in time and the store connects anew', async () => {
    const server = await ownServer(kind);
    const { proxy, url } = await proxied(server);
    const time = createSkippingTime();
    const view = await openView(url, { time });
    await view.records.create(recordOf('s'));
    proxy.blackHole(true);
    const before = proxy.accepted;
    const reading = failing(() => view.records.read('s'));
    await turns();
    time.skip(LONGEST_LIMIT_MS);
    await turns();
    expect(reading.over).toBe(true);
    // The store gives the connection up, though neither side has closed it.
    await until(() => proxy.accepted > before);
    proxy.blackHole(false);
    await until(() => view.records.read('s'));
  });

  test('restarted without its data, sessions and leases are missing and nothing breaks', async () => {
    const server = await ownServer(kind);
    const view = await openView(server.url);
    let lost = 0;
    await view.instances.announce(
      { id: ME, state: 'serving', version: '1' },
      () => undefined,
      () => (lost += 1),
    );
    await view.records.create(recordOf('s'));
    await view.records.append({ id: 's', fence: FENCE, stream: 'p', from: 0, events: ['1'] });
    await server.killed();
    await server.start();
    await until(async () => (await view.records.read('s')) === undefined);
    expect(lost).toBeGreaterThan(0);
    // A subscribed connection may reconnect later than the others.
    await until(async () => (await view.instances.renew(ME, 'serving')) === false);
    expect(await view.records.claim('s', FENCE, ME)).toEqual({ claimed: false, current: undefined });
    expect(await view.records.save('s', FENCE, {})).toBe('fenced');
    const append = { id: 's', fence: FENCE, stream: 'p', from: 1, events: ['2'] };
    expect(await view.records.append(append)).toBe('fenced');
    await view.instances.announce({ id: 'next', state: 'serving', version: '1' }, () => undefined);
    expect(await view.instances.send('next', 'next', { kind: 'own' })).toBe('sent');
    expect(await view.records.create(recordOf('s'))).toBe('created');
  });
}
