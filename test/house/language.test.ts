import { spawnSync } from 'node:child_process';
import { join, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';

const lint = resolve(import.meta.dirname, '../../scripts/lint/language.mjs');
const fixture = join(import.meta.dirname, 'language');

function check(...args: string[]): { code: number | null; lines: string[] } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [lint, ...args], { encoding: 'utf8' });
  expect(stderr).toBe('');
  return { code: status, lines: stdout.trimEnd().split('\n') };
}

const REFUSED = [
  'src/done/refused.ts:1: Whoever',
  'src/done/refused.ts:2: nobody',
  'src/done/refused.ts:2: meanwhile',
  'src/done/refused.ts:4: of its own',
  'src/done/refused.ts:7: one that',
  'src/done/refused.ts:7: nobody',
  'src/done/refused.ts:10: 122 characters',
  "src/done/refused.ts:20: begins with 'Of'",
  "src/done/refused.ts:23: begins with 'By'",
  "src/done/refused.ts:25: begins with 'Without'",
  'test/refused.ts:4: goes on',
  'docs/refused.md:3: stands',
];

const UNFINISHED = ['src/done/', 'src/later/', 'test/', 'docs/refused.md'];

describe('the language lint', () => {
  test('refuses each word in a comment, a string, the name of a test or a page with its line', () => {
    expect(check(fixture, 'src/later/')).toEqual({ code: 1, lines: REFUSED });
  });

  test('refuses an unfinished folder that has no hit any more', () => {
    const { code, lines } = check(fixture, ...UNFINISHED, 'src/plain/');
    expect(lines).toEqual([expect.stringMatching(/^src\/plain\/ has no hit any more: remove it from UNFINISHED/)]);
    expect(code).toBe(1);
  });

  test('passes when every hit is in an unfinished folder or file', () => {
    const { code, lines } = check(fixture, ...UNFINISHED);
    expect({ code, lines }).toEqual({ code: 0, lines: [''] });
  });
});
