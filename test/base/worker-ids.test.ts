import { expect, test } from 'vitest';
import { idText, systemRandom } from '../../src/base/system.ts';
import { WorkerIds, workerOf } from '../../src/base/worker-ids.ts';

const random = (): string => idText(systemRandom(16));

function idsOf(number: number): WorkerIds {
  const ids = new WorkerIds();
  ids.name(number);
  return ids;
}

test.each([1, 2, 37, 63])('an id of worker %i names it, and no id but by chance', (number) => {
  const own = idsOf(number);
  const ids = Array.from({ length: 500 }, () => own.of(random()));
  expect(new Set(ids.map(workerOf))).toEqual(new Set([number]));
  const changed = ids.map((id) => workerOf(id.replace(/^./, (c) => (c === 'A' ? 'B' : 'A'))));
  expect(changed.filter((named) => named === number).length).toBeLessThan(50);
});

test.each([0, 64])('an id of worker %i names none, and is as it was', (number) => {
  const id = random();
  expect([idsOf(number).of(id), workerOf(id)]).toEqual([id, undefined]);
});

test.each(['', 'of-an-application', `${'a'.repeat(22)}é`, 'a'.repeat(24)])(
  '%j names no worker',
  (id) => expect(workerOf(id)).toBeUndefined(),
);
