/**
 * A file name says what is in it, so that two files have one name only where they are the same thing of two owners:
 * one store's and another's, a command and what it shows, the errors of an area, what the contract demands of a part.
 */
import { readdirSync } from 'node:fs';
import { basename, resolve, sep } from 'node:path';
import { expect, test } from 'vitest';

const NAMED_AFTER_OTHERS = /^(stores|cli|errors|testing\/contract)\/|(^|\/)index\.ts$/;

test('no two files of src have one name without a reason', () => {
  const src = resolve(import.meta.dirname, '../../src');
  const files = readdirSync(src, { recursive: true, encoding: 'utf8' })
    .map((file) => file.split(sep).join('/'))
    .filter((file) => /\.tsx?$/.test(file) && !NAMED_AFTER_OTHERS.test(file));
  expect(files).toContain('session/session.ts');
  const seen = new Map<string, string[]>();
  for (const file of files) seen.set(basename(file), [...(seen.get(basename(file)) ?? []), file]);
  expect([...seen.values()].filter((found) => found.length > 1)).toEqual([]);
});
