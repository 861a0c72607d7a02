/** `docs/kills.md` says what `npm run bench -- kills --record` has found. */
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { type Recorded, tableOf } from '../../bench/kills/outcome.ts';

const root = resolve(import.meta.dirname, '../..');
const read = (file: string): string => readFileSync(join(root, file), 'utf8');
/** The formatter aligns the columns of a page. */
const cellsOf = (text: string): string[][] =>
  text
    .split('\n')
    .filter((line) => line.startsWith('|') && !line.includes('--'))
    .map((line) => line.split('|').map((cell) => cell.trim()));

test('the table of docs/kills.md is that of the recorded run', () => {
  const recorded = JSON.parse(read('bench/recorded-kills.json')) as Recorded;
  expect(cellsOf(read('docs/kills.md'))).toEqual(cellsOf(tableOf(recorded)));
});
