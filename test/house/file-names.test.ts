/**
 * A file name says what is in it, so that two files have one name only where they are the same thing of two owners:
 * one store's and another's, a command and what it shows, the errors of an area, what the contract demands of a part.
 * Two stores may also give one name to their own types; elsewhere an exported type has a name that no other has.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join, resolve, sep } from 'node:path';
import { expect, test } from 'vitest';

const NAMED_AFTER_OTHERS = /^(stores|cli|errors|testing\/contract)\/|(^|\/)index\.ts$/;
const EXPORTED_TYPE = /^export (?:abstract )?(?:class|interface|type) (\w+)/gm;

const src = resolve(import.meta.dirname, '../../src');
const files = readdirSync(src, { recursive: true, encoding: 'utf8' })
  .map((file) => file.split(sep).join('/'))
  .filter((file) => /\.tsx?$/.test(file));

/** The names that several files have, each with the files. */
function shared(names: ReadonlyArray<readonly [name: string, file: string]>): Array<[string, string[]]> {
  const found = new Map<string, string[]>();
  for (const [name, file] of names) found.set(name, [...(found.get(name) ?? []), file]);
  return [...found].filter(([, all]) => all.length > 1);
}

test('no two files of src have one name without a reason', () => {
  const names = files.map((file) => [basename(file), file] as const);
  expect(names).toContainEqual(['session.ts', 'session/session.ts']);
  expect(shared(names.filter(([, file]) => !NAMED_AFTER_OTHERS.test(file)))).toEqual([]);
});

test('no two exported types of src have one name, except those of two stores', () => {
  const names = files
    .filter((file) => !file.startsWith('stores/'))
    .flatMap((file) =>
      [...readFileSync(join(src, file), 'utf8').matchAll(EXPORTED_TYPE)].map(([, name = '']) => [name, file] as const),
    );
  expect(names).toContainEqual(['LiveSession', 'session/session.ts']);
  expect(shared(names)).toEqual([]);
});
