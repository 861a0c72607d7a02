/** A report for the terminal. */
import { formatTable } from '../../bench/table.ts';
import type { AnyReport } from './report.ts';
import { rowsOf } from './rows.ts';

const TITLES = {
  faults: 'faults',
  outage: 'the store is away',
  rolling: 'rolling restart',
  patience: 'requests wait',
  others: 'requests of clients in other languages wait',
  return: 'the store is back',
  restart: 'reload and crash while the store is away',
} as const;

export function printReport(report: AnyReport): string {
  const { scenario, store, how, seed, leaseMs, seconds, node, found, log } = report;
  const title = report.scenario === 'patience' ? `${TITLES.patience}, ${report.pace}` : TITLES[scenario];
  const head = `${store}, ${title} · seed ${seed}, leaseMs ${leaseMs}, Node ${node}, ${seconds.toFixed(0)} s\n${how}`;
  const parts = rowsOf(report).map(({ title, rows }) => `${title}\n${formatTable(rows)}`);
  const lines = Object.entries(log).map(([msg, count]) => [msg, String(count)]);
  if (lines.length > 0) parts.push(`Warnings and errors in the logs\n${formatTable(lines)}`);
  for (const { violation, at, what } of found) parts.push(`✗ ${violation} at ${at.toFixed(0)}: ${what}`);
  return [head, ...parts].join('\n\n');
}
