/** Writes what pages take from the source: `node scripts/pages.mjs`. `test/docs` fails when one is out of date. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { tsImport } from 'tsx/esm/api';
import { root } from './steps.mjs';

const code = (text) => `\`${text}\``;

/** Each page with a table from the source, between two marks. */
const TABLES = [
  {
    page: 'docs/reference/metrics.md',
    marks: ['<!-- metrics: written by scripts/pages.mjs -->', '<!-- end of metrics -->'],
    async table() {
      const { METRICS } = await tsImport('../src/observe/metric-table.ts', import.meta.url);
      const rows = Object.entries(METRICS).map(([name, { kind, labels = [], help }]) => [
        code(name),
        kind,
        labels.map(code).join(' '),
        help,
      ]);
      return renderTable(['name', 'kind', 'labels', 'what it says'], rows);
    },
  },
  {
    page: 'docs/internals/memory.md',
    marks: ['<!-- memory: written by scripts/pages.mjs -->', '<!-- end of memory -->'],
    async table() {
      const { HELD } = await tsImport('../src/limits/held.ts', import.meta.url);
      const rows = Object.entries(HELD).map(([name, { what, most, until }]) => [code(name), what, most, until]);
      return renderTable(['row', 'what clients make the instance keep', 'at most', 'until'], rows);
    },
  },
];

const read = (file) => readFileSync(join(root, file), 'utf8');

async function withTable({ page, marks: [begin, end], table }) {
  const text = read(page);
  const [before, rest] = text.split(begin);
  const after = rest?.split(end)[1];
  if (after === undefined) throw new Error(`${page} has no ${begin} … ${end}`);
  return `${before}${begin}\n\n${await table()}\n\n${end}${after}`;
}

/** Each file that this script writes, with its text. */
export async function pages() {
  const tables = TABLES.map(async (table) => ({ file: table.page, text: await withTable(table) }));
  return Promise.all(tables);
}

/** As the formatter aligns it. */
export function renderTable(head, rows) {
  const widths = head.map((name, column) => Math.max(name.length, ...rows.map((row) => row[column].length)));
  const line = (cells) => `| ${cells.map((text, column) => text.padEnd(widths[column])).join(' | ')} |`;
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)].join('\n');
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  for (const { file, text } of await pages()) writeFileSync(join(root, file), text);
