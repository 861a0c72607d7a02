/** Builds that tests run beside this one: this build with some texts of its files changed. */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import { BUILD_VERSION } from '../../src/protocol/versions.ts';
import { dist } from '../cli/cli-process.ts';

/** Below the packages of the repository, which a build finds from there. */
const cache = fileURLToPath(new URL('../../node_modules/.cache/sojourn/', import.meta.url));

/** A text that one script of `dist/` has, and what replaces it. */
export type Change = readonly [from: string, to: string];

/** This build with other texts in its files, until the test is over. Returns the folder of the build. */
export function changedBuild(...changes: readonly Change[]): string {
  mkdirSync(cache, { recursive: true });
  const target = mkdtempSync(join(cache, 'newer-'));
  onTestFinished(() => rmSync(target, { recursive: true, force: true }));
  cpSync(dist, join(target, 'dist'), { recursive: true });
  cpSync(join(dist, '../package.json'), join(target, 'package.json'));
  const names = readdirSync(join(target, 'dist'), { recursive: true, encoding: 'utf8' });
  const scripts = names.filter((name) => name.endsWith('.js')).map((name) => join(target, 'dist', name));
  for (const [from, to] of changes) {
    const found = scripts.filter((path) => readFileSync(path, 'utf8').includes(from));
    if (found.length !== 1) throw new Error(`${found.length} scripts of dist/ contain ${from}`);
    for (const path of found) writeFileSync(path, readFileSync(path, 'utf8').replace(from, to));
  }
  return join(target, 'dist');
}

/** The next release, as its rules allow: another version, and a table of SQLite that this build does not know. */
export const newerBuild = (): string =>
  changedBuild(
    [`BUILD_VERSION = "${BUILD_VERSION}"`, 'BUILD_VERSION = "9.9.9"'],
    ['PRAGMA application_id = $', 'CREATE TABLE later (no INTEGER PRIMARY KEY) STRICT;\nPRAGMA application_id = $'],
  );
