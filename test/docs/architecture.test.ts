/**
 * The pages for people who change sojourn, and the comments in `src/`, name files and folders: each exists. Every
 * folder of `src/` is named.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';

const root = resolve(import.meta.dirname, '../..');
const PATH = /(?<![\w./-])(?:src|test|docs|scripts|bench|examples)\/[\w./-]*[\w/]/g;
/** In diagrams paths are written without `src/`. */
const IN_DIAGRAM = /(?<![\w./-])\w[\w/-]*\.ts/g;

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

describe('ARCHITECTURE.md', () => {
  const text = read('ARCHITECTURE.md');
  const diagrams = text.match(/```mermaid[\s\S]*?```/g) ?? [];

  test('names files in its diagrams that exist', () => {
    const named = diagrams.flatMap((diagram) => diagram.match(IN_DIAGRAM) ?? []);
    expect(named.length).toBeGreaterThan(15);
    expect(named.filter((path) => !existsSync(join(root, 'src', path)))).toEqual([]);
  });

  test('names every folder of src/ and every decision', () => {
    const folders = readdirSync(join(root, 'src'), { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && entry.name !== 'sealed')
      .map(({ name }) => `src/${name}/`);
    expect(folders.filter((folder) => !text.includes(folder))).toEqual([]);
    const decisions = readdirSync(join(root, 'docs/adr')).map((name) => `docs/adr/${name}`);
    expect(decisions.filter((page) => !text.includes(page))).toEqual([]);
  });
});

describe('comments in src/', () => {
  const all = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' }).filter((file) =>
    file.endsWith('.ts'),
  );
  const names = new Set(all.map((file) => basename(file)));
  const exists = (from: string, named: string): boolean => {
    if (!named.includes('/')) return names.has(named);
    return ['src', '.', dirname(`src/${from}`)].some((folder) => existsSync(join(root, folder, named)));
  };

  test('name files that exist', () => {
    const missing = all.flatMap((file) =>
      [...read(`src/${file}`).matchAll(/`([\w./-]+\.ts)`/g)]
        .map(([, named = '']) => named)
        .filter((named) => !exists(file, named))
        .map((named) => `${file}: ${named}`),
    );
    expect(missing).toEqual([]);
  });
});
