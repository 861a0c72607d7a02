/**
 * What reference pages take from the source: `node scripts/pages.mjs` writes it, `--check` fails where a page is out of
 * date. A page has the order and the headings; the text of each entry is the comment beside
 * the value. Of `@default`, `test/pages/options-reference.test.ts` compares the number with the table's.
 *
 * What `npm run bench -- kills --record` has found is in README, in `docs/kills.md` and in a picture. Figures of the
 * repository itself are in the sentences of `FIGURES`.
 *
 * `llms.txt` lists all pages, each with its first sentence; `llms-full.txt` has those for users, whole.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { tsImport } from 'tsx/esm/api';
import { root } from './steps.mjs';

const read = (file) => readFileSync(join(root, file), 'utf8');
const load = (file) => tsImport(`../${file}`, import.meta.url);
const code = (text) => `\`${text}\``;
const flat = (comment) => comment.replaceAll(/\s*\n\s*\* ?|\s+/g, ' ').trim();

/** An entry in a list of the page, with its name; an option is a section. */
const ITEM = /^- `(\w+)`[ :][^\n]*(?:\n {2}[^\n]*)*/gm;
const SECTION = /^### `([\w.]+)`\n(?:(?!^#)[^])*(?=\n#|$(?![^]))/gm;

const PAGES = [
  { page: 'docs/reference/metrics.md', entry: ITEM, made: metrics },
  { page: 'docs/reference/errors.md', entry: ITEM, made: errors },
  { page: 'docs/reference/options.md', entry: SECTION, made: options },
];

async function metrics() {
  const { METRICS, metricOf } = await load('src/base/observe/metric-table.ts');
  return Object.keys(METRICS).map((name) => {
    const { kind, labels = [], help } = metricOf(name);
    const by = labels.length > 0 ? ` by ${labels.map(code).join(', ')}` : '';
    return [name, wrapped(`- ${code(name)} (${kind}${by}): ${help}`, '  ')];
  });
}

/** Errors that are thrown at the application have no status. */
async function errors() {
  const { ERRORS } = await load('src/base/errors/codes.ts');
  const source = read('src/base/errors/codes.ts');
  const thrown = source.search(/\/\/ ## (?:Thrown|Configuration)/);
  return [source.slice(0, thrown), source.slice(thrown)].flatMap((part, isThrown) =>
    [...part.matchAll(/^ {2}\/\*\*((?:(?!\*\/)[^])*)\*\/\n {2}([A-Z_]+): /gm)].map(
      ([, comment, name]) => {
        const [status, rpc] = ERRORS[name];
        const numbers = [...(isThrown ? [] : [status]), ...(rpc === -32000 ? [] : [rpc])];
        const facts = numbers.length > 0 ? ` (${numbers.join(', ')})` : '';
        return [name, wrapped(`- ${code(name)}${facts}: ${flat(comment)}`, '  ')];
      },
    ),
  );
}

/** The types of options: prefix of the names in the page, and file. */
const TABLES = {
  McpEndpointOptions: ['', 'src/base/options/mcp-endpoint-options.ts'],
  Limits: ['limits.', 'src/base/options/limits-options.ts'],
  LimitsOptions: ['limits.', 'src/base/options/limits-options.ts'],
  EventRetention: ['eventRetention.', 'src/base/types.ts'],
};

/** Options whose members are listed below them. */
const MEMBERS = {
  auth: ['AuthOptions', 'src/base/options/auth-options.ts'],
  tasks: ['TasksOptions', 'src/base/options/tasks-options.ts'],
  'limits.perUser': ['UserLimits', 'src/base/options/limits-options.ts'],
  'limits.perTool': ['ToolLimits', 'src/base/options/limits-options.ts'],
};

/** Member → its comment as one line, and its `@default`. */
function commentsOf(table, file) {
  const text = read(file);
  const body = text.split(new RegExp(`(?:interface|const) ${table} `))[1].split(/\n};?\n/)[0];
  const comments = body.matchAll(/\/\*\*((?:(?!\*\/)[^])*)\*\/\s+(\w+)\??:/g);
  return [...comments].map(([, comment, name]) => [name, ...flat(comment).split(/ ?@default /)]);
}

