/** What pages take from the source is up to date, and `llms.txt` has every page: `node scripts/pages.mjs` writes them. */
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
// @ts-expect-error a script without types
import * as script from '../../scripts/pages.mjs';

const root = resolve(import.meta.dirname, '../..');
const read = (file: string): string => readFileSync(join(root, file), 'utf8');
const written = await (script as { pages: () => Promise<Array<{ file: string; text: string }>> }).pages();
const linksOf = (text: string): string[] => [...text.matchAll(/\]\(([^)]+)\)/g)].map(([, link = '']) => link);

test.each(written.filter(({ file }) => file.endsWith('.md')))(
  '$file is as scripts/pages.mjs writes it',
  ({ file, text }) => {
    expect(read(file)).toBe(text);
  },
);

test('llms.txt has every page, and no other', () => {
  const text = written.find(({ file }) => file === 'llms.txt')?.text ?? '';
  expect(linksOf(read('llms.txt')).sort()).toEqual(linksOf(text).sort());
});
