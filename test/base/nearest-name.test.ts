import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { nearestName } from '../../src/base/nearest-name.ts';

const NAMES = ['idleTimeoutMs', 'leaseMs', 'limits.bodyBytes', 'limits.batch', 'bus', 'name'];

describe('the nearest name', () => {
  test.each([
    ['idleTimeoutMs', 'idleTimeoutMs'],
    ['IDLETIMEOUTMS', 'idleTimeoutMs'],
    ['idelTimeoutMs', 'idleTimeoutMs'],
    ['idleTimeout', 'idleTimeoutMs'],
    ['lease', 'leaseMs'],
    ['bodyBytes', 'limits.bodyBytes'],
    ['limits.bodybyte', 'limits.bodyBytes'],
    ['bsu', 'bus'],
    ['batch', 'limits.batch'],
  ])('of %s is %s', (given, meant) => {
    expect(nearestName(given, NAMES)).toBe(meant);
  });

  test.each(['', 'colour', 'zzz', 'sessionIdGenerator'])('of %j is none', (given) => {
    expect(nearestName(given, NAMES)).toBeUndefined();
  });

  test('one edit away is always found', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...NAMES),
        fc.nat(),
        fc.constantFrom('drop', 'double', 'swap'),
        (name, seed, edit) => {
          const i = seed % (name.length - 1);
          const [head, one, two, tail] = [name.slice(0, i), name[i], name[i + 1], name.slice(i + 2)];
          const typed = {
            drop: head + two + tail,
            double: head + one + one + two + tail,
            swap: head + two + one + tail,
          };
          expect(nearestName(typed[edit], NAMES)).toBe(name);
        },
      ),
    );
  });
});
