/** `llms.txt` has every page. */
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';

const root = resolve(import.meta.dirname, '../..');
const pagesIn = (folder: string): string[] =>
  readdirSync(join(root, folder))
    .filter((name) => name.endsWith('.md') && name !== 'README.md')
    .map((name) => `${folder}/${name}`);

test('llms.txt has every page, and no other', () => {
  const text = readFileSync(join(root, 'llms.txt'), 'utf8');
  const folders = ['guide', 'stores', 'reference', 'internals'].flatMap((name) => pagesIn(`docs/${name}`));
  const others = ['README.md', 'docs/performance.md', 'docs/reliability.md', 'SECURITY.md', 'CHANGELOG.md'];
  const pages = [...folders, ...others, 'ARCHITECTURE.md', 'CONTRIBUTING.md'];
  expect([...text.matchAll(/\]\(([^)]+)\)/g)].map(([, link = '']) => link).sort()).toEqual(pages.sort());
});
