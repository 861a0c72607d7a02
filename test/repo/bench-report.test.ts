/** What the bench says of a run. */
import { expect, test } from 'vitest';
import { formatWork } from '../../bench/report.ts';
import type { SideResult } from '../../bench/rounds.ts';
import { selectWorks } from '../../bench/works.ts';

const [work] = selectWorks(['stateful'], []);

/** Nine quiet slices and eleven that other programs disturbed. */
function resultOf(id: string, quietUs: number): SideResult {
  const slices = Array.from({ length: 20 }, (_, n) => {
    const cpuUs = n < 9 ? quietUs : quietUs + 100;
    return { wallUs: cpuUs, cpuUs, storeUs: 0 };
  });
  const side = { id, title: id, script: '' };
  return { side, rounds: [{ slices, p99Ms: 1, others: 0 }] };
}

const told = (again: number): string =>
  formatWork(work as NonNullable<typeof work>, 16, [
    resultOf('again', again),
    resultOf('ours', 60),
    resultOf('floor', 40),
  ]);

test('quiet slices come first, because a median of a busy machine flatters', () => {
  expect(told(61)).toMatch(/ {2}ours ÷ floor +1\.500 +1\.143 /);
  expect(told(61)).toMatch(/requests\/s +quiet µs +median/);
});

test('no ratio is told where two processes of one build differ by more than 5 %', () => {
  expect(told(64)).not.toContain('÷');
  expect(told(64)).toContain('No ratios: two processes of one build differ by 7 %');
});
