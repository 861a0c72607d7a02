/**
 * Writes the tables of `docs/reference/metrics.md` from `src/observe/metric-table.ts`: `node scripts/metrics-page.mjs`.
 * With `--check` it exits 1 when the page is out of date.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { tsImport } from 'tsx/esm/api';
import { renderTable } from './markdown-table.mjs';
import { root } from './steps.mjs';

const PAGE = join(root, 'docs/reference/metrics.md');
const [BEGIN, END] = ['<!-- metrics: written by scripts/metrics-page.mjs -->', '<!-- end of metrics -->'];

/** The page with the table of the source. */
export async function metricsPage(page = readFileSync(PAGE, 'utf8')) {
  const { METRICS } = await tsImport('../src/observe/metric-table.ts', import.meta.url);
  const rows = Object.entries(METRICS).map(([name, { kind, labels = [], help }]) => [
    `\`${name}\``,
    kind,
    labels.map((label) => `\`${label}\``).join(' '),
    help,
  ]);
  const [before, rest] = page.split(BEGIN);
  const after = rest?.split(END)[1];
  if (after === undefined) throw new Error(`${PAGE} has no ${BEGIN} … ${END}`);
  return `${before}${BEGIN}\n\n${renderTable(['name', 'kind', 'labels', 'what it says'], rows)}\n\n${END}${after}`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const page = await metricsPage();
  const isCurrent = page === readFileSync(PAGE, 'utf8');
  if (!process.argv.includes('--check')) writeFileSync(PAGE, page);
  else if (!isCurrent) {
    console.error('docs/reference/metrics.md is out of date: node scripts/metrics-page.mjs');
    process.exitCode = 1;
  }
}
