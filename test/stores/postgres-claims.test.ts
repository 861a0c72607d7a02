/** An instance that has lost its lease claims thousands of sessions: the claims of one turn are written together. */
import { expect, test } from 'vitest';
import type { ClaimOutcome } from '../../src/stores/store.ts';
import type { View } from '../store-contract/view.ts';
import { describeWithServer } from '../kit/servers/index.ts';
import { connect, FENCE, newDatabase, openView, recordOf } from './postgres-views.ts';

const SESSIONS = 100;
const numbered = (prefix: string): string[] => Array.from({ length: SESSIONS }, (_, n) => `${prefix}${n}`);
const claims = (view: View, ids: readonly string[], owner: string): Promise<ClaimOutcome[]> =>
  Promise.all(ids.map(async (id) => view.records.claim(id, FENCE, owner)));

describeWithServer('postgres', 'claims of one turn', (server) => {
  test('each has the outcome that it has alone', async () => {
    const url = await newDatabase(server().url);
    const view = await openView(url);
    const client = await connect(url);
    /** The same sessions twice, under two prefixes. */
    const prepare = async (prefix: string): Promise<readonly string[]> => {
      const ids = ['plain', 'marked', 'listed', 'stateful', 'claimed', 'ended', 'expired', 'missing'];
      const named = ids.map((id) => `${prefix}${id}`);
      const [plain, marked, listed, stateful, claimed, ended, expired] = named as [string, ...string[]];
      for (const id of [plain, marked, claimed, ended]) await view.records.create(recordOf(id ?? ''), 60_000);
      await view.records.create({ ...recordOf(listed ?? ''), fields: { 'ua:1': '1', 'ua:2': '1' } });
      await view.records.create({ ...recordOf(stateful ?? ''), fields: { a: '1' }, user: 'ann' });
      await view.records.create(recordOf(expired ?? ''), 0);
      await view.records.append({ id: marked ?? '', fence: FENCE, stream: null, mark: { name: '1', stream: 'q' } });
      await view.records.claim(claimed ?? '', FENCE, 'other');
      await view.records.end(ended ?? '', FENCE, 'deleted');
      return named;
    };
    const together = await claims(view, await prepare('together-'), 'next');
    const alone: ClaimOutcome[] = [];
    for (const id of await prepare('alone-')) alone.push(await view.records.claim(id, FENCE, 'next'));
    expect(together.map(comparable)).toEqual(alone.map(comparable));
    expect(together.map(({ claimed }) => claimed)).toEqual([true, true, true, true, false, false, false, false]);
    expect(together[1]).toMatchObject({ marks: [{ name: '1', stream: 'q' }] });
    // The records are as the store shows them.
    const { rows } = await client.query(`SELECT fence FROM sojourn.rows WHERE fence LIKE '% next'`);
    expect(rows).toHaveLength(8);
    expect(rows.every(({ fence }) => fence === `${FENCE.epoch + 1} next`)).toBe(true);
  });

  test('of two instances that claim the same sessions at once, exactly one wins each', async () => {
    const url = await newDatabase(server().url);
    const views = [await openView(url), await openView(url)] as const;
    const ids = numbered('s');
    await Promise.all(ids.map(async (id) => views[0].records.create(recordOf(id))));
    const [first, second] = await Promise.all([
      claims(views[0], ids, 'one'),
      claims(views[1], ids.toReversed(), 'two'),
    ]);
    const won = [...first.map(({ claimed }) => claimed), ...second.map(({ claimed }) => claimed)].filter(Boolean);
    expect(won).toHaveLength(SESSIONS);
    for (const [n, outcome] of first.entries()) expect(outcome.claimed).not.toBe(second[SESSIONS - 1 - n]?.claimed);
  });

  test('a claim and the writes of its owner keep their order', async () => {
    const view = await openView(await newDatabase(server().url));
    const ids = numbered('s');
    await Promise.all(ids.map(async (id) => view.records.create(recordOf(id))));
    const mine = { epoch: FENCE.epoch + 1, owner: 'next' };
    const outcomes = await Promise.all(
      ids.flatMap((id) => [
        Promise.resolve(view.records.save(id, FENCE, { stamp: 1 })),
        Promise.resolve(view.records.claim(id, FENCE, 'next')).then(({ claimed }) => claimed),
        Promise.resolve(view.records.save(id, FENCE, { stamp: 2 })),
        Promise.resolve(view.records.save(id, mine, { stamp: 3 })),
      ]),
    );
    expect(outcomes).toEqual(ids.flatMap(() => ['written', true, 'fenced', 'written']));
  });
});

/** Without the prefix of its id, and without times. */
function comparable(outcome: ClaimOutcome): unknown {
  const shown = JSON.stringify(outcome).replaceAll(/(together|alone)-/g, '');
  return JSON.parse(shown, (key, value) => (/(At|^at|InMs)$/.test(key) && value !== null ? 'a time' : value));
}
