/** The kernel above a backend that answers later. The memory store's tests are those of one that answers at once. */
import { describe, test } from 'vitest';
import { compareWithModel } from '../../store-contract/model/compare.ts';
import { createFakeTime } from '../../../src/testing/index.ts';
import { casesFor, contractTests } from '../contract.ts';
import { settableClock } from '../settable-clock.ts';
import type { OpenStore } from '../../../src/stores/store.ts';
import { patient, textStores } from './text-store.ts';

describe('the kernel above a store that answers later keeps the contract', () => {
  contractTests(casesFor('lease-expiry'), () => {
    const { time, pass } = settableClock(Date.UTC(2026, 10, 1));
    return { connect: textStores(), time, pass };
  });
});

const movedByHand = () => {
  const fake = createFakeTime();
  let moved = 0;
  const time = { ...fake, now: (): number => fake.now() + moved, monotonic: (): number => fake.monotonic() + moved };
  return { time, pass: async (ms: number) => void (moved += ms) };
};

describe('the kernel above a store that answers later answers as a plain model', () => {
  const runs = 400;
  test.each(['small', 'large'] as const)(
    'to random operations over two connections, with %s logs',
    async (log) => {
      await compareWithModel({ ...movedByHand(), connect: textStores(), runs, log });
    },
    120_000,
  );

  test('to random operations on records that are not listed', async () => {
    await compareWithModel({ ...movedByHand(), connect: textStores(), runs, listed: false });
  }, 120_000);

  test.each([3, 40])(
    'to random writes that are asked for %i in a turn',
    async (together) => {
      await compareWithModel({ ...movedByHand(), connect: textStores(), runs, together });
    },
    120_000,
  );

  test('when each trip arrives once more later', async () => {
    const connect = textStores({ fault: () => 'late' });
    await compareWithModel({ ...movedByHand(), connect, runs, together: 3 });
  }, 120_000);

  test.each(['lost', 'refused'] as const)(
    'when trips fail (%s), and the callers try again',
    async (kind) => {
      let trips = 0;
      const connect = textStores({
        fault: () => (quiet ? undefined : [undefined, kind, 'late' as const][trips++ % 3]),
      });
      let quiet = false;
      await compareWithModel({
        ...movedByHand(),
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
