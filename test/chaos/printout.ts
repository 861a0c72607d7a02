/** A report for the terminal: its counts and times as they are, then each violation. */
import { inspect } from 'node:util';
import { type AnyReport, failuresOf } from './report.ts';

export function printReport(report: AnyReport): string {
  const { events: _events, found, violations: _violations, ...rest } = report;
  const counts = inspect(rest, { depth: 5, maxArrayLength: null, breakLength: 120, sorted: false });
  const lines = found.map(({ violation, at, what }) => `✗ ${violation} at ${at.toFixed(0)}: ${what}`);
  return [counts, ...failuresOf(report), ...lines].join('\n');
}
