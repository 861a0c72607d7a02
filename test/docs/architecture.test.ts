/** The pages for people who change sojourn name files and folders: each exists. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';

const root = resolve(import.meta.dirname, '../..');
const PATH = /(?<![\w./-])(?:src|test|docs|scripts|bench|examples)\/[\w./-]*[\w/]/g;

const read = (file: string): string => readFileSync(join(root, file), 'utf8');

const pagesIn = (folder: string): string[] =>
  readdirSync(join(root, folder))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `${folder}/${name}`);

describe.each(['ARCHITECTURE.md', 'CONTRIBUTING.md', ...pagesIn('docs/internals'), ...pagesIn('docs/adr')])(
  '%s',
  (file) => {
    test('names files and folders that exist', () => {
      const missing = [...new Set(read(file).match(PATH))].filter((path) => !existsSync(join(root, path)));
      expect(missing).toEqual([]);
    });
  },
);
