import { execFile } from 'node:child_process';
import { resolve } from 'node:path';
import { promisify } from 'node:util';
import Libsql from 'libsql';
import { describe, expect, test } from 'vitest';
import { storeClock } from '../../src/stores/sqlite/clock.ts';
import { systemTime } from '../../src/base/system.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import { changeStored, newPath, openView, recordOf, stored } from './sqlite-views.ts';

const run = promisify(execFile);
const DIST = resolve(import.meta.dirname, '../../dist');

describe('the clocks of a file', () => {
  test('include one for leases that is the same in every process', async () => {
    const script = `
      const { storeClock, systemTime } = await import('${DIST}/internals.js');
      const clock = storeClock(systemTime);
      console.log(JSON.stringify([clock.machine(), clock.boot]));`;
    const here = storeClock(systemTime);
    const before = here.machine();
    const { stdout } = await run(process.execPath, ['--input-type=module', '-e', script]);
    const [there, boot] = JSON.parse(stdout) as [number, string];
    expect(there).toBeGreaterThan(before);
    expect(there).toBeLessThan(here.machine());
    expect(boot).toBe(here.boot);
    if (process.platform === 'linux') expect(boot).toMatch(/^[0-9a-f-]{36}$/);
  });

  test('include the wall clock for records', () => {
    expect(Math.abs(storeClock(systemTime).wall() - Date.now())).toBeLessThan(1_000);
  });

  test('are both the given time provider’s `now`', async () => {
    const time = createFakeTime(5_000_000);
    const clock = storeClock(time);
    await time.advance(1_000);
    expect([clock.wall(), clock.machine()]).toEqual([5_001_000, 5_001_000]);
  });
});

describe('a lease', () => {
  test.each<[string, (file: Libsql.Database) => void]>([
    ['of an earlier boot', (file) => void file.exec("UPDATE lease_clock SET boot = 'an earlier one'")],
    [
      'that ends later than any lease could, where boots have no id',
      (file) => {
        const later = Number(stored(file, 'a', 'expiresAt')) + 60_000;
        changeStored(file, 'a', { expiresAt: later, wake: later });
      },
    ],
  ])('%s is dead for every process that opens the file', async (_, change) => {
    const path = newPath();
    const view = await openView(path);
    await view.instances.announce({ id: 'a', state: 'serving', version: '1' }, () => undefined);
    await view.records.create(recordOf('s', { owner: 'a' }));
    expect(await view.instances.read('a')).toMatchObject({ id: 'a' });
    change(new Libsql(path));
    const [next, further] = [await openView(path), await openView(path)];
    expect(await next.instances.list()).toEqual([]);
    expect(await next.instances.read('a')).toBeUndefined();
    expect(await further.instances.read('a')).toBeUndefined();
    expect(await view.instances.renew('a', 'serving')).toBe(false);
    await next.instances.announce({ id: 'b', state: 'serving', version: '1' }, () => undefined);
    expect(await further.instances.list()).toMatchObject([{ id: 'b' }]);
    expect(await view.records.claim('s', { epoch: 1, owner: 'a' }, 'b')).toMatchObject({ claimed: true });
  });

  test('that a reader found past its end cannot be renewed, even if its owner read the clock before', async () => {
    const path = newPath();
    const [owner, other] = [createFakeTime(5_000_000), createFakeTime(5_000_000)];
    const view = await openView(path, { time: owner, leaseMs: 1_000 });
    const elsewhere = await openView(path, { time: other, leaseMs: 1_000 });
    await view.instances.announce({ id: 'a', state: 'serving', version: '1' }, () => undefined);
    await other.advance(999);
    expect(await elsewhere.instances.read('a')).toMatchObject({ id: 'a' });
    await other.advance(2);
    expect(await elsewhere.instances.read('a')).toBeUndefined();
    expect(await view.instances.renew('a', 'serving')).toBe(false);
    expect(await view.instances.read('a')).toBeUndefined();
  });
});
