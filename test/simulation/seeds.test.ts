/** The seeds that the tests run, in parts of fifty: `npm run simulate` runs more, and shows the trace of one. */
import { expect, test } from 'vitest';
import { isMatrix } from '../kit/matrix.ts';
import { run } from './run.ts';
import { proxied } from './scenario.ts';

const PART = 50;
// 0.05 to 0.12 s each.
const parts = Array.from({ length: (isMatrix ? 1_000 : 100) / PART }, (_, n) => n * PART);

test(
  'a call that a proxy sends once more when its connection is cut runs once',
  { timeout: 120_000 },
  async () => {
    const failed: Array<[seed: number, violations: readonly string[]]> = [];
    for (const kind of ['crashes', 'lossy', 'storm', 'freezes', 'drains'] as const)
      for (let seed = 0; seed < (isMatrix ? 200 : 4); seed++) {
        const { violations } = await run(seed, { kind, change: proxied });
        if (violations.length > 0) failed.push([seed, [kind, ...violations]]);
      }
    expect(failed).toEqual([]);
  },
);

test.each(parts)('fifty seeds from %i break no invariant', { timeout: 120_000 }, async (from) => {
  const failed: Array<[seed: number, violations: readonly string[]]> = [];
  for (let seed = from; seed < from + PART; seed++) {
    const { violations } = await run(seed);
    if (violations.length > 0) failed.push([seed, violations]);
  }
  expect(failed).toEqual([]);
});
