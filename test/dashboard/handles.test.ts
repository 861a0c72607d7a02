/** What the page gets of handles: their list, one handle with the sizes of its values, and its end. */
import { expect, test } from 'vitest';
import type { HandleDetail, HandleRow, RecordRows } from '../../src/dashboard/wire.ts';
import { join } from 'node:path';
import { live, openHandle } from '../../src/index.ts';
import { sqlite } from '../../src/stores/sqlite/index.ts';
import { openMembers } from '../durable/state/kit.ts';
import { ACTION, ask, mount, valueOf } from '../kit/dashboard.ts';
import { textOf } from '../kit/lab.ts';
import { callModern } from '../kit/modern.ts';
import { serve } from '../kit/serve.ts';
import { said, type Tool, toolServer } from '../kit/tool-server.ts';
import { temporaryFolder } from '../kit/temporary.ts';
import { until } from '../kit/until.ts';

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

test('the object of a handle is shown where it is open, and closed from any instance; a gauge counts it', async () => {
  const store = sqlite(join(temporaryFolder(), 's.db'));
  let closed = 0;
  const options = {
    kind: 'desk',
    id: ({ desk }: Record<string, unknown>) => desk as string | undefined,
    open: () => ({}),
    close: () => void (closed += 1),
  };
  const use = live<object, Record<string, unknown>, unknown, ReturnType<typeof said>>(
    options,
    (_args, _ctx, { handle }) => said(handle.id),
  ) as Tool;
  const start = () => serve(toolServer({ use }), { store, metrics: true });
  const [one, two] = [await start(), await start()];
  const call = async (desk?: string): Promise<string> => {
    const params = { name: 'use', arguments: { ...(desk !== undefined && { desk }) } };
    return String(textOf((await callModern(one.client(), 'tools/call', params)).message));
  };
  const desk = await call();
  for (const at of [two, one]) {
    const port = await mount(at.endpoint);
    const [row] = (await valueOf<RecordRows<HandleRow>>(port, 'handles')).rows;
    const { instance } = one.endpoint.health();
    expect(row?.object).toEqual({ instance, openedAt: expect.any(Number) });
    const found = await valueOf<RecordRows<HandleRow>>(port, `handles?q=${instance}`);
    expect(found.rows).toHaveLength(1);
    expect(one.endpoint.metrics()).toContain('sojourn_live_objects{kind="desk"} 1\n');
    const close = () =>
      ask(port, `/api/handles/${row?.ref}/close`, { method: 'POST', headers: ACTION });
    const before = closed;
    expect((await close()).status).toBe(200);
    await until(() => closed === before + 1, { what: 'the object closes' });
    const shown = () => valueOf<HandleDetail>(port, `handles/${row?.ref}`);
    await until(async () => (await shown()).object === undefined, { what: 'its owner is gone' });
    expect((await close()).status).toBe(409);
    expect(one.endpoint.metrics()).toContain('sojourn_live_objects{kind="desk"} 0\n');
    expect(await call(desk)).toBe(desk);
  }
});
