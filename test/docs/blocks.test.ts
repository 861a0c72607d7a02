/** A program of a page is whole: the page gives each file that the program imports. */
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';

const root = resolve(import.meta.dirname, '../..');
const PAGES = [
  'README.md',
  ...['docs/guide', 'docs/stores', 'docs/reference'].flatMap((folder) =>
    readdirSync(join(root, folder)).map((name) => `${folder}/${name}`),
  ),
];

test.each(PAGES)('%s gives each file that its programs import', (page) => {
  const programs = readFileSync(join(root, page), 'utf8').matchAll(/^```[jt]s\n([^]*?)^```/gm);
  const texts = [...programs].map(([, text = '']) => text);
  const given = texts.map((text) => /^\/\/ (\S+\.\w+)\n/.exec(text)?.[1]);
  const imported = texts.flatMap((text) => [...text.matchAll(/\bfrom '\.\/([^']+)'/g)].map(([, name]) => name));
  expect(imported.filter((name) => !given.includes(name))).toEqual([]);
});
