/** Pages do without the words that the lint forbids in comments. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
// @ts-expect-error a script without declarations
import * as words from '../../scripts/words.mjs';

const { hidingWords, fragment } = words as {
  hidingWords(text: string): string[];
  fragment(comment: string): string | undefined;
};
const root = resolve(import.meta.dirname, '../..');
const pages = execFileSync('git', ['ls-files', '-co', '--exclude-standard', '*.md'], { cwd: root })
  .toString()
  .split('\n')
  .filter((page) => page !== '' && page !== 'CHANGELOG.md');
/** Code may have any words, and the rule itself names them in italics. */
const prose = (text: string): string =>
  text.replace(/^ *```[\s\S]*?^ *```/gm, '').replace(/`[^`]*`|\(_whoever[^)]*_\)/g, '');

test('the list finds a word where a line ends within it, and the fragments', () => {
  expect(hidingWords('Nobody sees the one\n * that is told.')).toEqual([
    'Nobody',
    'one that',
    'is told',
  ]);
  expect(hidingWords('Understanding goes one way')).toEqual([]);
  expect(['* Of a call.', ' As such', ' Asked', ' It is'].map(fragment)).toEqual([
    'Of',
    'As',
    undefined,
    undefined,
  ]);
});

test.each(pages)('%s names who acts', (page) => {
  expect(hidingWords(prose(readFileSync(join(root, page), 'utf8')))).toEqual([]);
});
