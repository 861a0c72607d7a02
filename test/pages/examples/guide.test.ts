/** The guide quotes code that runs: what it says it quotes is in that file, line by line. */
import { readdirSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const folder = resolve(root, 'docs/guide');
const QUOTE = /<!-- quoted from (\S+) -->\n\n```\w+\n([\s\S]*?)\n```/g;

const read = (path: string): string => readFileSync(path, 'utf8');

/** Lines without their indentation: a quote may stand further left than what it quotes. */
const bare = (text: string): string[] => text.split('\n').map((line) => line.trim());

function includesLines(all: readonly string[], wanted: readonly string[]): boolean {
  return all.some((_, at) => wanted.every((line, n) => all[at + n] === line));
}

const pages = readdirSync(folder).filter((name) => name.endsWith('.md'));

describe.each(pages)('docs/guide/%s', (name) => {
  const page = resolve(folder, name);
  const text = read(page);

  test('quotes what is there', () => {
    for (const [, file, quote] of text.matchAll(QUOTE)) {
      const found = includesLines(bare(read(resolve(root, String(file)))), bare(String(quote)));
      expect(found, `${name} quotes from ${file}:\n${quote}`).toBe(true);
    }
    const marked = text.match(/<!-- quoted from/g) ?? [];
    expect([...text.matchAll(QUOTE)]).toHaveLength(marked.length);
  });
});
