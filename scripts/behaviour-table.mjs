/**
 * Writes `docs/reference/behaviour.md`: which test shows which item of the behaviour list. A test shows an item by the
 * number in its title (`B42 a server handle …`, `B38 B40 …`). `node scripts/behaviour-table.mjs` writes the page. With
 * `--check` it reports instead an item without a test, a number that does not exist, and a page that is out of date.
 * `--tests` and `--page` name another folder and file.
 */
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { tsImport } from 'tsx/esm/api';
import { LATER, LATER_IN_PART, SECTIONS } from './behaviour-items.mjs';
import { root } from './steps.mjs';

const MOST_NOT_APPLICABLE = 10;
/** Comments and texts, so that a comment inside a text, or a text inside a comment, is not found. */
const TOKENS = /\/\*[\s\S]*?\*\/|\/\/.*|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`/g;
const TITLE = /^['"`](B\d+(?: B\d+)*) /;
/** A test that is skipped or only planned shows nothing. */
const NOT_RUN = /\.(?:skip|todo)\b[^;\n]*$/;

/** Maps each item to the files with a test of it. */
function findTests(folder) {
  const found = new Map();
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  for (const file of names.filter((name) => name.endsWith('.ts') && !name.includes('fixtures')).sort()) {
    const text = readFileSync(join(folder, file), 'utf8');
    for (const { 0: token, index } of text.matchAll(TOKENS)) {
      const numbers = TITLE.exec(token)?.[1];
      if (numbers === undefined || NOT_RUN.test(text.slice(0, index))) continue;
      for (const number of numbers.split(' ')) {
        const item = Number(number.slice(1));
        const files = found.get(item) ?? [];
        if (!files.includes(file)) found.set(item, [...files, file]);
      }
    }
  }
  return found;
}

async function readNotApplicable(folder) {
  const file = join(folder, 'behaviour/not-applicable.ts');
  if (!existsSync(file)) return new Map();
  const { NOT_APPLICABLE } = await tsImport(pathToFileURL(file).href, import.meta.url);
  return new Map(NOT_APPLICABLE.map((entry) => [entry.item, entry]));
}

function findProblems(tests, notApplicable) {
  const last = SECTIONS.at(-1).first + SECTIONS.at(-1).items.length - 1;
  const problems = [];
  for (let item = 1; item <= last; item++) {
    if (tests.has(item)) {
      if (notApplicable.has(item)) problems.push(`B${item} is not applicable, and has a test: one of the two is wrong`);
    } else if (!notApplicable.has(item) && (!LATER.has(item) || LATER_IN_PART.has(item))) {
      problems.push(`B${item} has no test`);
    }
  }
  for (const item of [...tests.keys(), ...notApplicable.keys()]) {
    if (item < 1 || item > last) problems.push(`B${item} does not exist (${[...(tests.get(item) ?? [])].join(', ')})`);
  }
  if (notApplicable.size > MOST_NOT_APPLICABLE) {
    problems.push(`${notApplicable.size} items are not applicable; ${MOST_NOT_APPLICABLE} may be`);
  }
  return problems;
}

function renderPage(tests, notApplicable, folder, page) {
  const up = relative(dirname(page), folder).replaceAll('\\', '/');
  const cell = (item) => {
    const { why, instead } = notApplicable.get(item) ?? {};
    const links = (tests.get(item) ?? []).map((file) => {
      const path = file.replaceAll('\\', '/');
      return `[${basename(path, '.ts').replace(/\.test$/, '')}](${up}/${path})`;
    });
    return [
      ...links,
      ...(why === undefined ? [] : [`not applicable: ${why}; ${instead}`]),
      ...(LATER.has(item) ? [links.length > 0 ? `(${LATER.get(item)})` : `later, ${LATER.get(item)}`] : []),
    ].join(' ');
  };
  const sections = SECTIONS.map(({ title, first, items }) => {
    const rows = items.map((text, i) => [String(first + i), text, cell(first + i)]);
    return `## ${title}\n\n${renderTable(['item', 'behaviour', 'shown by'], rows)}\n`;
  });
  return `${renderHead()}\n${sections.join('\n')}`;
}

/** What is answered with 200 for a request on a session, and its status anywhere else. */
const ANSWERED = [
  [
    'not a valid JSON-RPC request, nested too deep, params of a wrong shape',
    '400',
    '200, `invalid_request`',
    '12, 13, 224',
  ],
  [
    'a second `initialize`, a request id in flight',
    '400',
    '200, `already_initialized`, `request_id_in_flight`',
    '12, 209, 217',
  ],
  ['wrong `Accept`, wrong content type', '406, 415', '200, `not_acceptable`, `unsupported_media_type`', '5, 6, 13'],
  ['a body over `limits.bodyBytes`, up to four times of it', '413', '200, `body_too_large`', '13, 200'],
  ['past `limits.requestsPerSession`', '429', 'waits; past `waitMs` 200, `too_many_requests`', '198'],
  [
    'the store is away, the lease lapsed, a restore failed',
    '503',
    'waits; past `waitMs` 200, `store_away`, `lapsed`, `restore_failed`',
    '79',
  ],
  ['a migration failed', '503', '200, `migration_failed`', '79'],
];

const renderHead = () => `# Behaviour

What an endpoint does, item by item, and the tests that show it: their titles carry the item's number (\`grep -rn "B42 " test\`).
Made by \`node scripts/behaviour-table.mjs\`; a test fails when an item has none, or when this page is out of date.

## Here 200, elsewhere a refusal

Clients of several languages die of the statuses 400, 406, 413, 415, 429 and 503 on a request of their session, or hang. So
a request on a session of the 2025 revisions gets 200 and a JSON-RPC error with its id instead. The header
\`Sojourn-Refused\` has the reason. 2026-07-28, stateless endpoints, GET, DELETE, notifications and answers keep the status.

${renderTable(['what happened', 'status', 'here', 'items'], ANSWERED)}

Kept, because the specification demands it: 400 for an unsupported, changed or missing version and for a bad session id, 401,
403, 404. Kept, because a load balancer must see it: 503 of an instance that drains or is closed.
`;

/** Aligned as oxfmt aligns it. */
function renderTable(head, rows) {
  const widths = head.map((name, column) => Math.max(name.length, ...rows.map((row) => row[column].length)));
  const line = (cells) => `| ${cells.map((text, column) => text.padEnd(widths[column])).join(' | ')} |`;
  return [line(head), `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`, ...rows.map(line)].join('\n');
}

const { values } = parseArgs({
  options: {
    check: { type: 'boolean', default: false },
    tests: { type: 'string', default: join(root, 'test') },
    page: { type: 'string', default: join(root, 'docs/reference/behaviour.md') },
  },
});
const [folder, page] = [resolve(values.tests), resolve(values.page)];
const tests = findTests(folder);
const notApplicable = await readNotApplicable(folder);
const problems = findProblems(tests, notApplicable);
const made = renderPage(tests, notApplicable, folder, page);
if (!values.check) writeFileSync(page, made);
else if (!existsSync(page) || readFileSync(page, 'utf8') !== made) {
  problems.push(`${relative(root, page)} is out of date; node scripts/behaviour-table.mjs writes it`);
}
for (const problem of problems) console.log(problem);
process.exitCode = problems.length > 0 ? 1 : 0;
