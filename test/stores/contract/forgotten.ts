/** Secrets, and what a store must not keep. */
import assert from 'node:assert/strict';
import { dueNow, type View } from './view.ts';
import {
  append,
  FENCE,
  PAST_SHORT_MS,
  recordOf,
  SHORT_MS,
  type StoreKit,
  test,
} from './store-kit.ts';

/** The entries that a living session, a deployment and its instance may take. */
const FEW = 30;

/** Sessions with everything that belongs to one, which then end, expire or keep only what retention keeps. */
async function useUp(kit: StoreKit, view: View): Promise<void> {
  const ids = Array.from({ length: 2 * FEW }, (_, n) => `s${n}`);
  for (const [n, id] of ids.entries()) {
    await view.records.create(
      recordOf(id, { fields: { a: '1', b: '2' } }),
      n % 2 === 0 ? SHORT_MS : null,
    );
    await append(view, 'open', 0, ['1', '2'], {
      id,
      note: '[1]',
      mark: { name: '1', stream: 'open' },
    });
    await append(view, 'p', 0, ['', '1'], { id, note: '[1]', complete: true });
    await view.records.append({ id, fence: FENCE, stream: null, mark: { name: '2', stream: 'p' } });
    await view.secret(`key ${n}`, SHORT_MS);
  }
  for (const [n, id] of ids.entries()) {
    if (n % 2 === 1) assert.equal(await view.records.end(id, FENCE, 'deleted'), 'ended');
  }
  await view.records.create(recordOf('kept'));
  for (let n = 0; n < 100; n++)
    await append(view, `q${n}`, 0, ['1'], { id: 'kept', complete: true });
  await kit.pass(PAST_SHORT_MS);
}

const SWEEPS = 100;

export const secretCases = [
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
];

/** Where several processes share what is to be forgotten. */
export const forgottenCases = [
  test('forget/all: what ended, expired or grew old takes no room any more after its time', async (kit) => {
    const retention = { maxAgeMs: SHORT_MS, events: 1_000, bytes: 1_048_576 };
    const view = await kit.open({ log: retention, keepMs: SHORT_MS });
    const before = kit.entries();
    await useUp(kit, view);
    let left = 0;
    // Trims some times, as the sweep does: a store may delete a part of it in each.
    for (let n = 0; n < SWEEPS; n++) {
      for (const { id, epoch, owner } of await dueNow(view, 100))
        await view.records.end(id, { epoch, owner }, 'idle');
      await view.records.trim();
      // Each new secret makes the store forget expired ones.
      await view.secret(`sweep ${n}`, SHORT_MS);
      await kit.pass(PAST_SHORT_MS / 2);
      left = kit.entries() - before;
      if (left <= FEW) return;
    }
    assert.fail(`${left} entries more than before are left`);
  }),
];

/** On a server, which outlives every deployment. */
export const deploymentCases = [
  test('forget/deployment: a deployment that is forgotten leaves nothing, and others keep theirs', async (kit) => {
    const all = Array.from({ length: 2 * FEW }, (_, n) => `s${n}`);
    const [view, other] = [
      await kit.openAs('dead'),
      await kit.openWith(['kept'], { deployment: 'b' }),
    ];
    for (const id of all) {
      await view.records.create(recordOf(id));
      await append(view, 'open', 0, ['1'], { id });
    }
    const [secret, kept] = [await view.secret('one'), await other.secret('one')];
    await view.forgetAll?.();
    const next = await kit.open();
    for (const id of all) assert.equal(await next.records.read(id), undefined);
    assert.equal((await next.records.replay('s0', 'open', -1)).found, false);
    assert.equal(await next.records.count(), 0);
    assert.deepEqual(await next.instances.list(), []);
    assert.notDeepEqual(Buffer.from(await next.secret('one')), Buffer.from(secret));
    assert.ok(await other.records.read('kept'));
    assert.deepEqual(Buffer.from(await other.secret('one')), Buffer.from(kept));
  }),
];
