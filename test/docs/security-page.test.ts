import { existsSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
// @ts-expect-error -- a script, without types
import { CLASSES } from '../../scripts/attacks.mjs';

const root = new URL('../../', import.meta.url);
const page = readFileSync(new URL('SECURITY.md', root), 'utf8');
const model = page.slice(page.indexOf('## Threat model'), page.indexOf('## What you must do'));
const rows = model.split('\n').filter((line) => /^\| .*`(?:test|src\/testing)\//.test(line));

/** Test files of a row, each with the titles that the row names. */
function namedTests(row: string): [path: string, titles: string[]][] {
  const cell = row.split(' | ')[1] ?? '';
  return cell
    .split(/;\s*(?=`(?:test|src\/testing)\/)/)
    .flatMap((part) =>
      [...part.matchAll(/`((?:test|src\/testing)\/[\w./-]+)`/g)].map(([, path = '']): [string, string[]] => [
        path,
        [...part.matchAll(/(?<=[\s:])_(.+?)_(?=,|;|\s|$)/g)].map(([, title = '']) => title.replaceAll('\\', '')),
      ]),
    );
}

const isQuoted = (source: string, title: string): boolean =>
  ["'", '"', '`'].some((quote) => source.includes(`${quote}${title}${quote}`));

test('every guarantee of SECURITY.md names tests that exist, by file and title', () => {
  expect(rows.length).toBeGreaterThan(25);
  for (const row of rows) {
    const tests = namedTests(row);
    expect(tests.length, row).toBeGreaterThan(0);
    for (const [path, titles] of tests) {
      const file = new URL(path, root);
      expect(existsSync(file), path).toBe(true);
      const source = readFileSync(file, 'utf8');
      expect(titles.length, `${path} without a title`).toBeGreaterThan(0);
      // As a whole string of the file: a title, or the name of a case.
      for (const title of titles) expect(isQuoted(source, title), `${path}: ${title}`).toBe(true);
    }
  }
});

test('every attacker has a table of what stops it, and a paragraph of what remains', () => {
  const parts = model.split('\n### ').slice(1);
  expect(parts.map((part) => part.split('\n', 1)[0])).toEqual([
    'A client on the internet',
    'One user against another',
    'A web page in a browser on the same machine',
    'Another user of the same machine',
    'A process that reads or writes the store',
    'Another instance',
    'The module itself',
  ]);
  for (const part of parts)
    expect([part.split('\n', 1)[0], /^What remains: /m.test(part)]).toEqual([part.split('\n', 1)[0], true]);
});

test('the counted attacks reach their least numbers, and none had an effect', () => {
  const counts = [...model.matchAll(/^\| ([A-Za-z, ]+?) +\| +(\d+) +\| +(\d+) +\|$/gm)].map(
    ([, name = '', attempts, effects]) => ({
      name,
      attempts: Number(attempts),
      effects: Number(effects),
    }),
  );
  expect(counts.map(({ name }) => name)).toEqual(Object.keys(CLASSES as object));
  for (const { name, attempts, effects } of counts) {
    expect([name, attempts >= (CLASSES as Record<string, number>)[name]!]).toEqual([name, true]);
    expect([name, effects]).toEqual([name, 0]);
  }
});
