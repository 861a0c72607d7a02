import fc from 'fast-check';
import { expect, test } from 'vitest';
import { BoundedMap } from '../../src/base/bounded-map.ts';
import { gc } from '../kit/gc.ts';
import { until } from '../kit/until.ts';

test('any operations keep it within its bounds, and it holds what a list of the newest holds', () => {
  const operation = fc.tuple(
    fc.constantFrom('set', 'use', 'delete', 'look'),
    fc.integer({ max: 6, min: 0 }),
    // The last one is larger than all entries may be together.
    fc.constantFrom(0, 1, 2, 3, 4, 9),
  );
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 60 }), (operations) => {
      const map = new BoundedMap<number, { bytes: number }>(4, {
        most: 8,
        of: ({ bytes }) => bytes,
      });
      let model: Array<readonly [number, { bytes: number }]> = [];
      const bytes = () => model.reduce((sum, [, value]) => sum + value.bytes, 0);
      for (const [what, key, size] of operations) {
        const found = model.find(([known]) => known === key);
        if (what === 'use') expect(map.use(key)).toBe(found?.[1]);
        if (what === 'delete') map.delete(key);
        if (what === 'look') expect(map.oldest).toBe(model[0]?.[1]);
        const kept = model.filter(([known]) => known !== key);
        const value = { bytes: size };
        if (what === 'set') map.set(key, value);
        model =
          what === 'delete'
            ? kept
            : what === 'set'
              ? [...kept, [key, value]]
              : what === 'use' && found
                ? [...kept, found]
                : model;
        while (model.length > 4 || bytes() > 8) model.shift();
        expect(map.size).toBe(model.length);
        for (const [known, held] of model) expect(map.get(known)).toBe(held);
      }
    }),
  );
});

test('what comes and goes below its bounds is not kept', async () => {
  const map = new BoundedMap<number, object>(1_000);
  const gone = Array.from({ length: 1_000 }, (_, key) => {
    const value = {};
    map.set(key, value);
    map.delete(key - 1);
    return new WeakRef(value);
  });
  map.delete(999);
  await until(
    () => {
      gc();
      return gone.every((value) => value.deref() === undefined);
    },
    { what: 'the values are collected' },
  );
  expect(map.size).toBe(0);
});
