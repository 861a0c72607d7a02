/**
 * Writes `docs/internals/behaviour.md`: what the tests of the behaviour list hold. An item is a number in the title of a
 * test or of its `describe` (`B42 a server handle …`, `B38 B40 …`), and its sentences are these titles, so the page says
 * what runs. `node scripts/behaviour-table.mjs` writes the page. With `--check` it reports instead an item without a
 * test, a number that does not exist, and a page that is out of date. `--tests` and `--page` name another folder and file.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { tsImport } from 'tsx/esm/api';
import { renderTable } from './markdown-table.mjs';
import { root } from './steps.mjs';

/** The first item of each section. */
const SECTIONS = new Map([
  ['POST', 1],
  ['GET', 31],
  ['DELETE', 47],
  ['Session lifecycle: idle, limits, shutdown', 54],
  ['Migration', 72],
  ['Stateless mode', 87],
  ['Hybrid mode', 101],
  ['Resumability', 110],
  ['The modern era on the wire', 132],
  ['Protocol versions', 144],
  ['Headers that mirror the body', 156],
  ['The 2024-11-05 transport', 169],
  ['Identity and authorization', 179],
  ['Session options, run hook, execution context, CORS', 191],
  ['Limits and flow control', 198],
  ['What the specification adds', 201],
]);
const LAST = 226;

const MOST_NOT_APPLICABLE = 10;
const NUMBERED = /^(?:B\d+ )+/;
/** A `describe` that only says on which face, or for which parameter, its tests run. */
const VARIANT = /^(?:(?:over|in|at) )?(?:the )?%s(?: face)?$/;

