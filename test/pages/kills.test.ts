/** README, its picture and `docs/kills.md` say what `npm run bench -- kills --record` has found. */
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { type Recorded, shortTableOf, tableOf } from '../../bench/kills/outcome.ts';
import { badOfHundred, pictureOf } from '../../bench/kills/picture.ts';

const root = resolve(import.meta.dirname, '../..');
const read = (file: string): string => readFileSync(join(root, file), 'utf8');
/** The formatter aligns the columns of a page. */
const cellsOf = (text: string): string[][] =>
  text
    .split('\n')
    .filter((line) => line.startsWith('|') && !line.includes('--'))
    .map((line) => line.split('|').map((cell) => cell.trim()));

const recorded = JSON.parse(read('bench/recorded-kills.json')) as Recorded;

test('the table of docs/kills.md is that of the recorded run', () => {
  expect(cellsOf(read('docs/kills.md'))).toEqual(cellsOf(tableOf(recorded)));
});

test("README's table has its rows in five columns, and says truly that no durable store lost a session", () => {
  const [, section = ''] = /^## What a kill costs\n([^]*?)^## /m.exec(read('README.md')) ?? [];
  expect(cellsOf(section)).toEqual(cellsOf(shortTableOf(recorded)));
  expect(cellsOf(section)).toHaveLength(1 + 6);
  expect(section).toContain('On Redis and PostgreSQL no session was lost.');
  const durable = recorded.outcomes.filter(({ side }) =>
    ['sqlite', 'redis', 'postgres'].includes(side),
  );
  expect(durable.map(({ sessionsLost }) => sessionsLost)).toEqual([0, 0, 0]);
});

test('the picture is drawn from it, with a bar for each number of each side', () => {
  const picture = read('docs/images/kills.svg');
  expect(picture).toBe(pictureOf(recorded));
  expect(picture.length).toBeLessThan(8_000);
  for (const one of recorded.outcomes) {
    expect(picture).toContain(`>${one.title}</text>`);
    expect(picture).toContain(`>${one.sessionsLost}</text>`);
    expect(badOfHundred(one)).toBeLessThanOrEqual(100);
  }
  expect(picture.match(/<rect class="(?:ours|other)"/g)).toHaveLength(2 * recorded.outcomes.length);
});
