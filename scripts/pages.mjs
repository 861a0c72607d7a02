/**
 * Writes what pages take from the source: `node scripts/pages.mjs`. The tables of `docs/reference/metrics.md` come from
 * `src/observe/metric-table.ts`. `test/docs/metrics-reference.test.ts` fails when the page is out of date.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { tsImport } from 'tsx/esm/api';
import { root } from './steps.mjs';

const PAGE = join(root, 'docs/reference/metrics.md');
const [BEGIN, END] = ['<!-- metrics: written by scripts/pages.mjs -->', '<!-- end of metrics -->'];

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

/** As the formatter aligns it. */
export function renderTable(head, rows) {
  const widths = head.map((name, column) => Math.max(name.length, ...rows.map((row) => row[column].length)));
  const line = (cells) => `| ${cells.map((text, column) => text.padEnd(widths[column])).join(' | ')} |`;
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)].join('\n');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(PAGE, await metricsPage());
