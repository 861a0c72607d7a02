/**
 * Writes what pages take from the source, and `llms.txt` from the pages: `node scripts/pages.mjs`. `test/docs` fails
 * when a page is out of date, and `npm run release` when `llms.txt` is.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { tsImport } from 'tsx/esm/api';
import { llmsText } from './llms.mjs';
import { optionSections, wrapped } from './option-docs.mjs';
import { root } from './steps.mjs';

const code = (text) => `\`${text}\``;
const read = (file) => readFileSync(join(root, file), 'utf8');
const load = (file) => tsImport(`../${file}`, import.meta.url);

/** Each page with text from the source, between two marks of its name. */
const PAGES = [
  {
    page: 'docs/reference/metrics.md',
    name: 'metrics',
    async text() {
      const { METRICS } = await load('src/observe/metric-table.ts');
      const entries = Object.entries(METRICS).map(([name, { kind, labels = [], help }]) => {
        const by = labels.length > 0 ? ` by ${labels.map(code).join(', ')}` : '';
        return wrapped(`- ${code(name)} (${kind}${by}): ${help}`, '  ');
      });
      return entries.join('\n');
    },
  },
  {
    page: 'docs/reference/options.md',
    name: 'options',
    async text() {
      const { ALL_FLAGS } = await load('src/cli/option-flags.ts');
      const { OPTIONS } = await load('src/options/table.ts');
      // The flag `--metrics` takes an address.
      return optionSections(new Map([...ALL_FLAGS, ['metrics', OPTIONS.metrics]]));
    },
  },
  {
    page: 'docs/reference/errors.md',
    name: 'errors',
    async text() {
      const { ERRORS } = await load('src/errors/codes.ts');
      return errorSections(ERRORS);
    },
  },
  {
    page: 'docs/internals/memory.md',
    name: 'memory',
    async text() {
      const { HELD } = await load('src/limits/held.ts');
      const rows = Object.entries(HELD).map(([name, { what, most, until }]) => [code(name), what, most, until]);
      return renderTable(['row', 'what clients make the instance keep', 'at most', 'until'], rows);
    },
  },
];

/** A heading of the codes, or a code with its comment. */
const ERROR_LINE = /^ {2}\/\/ (##.*)$|^ {2}\/\*\*((?:(?!\*\/)[^])*)\*\/\n {2}([A-Z_]+): /gm;

/** In these sections no error is an answer: none has a status. */
const THROWN = /^## (?:Thrown|Configuration)/;

function errorSections(errors) {
  let section = '';
  const lines = [];
  for (const [, heading, comment, name] of read('src/errors/codes.ts').matchAll(ERROR_LINE)) {
    if (heading !== undefined) {
      section = heading;
      lines.push('', heading, '');
      continue;
    }
    const [status, rpc] = errors[name];
    const numbers = [...(THROWN.test(section) ? [] : [status]), ...(rpc === -32000 ? [] : [rpc])];
    const text = comment.replaceAll(/\s*\n\s*\* ?|\s+/g, ' ').trim();
    lines.push(wrapped(`- ${code(name)}${numbers.length > 0 ? ` (${numbers.join(', ')})` : ''}: ${text}`, '  '));
  }
  return lines.join('\n').trim();
}

async function withText({ page, name, text }) {
  const [begin, end] = [`<!-- ${name}: written by scripts/pages.mjs -->`, `<!-- end of ${name} -->`];
  const [before, rest] = read(page).split(begin);
  const after = rest?.split(end)[1];
  if (after === undefined) throw new Error(`${page} has no ${begin} … ${end}`);
  return `${before}${begin}\n\n${await text()}\n\n${end}${after}`;
}

/** Each file that this script writes, with its text. */
export async function pages() {
  const made = await Promise.all(PAGES.map(async (page) => ({ file: page.page, text: await withText(page) })));
  return [...made, { file: 'llms.txt', text: llmsText() }];
}

/** As the formatter aligns it. */
export function renderTable(head, rows) {
  const widths = head.map((name, column) => Math.max(name.length, ...rows.map((row) => row[column].length)));
  const line = (cells) => `| ${cells.map((text, column) => text.padEnd(widths[column])).join(' | ')} |`;
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)].join('\n');
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  for (const { file, text } of await pages()) writeFileSync(join(root, file), text);
