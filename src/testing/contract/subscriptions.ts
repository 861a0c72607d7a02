import assert from 'node:assert/strict';
import { isEnded, type OpenStore, type SubscriptionChange } from '../../stores/store.ts';
import { FENCE, ME, OTHER, OWNERLESS, recordOf, type StoreCase } from './store-kit.ts';

const MANY = 1_000;
const manyUris = Array.from({ length: MANY }, (_, n) => `file:///folder/${'x'.repeat(40)}/${n}`);

const added = (...uris: string[]): SubscriptionChange[] => uris.map((uri) => [uri, true]);
const removed = (...uris: string[]): SubscriptionChange[] => uris.map((uri) => [uri, false]);

async function listOf(view: OpenStore, id = 's'): Promise<readonly string[]> {
  const value = await view.sessions.read(id);
  assert.ok(value !== undefined && !isEnded(value), `${id} is not living`);
  return value.subscriptions;
}

export const subscriptionCases: readonly StoreCase[] = [
  {
    id: 'subscriptions/order',
    title: 'subscriptions are read in the order in which the client subscribed',
    async run(kit) {
      const [here, there] = [await kit.open(), await kit.open()];
      await here.sessions.create(recordOf('s', { subscriptions: ['z:', 'a:'] }));
      await here.sessions.save('s', FENCE, { subscriptions: added('m:', 'b:') });
      await here.sessions.save('s', FENCE, { subscriptions: added('1') });
      await here.sessions.save('s', FENCE, { subscriptions: removed('a:') });
      assert.deepEqual(await listOf(there), ['z:', 'm:', 'b:', '1']);
      assert.deepEqual((await there.sessions.list(10)).records[0]?.subscriptions, ['z:', 'm:', 'b:', '1']);
      // A URI that was removed and comes again is the last one.
      await here.sessions.save('s', FENCE, { subscriptions: [...removed('b:'), ...added('a:', 'z:')] });
      assert.deepEqual(await listOf(there), ['m:', '1', 'a:', 'z:']);
      await here.sessions.save('s', FENCE, { subscriptions: removed('m:', '1', 'a:', 'z:') });
      assert.deepEqual(await listOf(there), []);
    },
  },
  {
    id: 'subscriptions/idempotent',
    title: 'the same change written twice is as if it was written once',
    async run(kit) {
      const view = await kit.open();
      await view.sessions.create(recordOf('s', { subscriptions: ['a:', 'b:', 'c:'] }));
      const changes = [...added('d:'), ...removed('b:', 'never:'), ...added('a:')];
      for (let times = 0; times < 2; times++) {
        assert.equal(await view.sessions.save('s', FENCE, { subscriptions: changes }), 'written');
        assert.deepEqual(await listOf(view), ['c:', 'd:', 'a:']);
      }
    },
  },
  {
    id: 'subscriptions/odd-uris',
    title: 'URIs may have any characters and length, and no other member of the record changes with them',
    async run(kit) {
      const view = await kit.open();
      const odd = [
        '',
        ' ',
        '__proto__',
        'constructor',
        '"',
        "'",
        'a\0b',
        'a\ud800',
        'größe',
        '🧪',
        '.a',
        'n',
        's',
        '1',
        '0',
      ];
      const long = [`file:///${'x'.repeat(4_000)}/1`, `file:///${'x'.repeat(4_000)}/2`];
      await view.sessions.create(recordOf('s', { subscriptions: [] }));
      for (const uri of [...odd, ...long]) await view.sessions.save('s', FENCE, { subscriptions: added(uri) });
      assert.deepEqual(await view.sessions.read('s'), recordOf('s', { subscriptions: [...odd, ...long] }));
      await view.sessions.save('s', FENCE, { subscriptions: removed(...odd, long[0] ?? '') });
      assert.deepEqual(await view.sessions.read('s'), recordOf('s', { subscriptions: long.slice(1) }));
    },
  },
  {
    id: 'subscriptions/fenced',
    title: 'only the owner changes subscriptions, and a change comes whole with the rest of its patch',
    async run(kit) {
      const [here, there] = [await kit.open(), await kit.open()];
      await here.sessions.create(recordOf('s', { owner: null, subscriptions: ['a:'] }));
      const patch = { subscriptions: [...removed('a:'), ...added('b:')], logLevel: 'error' };
      assert.equal(await here.sessions.save('s', FENCE, patch), 'fenced');
      const claim = await there.sessions.claim('s', OWNERLESS, OTHER);
      assert.deepEqual(claim.claimed && claim.record.subscriptions, ['a:']);
      const fence = { epoch: 2, owner: OTHER };
      assert.equal(await here.sessions.save('s', FENCE, patch), 'fenced');
      assert.equal(await here.sessions.save('s', { epoch: 2, owner: ME }, patch), 'fenced');
      assert.deepEqual(await listOf(here), ['a:']);
      assert.equal(await there.sessions.release('s', fence, patch), 'written');
      const expected = { epoch: 2, owner: null, subscriptions: ['b:'], logLevel: 'error' };
      assert.deepEqual(await here.sessions.read('s'), recordOf('s', expected));
    },
  },
  {
    id: 'subscriptions/claimed',
    title: 'a new owner gets the list, and its changes continue it',
    async run(kit) {
      const [here, there] = [await kit.open(), await kit.open()];
      await here.sessions.create(recordOf('s', { subscriptions: ['b:'] }));
      await here.sessions.save('s', FENCE, { subscriptions: added('a:') });
      await here.sessions.release('s', FENCE);
      const claim = await there.sessions.claim('s', OWNERLESS, OTHER);
      assert.deepEqual(claim.claimed && claim.record.subscriptions, ['b:', 'a:']);
      await there.sessions.save('s', { epoch: 2, owner: OTHER }, { subscriptions: [...added('0:'), ...removed('b:')] });
      assert.deepEqual(await listOf(here), ['a:', '0:']);
    },
  },
  {
    id: 'subscriptions/together',
    title: 'changes that are under way together take effect in their order',
    async run(kit) {
      const view = await kit.open();
      await view.sessions.create(recordOf('s', { subscriptions: [] }));
      const uris = Array.from({ length: 20 }, (_, n) => `file:///${n}`);
      const saves = uris.map(async (uri) => view.sessions.save('s', FENCE, { subscriptions: added(uri) }));
      assert.deepEqual(new Set(await Promise.all(saves)), new Set(['written']));
      assert.deepEqual(await listOf(view), uris);
    },
  },
  {
    id: 'subscriptions/many',
    title: 'a thousand subscriptions are kept, changed and read whole',
    async run(kit) {
      const view = await kit.open();
      await view.sessions.create(recordOf('s', { subscriptions: [] }));
      for (let from = 0; from < MANY; from += 100)
        await view.sessions.save('s', FENCE, { subscriptions: added(...manyUris.slice(from, from + 100)) });
      assert.deepEqual(await listOf(view), manyUris);
      await view.sessions.save('s', FENCE, { subscriptions: removed(...manyUris.slice(1)) });
      assert.deepEqual(await listOf(view), manyUris.slice(0, 1));
    },
  },
  {
    id: 'subscriptions/ended',
    title: 'an ended session leaves no subscriptions to a later session with its id',
    async run(kit) {
      const view = await kit.open({ tombstoneMs: 1 });
      await view.sessions.create(recordOf('s', { subscriptions: ['a:'] }));
      await view.sessions.save('s', FENCE, { subscriptions: added('b:') });
      assert.equal(await view.sessions.end('s', FENCE, 'deleted'), 'ended');
      await kit.pass(50);
      assert.equal(await view.sessions.create(recordOf('s', { subscriptions: ['c:'] })), 'created');
      await view.sessions.save('s', FENCE, { subscriptions: added('a:') });
      assert.deepEqual(await listOf(view), ['c:', 'a:']);
    },
  },
];
