/** The pages for people who change sojourn name files and folders: each exists. Every folder of `src/` is named. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';

const root = resolve(import.meta.dirname, '../..');
const PATH = /(?<![\w./-])(?:src|test|docs|scripts|bench|examples)\/[\w./-]*[\w/]/g;
/** In diagrams paths are written without `src/`. */
const IN_DIAGRAM = /(?:http|eras|session|cluster|relay|options|endpoint)\/[\w./-]+\.ts/g;

const read = (file: string): string => readFileSync(join(root, file), 'utf8');

describe.each(['ARCHITECTURE.md', 'CONTRIBUTING.md', 'docs/internals/inside.md'])('%s', (file) => {
  test('names files and folders that exist', () => {
    const missing = [...new Set(read(file).match(PATH))].filter((path) => !existsSync(join(root, path)));
    expect(missing).toEqual([]);
  });
});

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
