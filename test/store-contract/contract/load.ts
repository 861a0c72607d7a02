/** Cases about size and load: large messages, many sessions at once, and what a store must not keep. */
import assert from 'node:assert/strict';
import { type InstanceMessage, isEnded } from '../../../src/stores/store.ts';
import { dueNow, type View } from '../view.ts';
import { until } from '../../../src/testing/until.ts';
import { PAST_SHORT_MS, SHORT_MS, test, needing } from './store-case.ts';
import { announce, append, FENCE, ME, OTHER, recordOf, type StoreKit } from './store-kit.ts';

/** Above the usual limits of servers: 1 MiB of many brokers and proxies, 4 MiB of a POST's body. */
const LARGE_BYTES = 5 * 1024 * 1024;

/** The entries that a living session, a deployment and its instance may take. */
const FEW = 30;

const large = (): string => 'é🧪'.repeat(LARGE_BYTES / 6);

/** Sessions with everything that belongs to one, which then end, expire or keep only what retention keeps. */
async function useUp(kit: StoreKit, view: View): Promise<void> {
  const ids = Array.from({ length: 2 * FEW }, (_, n) => `s${n}`);
  for (const [n, id] of ids.entries()) {
    await view.records.create(recordOf(id, { fields: { a: '1', b: '2' } }), n % 2 === 0 ? SHORT_MS : null);
    await append(view, 'open', 0, ['1', '2'], { id, note: '[1]', mark: { name: '1', stream: 'open' } });
    await append(view, 'p', 0, ['', '1'], { id, note: '[1]', complete: true });
    await view.records.append({ id, fence: FENCE, stream: null, mark: { name: '2', stream: 'p' } });
    await view.secret(`key ${n}`, SHORT_MS);
  }
  for (const [n, id] of ids.entries()) {
    if (n % 2 === 1) assert.equal(await view.records.end(id, FENCE, 'deleted'), 'ended');
  }
  await view.records.create(recordOf('kept'));
  for (let n = 0; n < 100; n++) await append(view, `q${n}`, 0, ['1'], { id: 'kept', complete: true });
  await kit.pass(PAST_SHORT_MS);
}

const SWEEPS = 100;

export const loadCases = [
  test('mailbox/large: a message of 5 MiB arrives whole, before the messages that its sender sent after it', async (kit) => {
    const [here, there] = [await kit.openAs(ME), await kit.open()];
    const { messages: got } = await announce(there, OTHER);
    const text = large();
    const messages: InstanceMessage[] = [{ kind: 'large', text }, { kind: 'n' }];
    const sent = await Promise.all(messages.map(async (message) => here.instances.send(ME, OTHER, message)));
    assert.deepEqual(sent, ['sent', 'sent']);
    await until(() => got.length === 2, { what: 'both messages' });
    const [first, second] = got;
    assert.deepEqual([first?.kind, second?.kind], ['large', 'n']);
    assert.ok(first?.['text'] === text, 'the text came as it was sent');
  }),
  test('append/large: an event of 5 MiB is replayed whole, between smaller ones, and such an outcome is kept', async (kit) => {
    const retention = { ttlMs: 600_000, events: 100, bytes: 4 * LARGE_BYTES };
    const [here, there] = [await kit.open({ log: retention }), await kit.open({ log: retention })];
    await here.records.create(recordOf('s'));
    const events = ['"before"', JSON.stringify(large()), '"after"'];
    for (const [from, data] of events.entries()) assert.equal(await append(here, 'p', from, [data]), 'written');
    const replayed = await there.records.replay('s', 'p', -1);
    assert.ok(replayed.found);
    assert.deepEqual(
      replayed.events.map(({ data }) => data.length),
      events.map((data) => data.length),
    );
    assert.ok(replayed.events.every(({ data }, n) => data === events[n]));
    assert.equal(await here.records.end('s', FENCE, large()), 'ended');
    const ended = await there.records.read('s');
    assert.ok(ended !== undefined && isEnded(ended) && ended.outcome === large());
  }),
  ...needing('entries', [
    test('forget/all: what ended, expired or grew old takes no room any more after its time', async (kit) => {
      const { entries } = kit;
      assert.ok(entries, 'this case needs `entries` of the store under test');
      const retention = { ttlMs: SHORT_MS, events: 1_000, bytes: 1_048_576 };
      const view = await kit.open({ log: retention, keepMs: SHORT_MS });
      const before = await entries();
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
        left = (await entries()) - before;
        if (left <= FEW) return;
      }
      assert.fail(`${left} entries more than before are left`);
    }),
  ]),
];