async function options() {
  const { ALL_FLAGS } = await load('src/cli/flags.ts');
  const { OPTIONS } = await load('src/base/options/table.ts');
  // The flag `--metrics` takes an address.
  const flags = new Map([...ALL_FLAGS, ['metrics', OPTIONS.metrics]]);
  const all = Object.entries(TABLES).flatMap(([table, [prefix, file]]) =>
    commentsOf(table, file).map(([name, ...doc]) => [prefix + name, ...doc]),
  );
  return all.map(([name, said, preset]) => {
    const facts = [
      kindOf(name, flags.get(name)),
      ...(preset ? [`default ${preset.replace(/^(?:[\d.,]*\d|Infinity)/, code('$&'))}`] : []),
    ];
    const members = MEMBERS[name] === undefined ? [] : commentsOf(...MEMBERS[name]);
    const list = members.map(([member, text, own]) =>
      wrapped(`- ${code(member)}: ${withLinks(text)}${own ? ` Default ${own}.` : ''}`, '  '),
    );
    const text = wrapped(`_${facts.join(', ')}._ ${withLinks(said)}`);
    return [
      name,
      `### ${code(name)}\n\n${[text, ...(list.length > 0 ? [list.join('\n')] : [])].join('\n\n')}\n`,
    ];
  });
}

function kindOf(name, { kind, choices, range } = {}) {
  if (name === 'eventRetention') return 'object or `false`';
  if (name === 'tasks') return 'boolean or object';
  if (choices !== undefined) return choices.map((choice) => code(`'${choice}'`)).join(', ');
  if (kind === undefined) return 'module only';
  return (
    { number: ['ms', 'bytes'].includes(range?.unit) ? range.unit : 'number', switch: 'boolean' }[
      kind
    ] ?? kind
  );
}

/** `(docs/guide/hooks.md#middleware)` → `([hooks](../guide/hooks.md#middleware))` */
function withLinks(text) {
  return text.replaceAll(/docs\/(\w+)\/([\w-]+)\.md(#[\w-]+)?/g, (_, folder, page, anchor = '') => {
    return `[${page.replaceAll('-', ' ')}](../${folder}/${page}.md${anchor})`.replace(
      '../reference/',
      '',
    );
  });
}

/** Lines of at most 120 characters. */
function wrapped(text, indent = '') {
  const lines = [''];
  for (const word of text.split(' ')) {
    const line = lines.at(-1);
    if (line !== '' && line.length + word.length >= 120) lines.push(`${indent}${word}`);
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`;
  }
  return lines.join('\n');
}

/** Blank lines and comments are not counted, as the lint does it. */
const linesOf = (file) =>
  read(file)
    .replaceAll(/\/\*[^]*?\*\/|^\s*\/\/[^\n]*$/gm, '')
    .split('\n')
    .filter((line) => line.trim() !== '').length;

/** The highest number of a behaviour that a title of a test has. */
function lastBehaviour() {
  const files = readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' });
  const titles = files
    .filter((file) => file.endsWith('.test.ts'))
    .map((file) => read(`test/${file}`));
  const numbers = titles.flatMap((text) => [...text.matchAll(/\bB(\d{1,3})\b/g)]);
  return Math.max(...numbers.map(([, number]) => Number(number)));
}

/** The number in a sentence of a page, and what it is now. */
const FIGURES = [
  {
    page: 'docs/internals/your-own.md',
    number: /(?<=is a whole store in )\d+(?= lines)/,
    now: () => linesOf('examples/own-store/store.ts'),
  },
  {
    page: 'docs/guide/what-a-server-may-assume.md',
    number: /(?<=Each night we try )\d+(?= published servers)/,
    now: () => JSON.parse(read('test/adopt/servers.json')).length,
  },
  {
    page: 'CONTRIBUTING.md',
    number: /(?<=the behaviour list, which ends at )\d+/,
    now: lastBehaviour,
  },
];

function figures() {
  return FIGURES.map(({ page, number, now }) => {
    const text = read(page);
    if (!number.test(text)) throw new Error(`${page} lacks the sentence of ${number}`);
    return { file: page, text: text.replace(number, String(now())) };
  });
}

/** The page with its entries as the source has them. */
async function written({ page, entry, made }) {
  const left = new Map(await made());
  const text = read(page).replaceAll(entry, (old, name) => {
    const now = left.get(name);
    left.delete(name);
    return now ?? old;
  });
  if (left.size > 0)
    throw new Error(
      `${page} lacks ${[...left.keys()].join(', ')}: put each where a reader looks for it`,
    );
  return { file: page, text };
}

/** The sections of `llms.txt`: files, or folders. Those of the first ones are for users. */
const SECTIONS = {
  'Start and guide': ['README.md', 'docs/guide'],
  Stores: ['docs/stores'],
  Reference: ['docs/reference', 'docs/performance.md', 'docs/reliability.md', 'docs/kills.md'],
  Security: ['SECURITY.md'],
  'Changes, and how to change sojourn': ['CHANGELOG.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md'],
  Internals: ['docs/internals'],
};

const FOR_USERS = Object.values(SECTIONS).slice(0, 4).flat();

const pagesOf = (place) =>
  place.endsWith('.md')
    ? [place]
    : readdirSync(join(root, place))
        .filter((name) => name !== 'README.md')
        .map((name) => `${place}/${name}`);

/** Without links and emphasis. */
const plain = (text) => text.replaceAll(/!?\[([^\]]*)\]\([^)]*\)/g, '$1').replaceAll('**', '');

/** `- [title](page): first sentence` */
function lineOf(page, text) {
  const [, title, rest] = /^# ([^\n]+)\n([^]*)/.exec(text);
  const paragraph = rest
    .split(/\n{2,}/)
    .map((part) => plain(part.trim()).replaceAll(/\s+/g, ' '))
    .find((part) => /^[\w`]/.test(part));
  const [sentence] = /^.*?\.(?= |$)/.exec(paragraph) ?? [paragraph];
  return `- [${plain(title)}](${page}): ${sentence.replace(/:$/, '.')}`;
}

