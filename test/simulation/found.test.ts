/** Seeds that broke an invariant once: a store that stood still for longer than a lease, on an earlier build. */
import { expect, test } from 'vitest';
import { run } from './run.ts';

test.each([
  ['a call that was stored just before its session left hung', 71],
  ['a copy was kept that had been claimed for an id which nobody knew yet', 226],
  ['the same, of a session that was ended meanwhile', 1_469],
])('%s (stalls, %i)', async (_what, seed) => {
  expect((await run(seed, { kind: 'stalls' })).violations).toEqual([]);
});
