import assert from 'node:assert/strict';
import type { View } from '../view.ts';
import { test, needing } from './store-case.ts';
import { append, recordOf } from './store-kit.ts';

/** The offsets that a replay gives, or the reason why it gives none. */
async function replayed(view: View, stream: string, after: number, id = 's'): Promise<number[] | string> {
  const outcome = await view.records.replay(id, stream, after);
  return outcome.found ? outcome.events.map(({ offset }) => offset) : outcome.why;
}

export const retentionCases = [
  ...needing('process-limits', [
    test('retention/process: past eventLogBytes the session written longest ago gives its oldest events first', async (kit) => {
      const view = await kit.open({ eventLogBytes: 40_000 });
      const kilobytes = (n: number): string[] => [JSON.stringify('x'.repeat(n * 1_000))];
      const log = async (id: string, from: number, n: number): Promise<unknown> =>
        append(view, 'p', from, kilobytes(n), { id });
      for (const id of ['a', 'b', 'c']) await view.records.create(recordOf(id));
      await log('a', 0, 8);
      await log('a', 1, 8);
      await log('b', 0, 8);
      await log('c', 0, 8);
      for (const id of ['a', 'b', 'c']) assert.notEqual(await replayed(view, 'p', -1, id), 'gap', id);
      await log('a', 2, 8); // a is now the newest: b loses its events first
      assert.equal(await replayed(view, 'p', -1, 'b'), 'gap');
      assert.deepEqual(await replayed(view, 'p', -1, 'a'), [0, 1, 2]);
      await log('c', 1, 16); // a is the oldest, and loses only as much as needed
      assert.equal(await replayed(view, 'p', -1, 'a'), 'gap');
      assert.deepEqual(await replayed(view, 'p', 1, 'a'), [2]);
      assert.deepEqual(await replayed(view, 'p', -1, 'c'), [0, 1]);
    }),
  ]),
];