/** `pages`: their texts, as they are written. */
function llms(pages) {
  const { description } = JSON.parse(read('package.json'));
  const lists = Object.entries(SECTIONS).map(([title, places]) => {
    const lines = places.flatMap(pagesOf).map((page) => lineOf(page, pages(page)));
    return `## ${title}\n\n${lines.join('\n')}\n`;
  });
  const whole = FOR_USERS.flatMap(pagesOf).map((page) => `<!-- ${page} -->\n\n${pages(page)}`);
  return [
    { file: 'llms.txt', text: [`# sojourn\n\n> ${description}\n`, ...lists].join('\n') },
    { file: 'llms-full.txt', text: whole.join('\n') },
  ];
}

/** A table whose head names lost sessions, with the line above it in `docs/kills.md`. */
const KILLS_TABLE = /^\|[^\n]*\| +sessions lost \|[^\n]*\n(?:\|[^\n]*\n)+/m;
const KILLS_CAPTION = /(?<=<!-- [^>]*recorded-kills.json -->\n\n)[^\n]+/;

async function kills() {
  const { shortTableOf, tableOf } = await load('bench/kills/outcome.ts');
  const { pictureOf } = await load('bench/kills/picture.ts');
  const recorded = JSON.parse(read('bench/recorded-kills.json'));
  const { date, machine, settings } = recorded;
  const caption = `${date}, ${settings.kills} kills of each side, ${machine}:`;
  const withTable = (page, table) => read(page).replace(KILLS_TABLE, () => `${table}\n`);
  return [
    { file: 'README.md', text: withTable('README.md', shortTableOf(recorded)) },
    {
      file: 'docs/kills.md',
      text: withTable('docs/kills.md', tableOf(recorded)).replace(KILLS_CAPTION, () => caption),
    },
    { file: 'docs/images/kills.svg', text: pictureOf(recorded) },
  ];
}

const made = [...(await Promise.all(PAGES.map(written))), ...(await kills()), ...figures()];
const textOf = (page) => made.find(({ file }) => file === page)?.text ?? read(page);
const isOld = ({ file, text }) => !existsSync(join(root, file)) || read(file) !== text;
const old = [...made, ...llms(textOf)].filter(isOld);
if (process.argv.includes('--check')) {
  for (const { file } of old) console.error(`${file} is out of date: node scripts/pages.mjs`);
  process.exitCode = old.length === 0 ? 0 : 1;
} else for (const { file, text } of old) writeFileSync(join(root, file), text);