/** Every test that runs and whose name has a number, from vitest, which reads the files without running them. */
function listTests(folder) {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  const files = names.filter(
    (name) =>
      name.endsWith('.test.ts') &&
      !name.includes('fixtures') &&
      /['"`]B\d/.test(readFileSync(join(folder, name), 'utf8')),
  );
  const temporary = mkdtempSync(join(tmpdir(), 'sojourn-titles-'));
  try {
    const list = join(temporary, 'list.json');
    const program = join(root, 'node_modules/vitest/vitest.mjs');
    const paths = files.map((name) => join(folder, name));
    const args = ['list', '--staticParse', `--json=${list}`, '--root', dirname(folder), ...paths];
    const { stderr, status } = spawnSync(process.execPath, [program, ...args], { encoding: 'utf8' });
    if (status !== 0) throw new Error(`vitest list failed: ${stderr}`);
    return JSON.parse(readFileSync(list, 'utf8'))
      .map(({ name, file, location }) => ({
        path: name.split(' > '),
        file: relative(folder, file),
        line: location.line,
      }))
      .toSorted((a, b) => (a.file === b.file ? a.line - b.line : a.file < b.file ? -1 : 1));
  } finally {
    rmSync(temporary, { recursive: true });
  }
}

/** Maps each item to its sentences, and each sentence to the files that hold it. */
function findItems(folder) {
  const items = new Map();
  for (const { path, file } of listTests(folder)) {
    const numbers = path.flatMap((title) => NUMBERED.exec(title)?.[0].match(/\d+/g) ?? []);
    const sentence = sentenceOf(path);
    for (const number of numbers) {
      const item = Number(number);
      const sentences = items.get(item) ?? new Map();
      items.set(item, sentences.set(sentence, new Set([...(sentences.get(sentence) ?? []), file])));
    }
  }
  return items;
}

/** The titles from the outermost `describe` to the test. What a parameter fills in is `…`. */
function sentenceOf(path) {
  const titles = path.filter((title) => !VARIANT.test(title));
  const joined = titles.map((title, i) => {
    const text = title.replace(NUMBERED, '');
    if (i === titles.length - 1) return text;
    return NUMBERED.test(title) || /[:,]$/.test(text) ? `${text} ` : `${text}: `;
  });
  return joined
    .join('')
    .replace(/%[sjdio#]|\$\{[^}]*\}/g, '…')
    .replace(/ \(…\)/g, '');
}

async function readNotApplicable(folder) {
  const file = join(folder, 'behaviour/not-applicable.ts');
  if (!existsSync(file)) return new Map();
  const { NOT_APPLICABLE } = await tsImport(pathToFileURL(file).href, import.meta.url);
  return new Map(NOT_APPLICABLE.map((entry) => [entry.item, entry]));
}

function findProblems(items, notApplicable) {
  const problems = [];
  for (let item = 1; item <= LAST; item++) {
    if (items.has(item)) {
      if (notApplicable.has(item)) problems.push(`B${item} is not applicable, and has a test: one of the two is wrong`);
    } else if (!notApplicable.has(item)) {
      problems.push(`B${item} has no test`);
    }
  }
  for (const item of [...items.keys(), ...notApplicable.keys()]) {
    const files = [...(items.get(item)?.values() ?? [])].flatMap((found) => [...found]);
    if (item < 1 || item > LAST) problems.push(`B${item} does not exist (${[...new Set(files)].join(', ')})`);
  }
  if (notApplicable.size > MOST_NOT_APPLICABLE) {
    problems.push(`${notApplicable.size} items are not applicable; ${MOST_NOT_APPLICABLE} may be`);
  }
  return problems;
}

function renderPage(items, notApplicable, folder, page) {
  const up = relative(dirname(page), folder).replaceAll('\\', '/');
  const link = (file) => {
    const path = file.replaceAll('\\', '/');
    return `[${basename(path, '.ts').replace(/\.test$/, '')}](${up}/${path})`;
  };
  const rowsOf = (item) => {
    const number = String(item);
    const absent = notApplicable.get(item);
    if (absent !== undefined) return [[number, absent.what, `not applicable: ${absent.why}; ${absent.instead}`]];
    return [...(items.get(item) ?? [])].map(([sentence, files], i) => [
      i === 0 ? number : '',
      sentence.replaceAll('|', '\\|').replaceAll('<', '&lt;').replaceAll('*', '\\*'),
      [...files].map(link).join(' '),
    ]);
  };
  const firsts = [...SECTIONS.values(), LAST + 1];
  const sections = [...SECTIONS].map(([title, first], i) => {
    const numbers = Array.from({ length: firsts[i + 1] - first }, (_, n) => first + n);
    return `## ${title}\n\n${renderTable(['item', 'behaviour', 'shown by'], numbers.flatMap(rowsOf))}\n`;
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
  ['a body with more keys than `limits.bodyKeys`', '413', '200, `too_many_keys`', '13'],
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

What an endpoint does, item by item. Each sentence is the title of a test that runs; \`…\` is a value that the test varies. The title
carries the number of the item (\`grep -rn "B42 " test\`). \`node scripts/behaviour-table.mjs\` writes this page, and a test
fails when an item has no test or when the page is out of date.

## Here 200, elsewhere a refusal

Clients of several languages die of the statuses 400, 406, 413, 415, 429 and 503 on a request of their session, or hang. So
a request on a session of the 2025 revisions gets 200 and a JSON-RPC error with its id instead. The header
\`Sojourn-Refused\` has the reason. 2026-07-28, stateless endpoints, GET, DELETE, notifications and answers keep the status.

${renderTable(['what happened', 'status', 'here', 'items'], ANSWERED)}

Kept, because the specification demands it: 400 for an unsupported, changed or missing version and for a bad session id, 401,
403, 404. Kept, because a load balancer must see it: 503 of an instance that drains or is closed.
`;

const { values } = parseArgs({
  options: {
    check: { type: 'boolean', default: false },
    tests: { type: 'string', default: join(root, 'test') },
    page: { type: 'string', default: join(root, 'docs/internals/behaviour.md') },
  },
});
const [folder, page] = [resolve(values.tests), resolve(values.page)];
const items = findItems(folder);
const notApplicable = await readNotApplicable(folder);
const problems = findProblems(items, notApplicable);
const made = renderPage(items, notApplicable, folder, page);
if (!values.check) writeFileSync(page, made);
else if (!existsSync(page) || readFileSync(page, 'utf8') !== made) {
  problems.push(`${relative(root, page)} is out of date; node scripts/behaviour-table.mjs writes it`);
}
for (const problem of problems) console.log(problem);
process.exitCode = problems.length > 0 ? 1 : 0;
