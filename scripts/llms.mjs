/** `llms.txt`: the pages for a reader that is a program (llmstxt.org). `scripts/pages.mjs` writes it. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './steps.mjs';

const read = (file) => readFileSync(join(root, file), 'utf8');

/** The folders of pages, in the order in which a reader needs them. */
const SECTIONS = [
  ['Start and guide', ['README.md', ...pagesIn('docs/guide')]],
  ['Stores', pagesIn('docs/stores')],
  ['Reference', [...pagesIn('docs/reference'), ...['performance', 'reliability'].map((name) => `docs/${name}.md`)]],
  [
    'Security, changes, and how to change sojourn',
    ['SECURITY.md', 'CHANGELOG.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md'],
  ],
  ['Internals', pagesIn('docs/internals')],
];

function pagesIn(folder) {
  const names = readdirSync(join(root, folder)).filter((name) => name.endsWith('.md') && name !== 'README.md');
  return names.map((name) => `${folder}/${name}`);
}

/** A first sentence that is shorter says too little alone. */
const SHORT = 50;

/** The title of a page, and the first sentence or two below it. */
function headOf(page) {
  const [first = '', ...rest] = read(page).split('\n\n');
  const title = first.replace(/^# /, '').replaceAll('`', '');
  const block = rest.find((part) => !/^(\||```|!\[|- |#|<|\d\.)/.test(part)) ?? '';
  const plain = block
    .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
    .replace(/\*\*/g, '')
    .replace(/\s+/g, ' ');
  const [one = '', two = ''] = plain.split(/(?<=[.:]) /);
  const text = one.length < SHORT ? `${one} ${two}` : one;
  return `- [${title}](${page}): ${text.trim().replace(/:$/, '.')}`;
}

export function llmsText() {
  const { name, description } = JSON.parse(read('package.json'));
  const sections = SECTIONS.map(([title, pages]) => `## ${title}\n\n${pages.map(headOf).join('\n')}\n`);
  return `# ${name}\n\n> ${description}\n\n${sections.join('\n')}`;
}
