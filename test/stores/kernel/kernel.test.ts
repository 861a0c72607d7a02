/** The kernel above a backend that answers later. The memory store's tests are those of one that answers at once. */
import { describe, test } from 'vitest';
import { compareWithModel } from '../../store-contract/model/compare.ts';
import { isMatrix } from '../../kit/matrix.ts';
import { casesFor, contractTests } from '../contract.ts';
import { modelTests, movedTime } from '../model-runs.ts';
import { settableClock } from '../settable-clock.ts';
import type { OpenStore } from '../../../src/stores/store.ts';
import { patient, textStores } from './text-store.ts';

describe('the kernel above a store that answers later keeps the contract', () => {
  contractTests(casesFor('lease-expiry'), () => {
    const { time, pass } = settableClock(Date.UTC(2026, 10, 1));
    return { connect: textStores(), time, pass };
  });
});

describe('the kernel above a store that answers later', () => {
  const runs = isMatrix ? 400 : 150;
  modelTests(runs, () => ({ ...movedTime(), connect: textStores() }));

  test('answers as a plain model when each trip arrives once more later', async () => {
    const connect = textStores({ fault: () => 'late' });
    await compareWithModel({ ...movedTime(), connect, runs, together: 3 });
  }, 120_000);

  test.each(['lost', 'refused'] as const)(
    'answers as a plain model when trips fail (%s), and the callers try again',
    async (kind) => {
      let trips = 0;
      const connect = textStores({
        fault: () => (quiet ? undefined : [undefined, kind, 'late' as const][trips++ % 3]),
      });
      let quiet = false;
      await compareWithModel({
        ...movedTime(),
        connect: () => {
          // An announcement is not tried again here.
          quiet = true;
          const store = patient(connect());
          return { ...store, open: async (options) => quietly(await store.open(options), (on) => (quiet = on)) };
        },
        runs,
      });
    },
    120_000,
  );
});

/** No fault while instances come and go. */
function quietly(view: OpenStore, set: (on: boolean) => void): OpenStore {
  const { instances } = view;
  const calm =
    <A extends unknown[], R>(call: (...args: A) => R | Promise<R>) =>
    async (...args: A): Promise<R> => {
      set(true);
      try {
        return await call(...args);
      } finally {
        set(false);
      }
    };
  const announce: typeof instances.announce = calm((...args) => instances.announce(...args));
  const leave: typeof instances.leave = calm((id) => instances.leave(id));
  const close = calm(() => view.close());
  return {
    ...view,
    close,
    instances: Object.assign(Object.create(instances) as typeof instances, { announce, leave }),
  };
}
