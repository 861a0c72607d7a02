import { existsSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const page = readFileSync(new URL('../../SECURITY.md', import.meta.url), 'utf8');

test('every guarantee of SECURITY.md names tests that exist', () => {
  const rows = page.split('\n').filter((line) => line.startsWith('| ') && !/^\| (?:guarantee|-+)/.test(line));
  expect(rows.length).toBeGreaterThan(10);
  for (const row of rows) {
    const named = [...row.matchAll(/`(test\/[\w./-]+)`/g)].map(([, path = '']) => path);
    expect(named.length, row).toBeGreaterThan(0);
    for (const path of named) expect(existsSync(new URL(`../../${path}`, import.meta.url)), path).toBe(true);
  }
});
