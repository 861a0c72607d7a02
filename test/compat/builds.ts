/** Builds that tests run beside this one: this build with some texts of its files changed. */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import { dist } from '../cli/cli-process.ts';

/** Below the packages of the repository, which a build finds from there. */
const cache = fileURLToPath(new URL('../../node_modules/.cache/sojourn/', import.meta.url));

/** A text in a file of `dist/`, and what replaces it. */
export type Change = readonly [file: string, from: string, to: string];

/** This build with other texts in its files, until the test is over. Returns the folder of the build. */
export function changedBuild(...changes: readonly Change[]): string {
  mkdirSync(cache, { recursive: true });
  const target = mkdtempSync(join(cache, 'newer-'));
  onTestFinished(() => rmSync(target, { recursive: true, force: true }));
  cpSync(dist, join(target, 'dist'), { recursive: true });
  cpSync(join(dist, '../package.json'), join(target, 'package.json'));
  for (const [file, from, to] of changes) {
    const path = join(target, 'dist', file);
    const text = readFileSync(path, 'utf8');
    if (!text.includes(from)) throw new Error(`${file} does not contain ${from}`);
    writeFileSync(path, text.replace(from, to));
  }
  return join(target, 'dist');
}

/** The next release, as its rules allow: another version, and a step of each schema that this build does not know. */
export const newerBuild = (): string =>
  changedBuild(
    ['protocol/versions.js', "BUILD_VERSION = '0.2.0'", "BUILD_VERSION = '0.3.0'"],
    [
      'stores/sqlite/schema.js',
      '[{ breaking: true, sql: FIRST }]',
      "[{ breaking: true, sql: FIRST }, { breaking: false, sql: 'ALTER TABLE records ADD COLUMN later TEXT;' }]",
    ],
    [
      'stores/postgres/schema.js',
      '[{ breaking: true, sql: first }]',
      '[{ breaking: true, sql: first }, ' +
        '{ breaking: false, sql: (s) => `ALTER TABLE ${s}.records ADD COLUMN later text;` }]',
    ],
  );
