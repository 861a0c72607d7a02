/** The seeds that the tests run, in parts of fifty: `npm run simulate` runs more. */
import { describe, expect, test } from 'vitest';
import { isMatrix } from '../kit/matrix.ts';
import { run } from './run.ts';

const PART = 50;
/** Of the trace of a seed that fails; all of it comes with `--trace`. */
const LINES = 150;

function surviveSeeds(from: number, count: number): void {
  describe(`seeds ${from} to ${from + count - 1}`, () => {
    for (let first = from; first < from + count; first += PART) {
      const last = Math.min(first + PART, from + count) - 1;
      test(`${first} to ${last} break no invariant`, { timeout: 120_000 }, async () => {
        const failed: number[] = [];
        for (let seed = first; seed <= last; seed++) if ((await run(seed)).violations.length > 0) failed.push(seed);
        if (failed.length > 0) throw new Error(await story(failed));
        expect(failed).toEqual([]);
      });
    }
  });
}

async function story(failed: readonly number[]): Promise<string> {
  const [seed = 0] = failed;
  const { violations, trace, scenario } = await run(seed, { traced: true });
  return [
    `seeds ${failed.join(', ')} fail. ${seed} (${scenario.kind}):`,
    ...violations,
    `npm run simulate -- --seed ${seed} --trace shows all of it; its last ${LINES} lines:`,
    ...trace.slice(-LINES),
  ].join('\n');
}

// 0.05 to 0.12 s each.
surviveSeeds(0, isMatrix ? 1_000 : 100);
