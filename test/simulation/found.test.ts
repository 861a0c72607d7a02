/** What seeds found once: faults of earlier builds, and what the checker must not take for a fault. */
import { expect, test } from 'vitest';
import { run } from './run.ts';
import { play } from './stage.ts';

test.each([
  ['a call that was stored just before its session left hung', 71],
  ['a copy was kept that had been claimed for an id that was not announced yet', 226],
  ['the same, of a session that was ended in that time', 1_469],
])('%s (stalls, %i)', async (_what, seed) => {
  expect((await run(seed, { kind: 'stalls' })).violations).toEqual([]);
});

test('a deleted session does not serve when an instance that does not know of its end drains and answers its ping', () =>
  play({ slots: 2 }, async (stage) => {
    const client = await stage.client(0, { version: '2025-06-18' });
    // The instance in slot 1 remembers the owner, so it reads no record.
    await client.call('count', { slot: 1 });
    client.via.push(0);
    await client.delete();
    const relaying = stage.instance(1);
    stage.world.intercept = (from, _to, message) => (from === relaying.process ? 'lost' : message);
    client.via.push(1);
    const probing = client.probe();
    await stage.sleep(100);
    await stage.world.retire(relaying, 100);
    await probing;
  }));
