import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { NOT_APPLICABLE } from '../behaviour/not-applicable.ts';

const script = new URL('../../scripts/behaviour-table.mjs', import.meta.url).pathname;

/** Exit code 1 and what is wrong, a line each; nothing where all is well. */
function table(...args: string[]): string[] {
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, ...args], { encoding: 'utf8' });
  expect(stderr).toBe('');
  const problems = stdout.split('\n').filter(Boolean);
  expect(status).toBe(problems.length > 0 ? 1 : 0);
  return problems;
}

/** Numbers stand apart here: a text that began with one would count as a title. */
const missing = (item: number): string => `B${item} has no test`;
const unknown = (item: number): string => `B${item} does not exist (behaviour/all.test.ts)`;
const twofold = (item: number): string => `B${item} is not applicable, and has a test: one of the two is wrong`;

const due = Array.from({ length: 226 }, (_, i) => i + 1);

/** A folder with one test for each of `items`, and whatever else is given. */
function folderOf(items: readonly number[], more = ''): { folder: string; page: string; check: () => string[] } {
  const root = mkdtempSync(join(tmpdir(), 'sojourn-behaviour-'));
  onTestFinished(() => rmSync(root, { recursive: true }));
  const folder = join(root, 'test');
  const page = join(root, 'behaviour.md');
  mkdirSync(join(folder, 'behaviour'), { recursive: true });
  const tests = items.map((item) => `test('B${item} it does', () => {});`).join('\n');
  writeFileSync(join(folder, 'behaviour', 'all.test.ts'), `${tests}\n${more}\n`);
  return { folder, page, check: () => table('--check', '--tests', folder, '--page', page) };
}

describe('the behaviour page', () => {
  test('is up to date, every item has a test or a reason, and no test names another number', () => {
    expect(table('--check')).toEqual([]);
  });

  test('gives a reason for each item that is not applicable, and says what holds instead', () => {
    const items = NOT_APPLICABLE.map(({ item }) => item);
    expect(new Set(items).size).toBe(items.length);
    const page = readFileSync(new URL('../../docs/internals/behaviour.md', import.meta.url), 'utf8');
    for (const { item, why, instead } of NOT_APPLICABLE) {
      expect([item, why.length > 10, instead.length > 10]).toEqual([item, true, true]);
      expect(page.split('\n').find((line) => line.startsWith(`| ${item} `))).toContain(
        `not applicable: ${why}; ${instead}`,
      );
    }
  });

  test('shows the titles of an item’s tests, with those around them, and nothing that is not run', () => {
    const first = due[0] ?? 0;
    const more = [
      `describe.each(faces)('over %s', () => describe("B${first} both", () => test('B${first + 1} are %s', () => {})));`,
      `const accept = '*/*'; // test('B227 in a comment')`,
      `test.skip('B228 not yet', () => {});`,
      `test.todo(\`B229 some day\`);`,
      `/* test('B230 was here') */ const any = '*/*';`,
    ];
    const { folder, page, check } = folderOf(due.slice(2), more.join('\n'));
    expect(table('--tests', folder, '--page', page)).toEqual([]);
    expect(check()).toEqual([]);
    const written = readFileSync(page, 'utf8');
    expect(written).toMatch(/^\| 1 +\| both are … +\| \[all\]\(test\/behaviour\/all\.test\.ts\) +\|$/m);
    expect(written).toMatch(/^\| 2 +\| both are … +\| \[all\]\(test\/behaviour\/all\.test\.ts\) +\|$/m);
    expect(written).toMatch(/^\| 3 +\| it does +\| \[all\]/m);
  });

  test('is refused when an item has no test', () => {
    const { folder, page } = folderOf(due.filter((item) => item !== 42 && item !== 85));
    expect(table('--tests', folder, '--page', page)).toEqual([missing(42), missing(85)]);
  });

  test('is out of date when the title of a test changes', () => {
    const { folder, page, check } = folderOf(due);
    table('--tests', folder, '--page', page);
    const file = join(folder, 'behaviour', 'all.test.ts');
    writeFileSync(file, readFileSync(file, 'utf8').replace(`B${42} it does`, `B${42} it does not`));
    expect(check()).toEqual([expect.stringContaining('behaviour.md is out of date')]);
  });

  test('is refused when a title carries a number that does not exist', () => {
    const { folder, page } = folderOf([...due, 227, 0]);
    expect(table('--tests', folder, '--page', page)).toEqual([unknown(227), unknown(0)]);
  });

  test('is refused when it is out of date', () => {
    const { folder, page, check } = folderOf(due);
    table('--tests', folder, '--page', page);
    writeFileSync(join(folder, 'another.test.ts'), `test('B${7} it does', () => {});`);
    expect(check()).toEqual([expect.stringContaining('behaviour.md is out of date')]);
  });

  test('takes an item that is not applicable, with its reason, and not an item that has a test', () => {
    const { folder, page } = folderOf(due.filter((item) => item !== 3));
    const entry = (item: number) =>
      `{ item: ${item}, what: 'a part', why: 'it is not there', instead: 'something else holds' }`;
    const file = join(folder, 'behaviour', 'not-applicable.ts');
    writeFileSync(file, `export const NOT_APPLICABLE: unknown[] = [${entry(3)}, ${entry(4)}];`);
    expect(table('--tests', folder, '--page', page)).toEqual([twofold(4)]);
    expect(readFileSync(page, 'utf8')).toMatch(
      /^\| 3 .*\| not applicable: it is not there; something else holds +\|$/m,
    );
  });

  test('takes ten such items and no more', () => {
    const ten = due.slice(0, 10);
    const entries = (items: readonly number[]) =>
      `export const NOT_APPLICABLE = ${JSON.stringify(items.map((item) => ({ item, what: 'x', why: 'w', instead: 'i' })))};`;
    const { folder, page } = folderOf(due.slice(11));
    const file = join(folder, 'behaviour', 'not-applicable.ts');
    writeFileSync(file, entries(due.slice(0, 11)));
    expect(table('--tests', folder, '--page', page)).toEqual(['11 items are not applicable; 10 may be']);
    writeFileSync(join(folder, 'eleventh.test.ts'), `test('B${due[10]} it does', () => {});`);
    writeFileSync(file, entries(ten));
    expect(table('--tests', folder, '--page', page)).toEqual([]);
  });
});
