/** What a view shares with the others of its deployment, and what a view leaves when it closes. */
import assert from 'node:assert/strict';
import { idsOf } from '../view.ts';
import { until } from '../../../src/testing/until.ts';
import { test } from './store-case.ts';
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
  test('append/close: writes that were requested before the view closes are stored', async (kit) => {
    const view = await kit.openWith(['s']);
    const writes = Array.from({ length: 600 }, async (_, n) => append(view, 'p', n, [`"${n}"`]));
    await view.close();
    assert.deepEqual(new Set(await Promise.all(writes)), new Set(['written']));
  }),
];
