/** What the page gets of handles: their list, one handle with the sizes of its values, and its end. */
import { expect, test } from 'vitest';
import type { HandleDetail, HandleRow, RecordRows } from '../../src/dashboard/wire.ts';
import { openHandle } from '../../src/index.ts';
import { openMembers } from '../durable/state/kit.ts';
import { ACTION, ask, mount, valueOf } from '../kit/dashboard.ts';

test('handles are listed, searched, shown and ended, and no text that opens one is sent', async () => {
  const [one, two] = await openMembers(2);
  const [ada, nobody] = [await one.as('ada'), await one.as()];
  const { id } = await ada(() => openHandle('cart', undefined, { initial: { items: ['secret'] } }));
  const other = await nobody(() => openHandle('game'));
  const port = await mount(two.endpoint);
  const page = await valueOf<RecordRows<HandleRow>>(port, 'handles');
  const cart = page.rows.find(({ kind }) => kind === 'cart') as HandleRow;
  expect(cart).toMatchObject({ userName: 'ada', bytes: 15 });
  for (const [text, rows] of Object.entries({ ada: 1, GAM: 1, [cart.hash]: 1, nothing: 0 }))
    expect((await valueOf<RecordRows<HandleRow>>(port, `handles?q=${text}`)).rows).toHaveLength(
      rows,
    );
  const detail = await valueOf<HandleDetail>(port, `handles/${cart.ref}`);
  expect(detail).toMatchObject({ kind: 'cart', state: { items: 10 } });
  for (const secret of [id, other.id, 'secret', 'sub\\"'])
    expect(JSON.stringify([page, detail])).not.toContain(secret);
  const end = () => ask(port, `/api/handles/${cart.ref}/end`, { method: 'POST', headers: ACTION });
  expect([(await end()).status, (await end()).status]).toEqual([200, 409]);
  expect(two.log.matching(/^A handle ends/).map(({ fields }) => fields)).toContainEqual({
    handle: cart.hash,
  });
  await expect(ada(() => openHandle('cart', id))).rejects.toThrow('There is no cart');
});
