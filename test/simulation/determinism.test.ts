// @module-tag matrix
import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { run } from './run.ts';
import { KINDS } from './scenario.ts';

const hashOf = (trace: readonly string[]): string =>
  createHash('sha256').update(trace.join('\n')).digest('hex');

test.each(KINDS)('a seed is the whole of a run: %s', { timeout: 120_000 }, async (kind) => {
  const first = await run(7, { kind, traced: true });
  const again = await run(7, { kind, traced: true });
  const other = await run(8, { kind, traced: true });
  expect(first.trace.length).toBeGreaterThan(100);
  expect(hashOf(again.trace)).toBe(hashOf(first.trace));
  expect(hashOf(other.trace)).not.toBe(hashOf(first.trace));
});

test('a trace changes nothing', { timeout: 120_000 }, async () => {
  for (let seed = 0; seed < 20; seed++) {
    const [traced, silent] = [await run(seed, { traced: true }), await run(seed)];
    expect([silent.events, silent.calls, silent.results]).toEqual([
      traced.events,
      traced.calls,
      traced.results,
    ]);
  }
});
