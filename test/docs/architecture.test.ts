/**
 * The pages for people who change sojourn name files and folders, and comments of the source name pages: each exists.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';

const root = resolve(import.meta.dirname, '../..');
const PATH = /(?<![\w./-])(?:src|test|docs|scripts|bench|examples)\/[\w./-]*[\w/]/g;
const PAGE = /(?<![\w./-])docs\/[\w./-]+\.md/g;

const read = (file: string): string => readFileSync(join(root, file), 'utf8');
const missingOf = (text: string, pattern: RegExp): string[] =>
  [...new Set(text.match(pattern))].filter((path) => !existsSync(join(root, path)));

const pagesIn = (folder: string): string[] =>
  readdirSync(join(root, folder))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `${folder}/${name}`);

test.each(['ARCHITECTURE.md', 'CONTRIBUTING.md', ...pagesIn('docs/internals'), ...pagesIn('docs/adr')])(
  '%s names files and folders that exist',
  (file) => {
    expect(missingOf(read(file), PATH)).toEqual([]);
  },
);

test('comments of the source name pages that exist', () => {
  const files = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' });
  const missing = files
    .filter((name) => name.endsWith('.ts'))
    .flatMap((name) => missingOf(read(join('src', name)), PAGE).map((page) => `src/${name}: ${page}`));
  expect(missing).toEqual([]);
});

test('ARCHITECTURE.md has every folder of the source', () => {
  const folders = readdirSync(join(root, 'src'), { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const text = read('ARCHITECTURE.md');
  expect(folders.map(({ name }) => `| \`src/${name}/\` `).filter((row) => !text.includes(row))).toEqual([]);
});
