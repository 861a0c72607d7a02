import assert from 'node:assert/strict';
import { idsOf, type View } from '../view.ts';
import { until } from '../../../src/testing/until.ts';
import { needing, PAST_SHORT_MS, SHORT_MS, test } from './store-case.ts';
import { append, ME, OTHER, recordOf } from './store-kit.ts';

export const deploymentCases = [
  test('deployment/instances: deployments see nothing of each other: leases, messages and the bus', async (kit) => {
    const [a, b] = [await kit.open({ deployment: 'a' }), await kit.open({ deployment: 'b' })];
    const received: unknown[] = [];
    await a.instances.announce({ id: ME, state: 'serving', version: '1' }, () => received.push('a'));
    await b.instances.announce({ id: OTHER, state: 'serving', version: '1' }, (_, { kind }) => received.push(kind));
    assert.deepEqual(idsOf(await a.instances.list()), [ME]);
    assert.equal(await a.instances.read(OTHER), undefined);
    assert.equal(await a.instances.send(ME, OTHER, { kind: 'stray' }), 'suspect');
    await a.instances.publish(ME, { kind: 'stray' });
    // An owner that is alive in one deployment is dead in the other.
    assert.equal(await b.instances.read(ME), undefined);
    await b.instances.send(OTHER, OTHER, { kind: 'own' });
    await until(() => received.length > 0, { what: 'the own message' });
    assert.deepEqual(received, ['own']);
  }),
  test('secret/shared: a secret is made once: 32 bytes for every view of a deployment, and others for other names', async (kit) => {
    const views = [await kit.open(), await kit.open(), await kit.open()] as const;
    const secrets = await Promise.all(
      views.flatMap((view) => [view, view]).map(async (view) => view.secret('request-state')),
    );
    const again = await (await kit.open()).secret('request-state');
    assert.equal(again.byteLength, 32);
    // What a reader does to its copy changes no other.
    (await views[0].secret('request-state')).fill(0);
    for (const secret of secrets) assert.deepEqual(Buffer.from(secret), Buffer.from(again));
    assert.ok(again.some((byte) => byte !== 0));
    const b = await kit.open({ deployment: 'b' });
    for (const other of [await views[0].secret('two'), await b.secret('request-state')])
      assert.notDeepEqual(Buffer.from(other), Buffer.from(again));
  }),
  ...needing('moved-clock', [
    test('secret/forgotten: every view forgets a secret when its time has passed, and no other secret with it', async (kit) => {
      const [here, there] = [await kit.open(), await kit.open()];
      const hex = async (view: View, name: string, keepMs?: number): Promise<string> =>
        Buffer.from(await view.secret(name, keepMs)).toString('hex');
      const kept = await hex(here, 'kept');
      const long = await hex(here, 'long', 600_000);
      const short = await hex(here, 'short', SHORT_MS);
      assert.equal(await hex(there, 'short', SHORT_MS), short);
      await kit.pass(PAST_SHORT_MS);
      const next = await hex(there, 'short', SHORT_MS);
      assert.notEqual(next, short);
      assert.equal(await hex(here, 'short', SHORT_MS), next);
      assert.deepEqual([await hex(there, 'kept'), await hex(there, 'long', 600_000)], [kept, long]);
    }),
  ]),
  test('close/others: a view that closes takes nothing from the others', async (kit) => {
    const [first, second] = [await kit.openAs(OTHER), await kit.openAs(ME)];
    await first.records.create(recordOf('s'));
    await append(first, 'p', 0, ['1']);
    const secret = Buffer.from(await first.secret('one'));
    await first.close();
    await first.close();
    assert.deepEqual(await second.records.read('s'), recordOf('s'));
    assert.equal((await second.records.replay('s', 'p', -1)).found, true);
    assert.deepEqual(Buffer.from(await second.secret('one')), secret);
    assert.ok(await second.instances.read(ME));
    // Its own instances have left.
    assert.equal(await second.instances.read(OTHER), undefined);
  }),
];
