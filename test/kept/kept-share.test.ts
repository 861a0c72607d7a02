/** The share of a user, which lives as long as its instance. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { expect, test } from 'vitest';
import { KeptShare } from '../../src/kept/kept-share.ts';
import { RecordQueues } from '../../src/stores/shared/record-queues.ts';
import { gc } from '../kit/gc.ts';
import { until } from '../kit/until.ts';

test('a share at rest keeps nothing of the calls that made and used it', async () => {
  const current = new AsyncLocalStorage<object>();
  const calls: Array<WeakRef<object>> = [];
  const inCall = <T>(work: () => T): T => {
    const call = {};
    calls.push(new WeakRef(call));
    return current.run(call, work);
  };
  const [share, turns] = inCall(() => [new KeptShare('user ada'), new RecordQueues()] as const);
  const order: number[] = [];
  await Promise.all([1, 2].map((n) => inCall(() => turns.steps(share.key, async () => void order.push(n)))));
  await until(() => {
    gc();
    return calls.every((call) => call.deref() === undefined);
  });
  expect(order).toEqual([1, 2]);
  expect(share.total(0)).toBe(0);
});
