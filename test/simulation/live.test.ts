/** Live objects in worlds that go wrong; and the same worlds without one of the rules that keep them. */
import { expect, test } from 'vitest';
import { isMatrix } from '../kit/matrix.ts';
import { runLive } from './live.ts';

const SEEDS = isMatrix ? 1_000 : 8;

test(
  `${SEEDS} seeds: a call begins as often as it may, one object of a handle answers, and no number of its state is given out twice`,
  { timeout: 60_000 + 10_000 * SEEDS },
  async () => {
    const total = { opened: 0, answered: 0 };
    const found: Array<[seed: number, violations: readonly string[]]> = [];
    for (let seed = 0; seed < SEEDS; seed++) {
      const { violations, counts } = await runLive(seed);
      for (const name of ['opened', 'answered'] as const) total[name] += counts[name];
      if (violations.length > 0) found.push([seed, violations]);
    }
    expect(found).toEqual([]);
    expect(total.opened).toBeGreaterThan(SEEDS * 4);
    expect(total.answered).toBeGreaterThan(SEEDS * 50);
  },
);
