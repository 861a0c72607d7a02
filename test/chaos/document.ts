/**
 * `docs/internals/reliability.md`: a page with a generated part. Each full run of a scenario on a store is kept as JSON
 * in `results/`; the part is made of all that are kept, so stores can be run one after the other.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { STORES } from './backing-store.ts';
import type { AnyReport } from './report.ts';
import { type Row, rowsOf } from './rows.ts';

const root = new URL('../../', import.meta.url);
const results = new URL('results/', import.meta.url);
const page = fileURLToPath(new URL('docs/internals/reliability.md', root));
const BEGIN = '<!-- written by npm run chaos -->';
const END = '<!-- until here -->';

const TITLES = {
  faults: 'Instances killed, frozen, drained; the store restarted, cut off, slow',
  outage: 'The store away for 10 s',
  rolling: 'Rolling restart',
  'patience-after-answer': 'Requests wait: six official clients, each with its next call 20 ms after an answer',
  'patience-steady': 'Requests wait: six official clients, each with a call every 40 ms',
  others: 'Requests wait: clients in other languages, each with a call every 40 ms, and one instance',
  restart: 'Reloaded, and killed, while the store is away',
  return: 'Ten thousand sessions when the store is back',
} as const;

/** The part of the page, and the name of the file: a scenario, of `patience` also its pace. */
const sectionOf = (report: AnyReport): string =>
  report.scenario === 'patience' ? `patience-${report.pace}` : report.scenario;

/** What happened to which instance when, and what was found, is for the one who looks at that run. */
export function keepReports(reports: readonly AnyReport[]): void {
  mkdirSync(results, { recursive: true });
  for (const report of reports) {
    const { events: _events, ...kept } = report;
    writeFileSync(
      new URL(`${report.store}-${sectionOf(report)}.json`, results),
      `${JSON.stringify(kept, undefined, 2)}\n`,
    );
  }
}

export function writeDocument(): void {
  const text = readFileSync(page, 'utf8');
  const [from, to] = [text.indexOf(BEGIN), text.indexOf(END)];
  if (from < 0 || to < 0) throw new Error(`${page} has no generated part between "${BEGIN}" and "${END}"`);
  const parts = Object.entries(TITLES).flatMap(([section, title]) => {
    const reports = kept().filter((report) => sectionOf(report) === section);
    return reports.length === 0 ? [] : [`### ${title}`, ...tables(reports)];
  });
  const written = [text.slice(0, from) + BEGIN, ...parts, text.slice(to)].join('\n\n');
  writeFileSync(page, written);
  execFileSync(fileURLToPath(new URL('node_modules/.bin/oxfmt', root)), [page]);
}

function kept(): AnyReport[] {
  if (!existsSync(results)) return [];
  const reports = readdirSync(results)
    .filter((name) => name.endsWith('.json'))
    .map((name) => JSON.parse(readFileSync(new URL(name, results), 'utf8')) as AnyReport);
  return STORES.flatMap((store) => reports.filter((report) => report.store === store));
}

const MADE = { factory: 'a factory', definition: 'one definition' };

/** One table per group of rows, a column per store. */
function tables(reports: readonly AnyReport[]): string[] {
  const groups = reports.map(rowsOf);
  const titles = unique(groups.flatMap((of) => of.map(({ title }) => title)));
  const runs: Row[][] = reports.map(({ seed, leaseMs, seconds, node, how, servers }) => [
    ['run as', how],
    ...(servers === undefined ? [] : [['servers', MADE[servers]] as const]),
    ['seed', String(seed)],
    ['`leaseMs`', leaseMs.toLocaleString('en-US')],
    ['Node.js', node],
    ['took', `${seconds.toFixed(0)} s`],
  ]);
  const all = [{ title: 'The run', columns: runs }].concat(
    titles.map((title) => ({
      title,
      columns: groups.map((of) => [...(of.find((one) => one.title === title)?.rows ?? [])]),
    })),
  );
  return all.map(({ title, columns }) =>
    table(
      title,
      reports.map(({ store }) => store),
      columns,
    ),
  );
}

function table(title: string, stores: readonly string[], columns: ReadonlyArray<readonly Row[]>): string {
  const labels = unique(columns.flatMap((rows) => rows.map(([what]) => what)));
  const lines = labels.map((label) => {
    const values = columns.map((rows) => rows.find(([what]) => what === label)?.[1] ?? '');
    return `| ${[label, ...values].join(' | ')} |`;
  });
  const rule = ['---', ...stores.map(() => '---:')].join(' | ');
  return [`| ${[title, ...stores].join(' | ')} |`, `| ${rule} |`, ...lines].join('\n');
}

const unique = (list: readonly string[]): string[] => [...new Set(list)];
