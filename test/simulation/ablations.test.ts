// @module-tag matrix
/** Each safety rule, taken away: the checker finds out. What stays as it is proves that it was the rule. */
import { afterEach, describe, expect, test } from 'vitest';
import { ABLATIONS } from './ablations.ts';
import { run, type RunOptions } from './run.ts';

let putBack: (() => void) | undefined;
afterEach(() => {
  putBack?.();
  putBack = undefined;
});

describe('without a rule the checker finds a violation', () => {
  test.each(ABLATIONS)(
    '$rule',
    { timeout: 120_000 },
    async ({ kind, change, without, patch, from = 0, seeds, shows }) => {
      const within: RunOptions = change === undefined ? { kind } : { kind, change };
      putBack = patch?.();
      let seed = from;
      let violations: readonly string[] = [];
      while (seed < from + seeds && !violations.some((violation) => shows.test(violation))) {
        ({ violations } = await run(seed++, { ...within, ...without }));
      }
      expect(
        violations.filter((violation) => shows.test(violation)),
        `in ${seeds} seeds from ${from}`,
      ).not.toEqual([]);
      putBack?.();
      for (let again = from; again < seed; again++)
        expect([again, (await run(again, within)).violations]).toEqual([again, []]);
    },
  );
});
