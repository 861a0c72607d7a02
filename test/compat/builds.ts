/**
 * Builds that tests run beside this one: releases, which `scripts/freeze-build.mjs` keeps, and this build with some
 * texts of its files changed.
 */
import { execFileSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import { dist } from '../cli/cli-process.ts';

/** There is none before the first release. */
const folder = fileURLToPath(new URL('builds/', import.meta.url));
/** Below the packages of the repository, which a build finds from there. */
const cache = fileURLToPath(new URL('../../node_modules/.cache/sojourn/', import.meta.url));
const unpacked = join(cache, 'frozen');

export const frozenBuilds: readonly string[] = existsSync(folder)
  ? readdirSync(folder).map((file) => file.replace(/\.tgz$/, ''))
  : [];

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

/** The build before tasks: its store keeps no tasks, and it knows no message about them. Started without the option. */
export const buildWithoutTasks = (): string =>
  changedBuild(
    ['endpoint/endpoint-store.js', ', ONCE, TASKS, STEPS]', ', ONCE]'],
    ['endpoint/endpoint-store.js', 'tasks: open.records(TASKS),', ''],
    ['endpoint/endpoint-store.js', 'steps: open.records(STEPS),', ''],
    ['cluster/messages.js', "case 'look':", "case 'not look':"],
  );

/** The folder of its build. */
export function unpackBuild(name: string): string {
  const file = join(folder, `${name}.tgz`);
  const target = join(unpacked, `${name}-${statSync(file).size}`);
  if (!existsSync(target)) {
    mkdirSync(unpacked, { recursive: true });
    const making = mkdtempSync(join(unpacked, 'making-'));
    execFileSync('tar', ['-xzf', file, '-C', making]);
    try {
      renameSync(making, target);
    } catch (error) {
      // Another test file was quicker.
      rmSync(making, { recursive: true });
      if (!existsSync(target)) throw error;
    }
  }
  return join(target, 'dist');
}
