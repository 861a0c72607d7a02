/** The clock of the leases in a file, which must outlast a restart of the machine. */
import Libsql from 'libsql';
import { expect, test } from 'vitest';
import { newPath, openView, recordOf } from './sqlite-views.ts';

test('a lease that ends later than any could is dead for every process that opens the file', async () => {
  const path = newPath();
  const view = await openView(path);
  await view.instances.announce({ id: 'a', state: 'serving', version: '1' }, () => undefined);
  await view.records.create(recordOf('s', { owner: 'a' }));
  expect(await view.instances.read('a')).toMatchObject({ id: 'a' });
  new Libsql(path).exec('UPDATE lease_clock SET base = base - 60000');
  const [next, further] = [await openView(path), await openView(path)];
  expect(await next.instances.list()).toEqual([]);
  expect(await next.instances.read('a')).toBeUndefined();
  expect(await further.instances.read('a')).toBeUndefined();
  expect(await view.instances.renew('a', 'serving')).toBe(false);
  await next.instances.announce({ id: 'b', state: 'serving', version: '1' }, () => undefined);
  expect(await further.instances.list()).toMatchObject([{ id: 'b' }]);
  expect(await view.records.claim('s', { epoch: 1, owner: 'a' }, 'b')).toMatchObject({
    claimed: true,
  });
});
