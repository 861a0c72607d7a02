import fc from 'fast-check';
import { expect, test } from 'vitest';
import { SmallMap } from '../../src/base/small-map.ts';

const key = fc.oneof(fc.integer({ min: 0, max: 4 }), fc.constantFrom('0', '1', 'a'));
const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ does: fc.constant('set' as const), key, value: fc.integer() }),
  },
  { weight: 5, arbitrary: fc.record({ does: fc.constant('delete' as const), key }) },
  { weight: 1, arbitrary: fc.record({ does: fc.constant('clear' as const) }) },
);

test('a small map behaves as a Map', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const small = new SmallMap<number | string, number>();
      const map = new Map<number | string, number>();
      for (const one of steps) {
        for (const target of [small, map]) {
          if (one.does === 'set') target.set(one.key, one.value);
          else if (one.does === 'delete') target.delete(one.key);
          else target.clear();
        }
        expect(small.size).toBe(map.size);
        expect(small.values()).toEqual([...map.values()]);
        for (const asked of [0, 1, 2, 3, 4, '0', '1', 'a'])
          expect(small.get(asked)).toBe(map.get(asked));
      }
    }),
    { numRuns: 500 },
  );
});
