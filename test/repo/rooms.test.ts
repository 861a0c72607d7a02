/**
 * No import circle in `src/`, type imports included: a file can be read with the files below it alone. oxlint's
 * `import/no-cycle` ignores circles that only types close.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join, posix, resolve, sep } from 'node:path';
import { expect, test } from 'vitest';

const IMPORT = /(?:\bfrom\s+|\bimport\s*\(?\s*)'(\.[^']+)'/g;

type Imports = ReadonlyMap<string, readonly string[]>;

function importsOf(sources: Readonly<Record<string, string>>): Imports {
  return new Map(
    Object.entries(sources).map(([file, text]) => [
      file,
      [...text.matchAll(IMPORT)].map(([, path = '']) => posix.join(posix.dirname(file), path)),
    ]),
  );
}

/** Each circle once, as the path that closes it. */
function circlesIn(imports: Imports): string[] {
  const circles: string[] = [];
  const done = new Set<string>();
  const walk = (file: string, path: readonly string[]): void => {
    const at = path.indexOf(file);
    if (at >= 0) circles.push([...path.slice(at), file].join(' → '));
    if (at >= 0 || done.has(file)) return;
    for (const next of imports.get(file) ?? []) walk(next, [...path, file]);
    done.add(file);
  };
  for (const file of imports.keys()) walk(file, []);
  return circles;
}

test('src has no import circle', () => {
  const src = resolve(import.meta.dirname, '../../src');
  const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((file) => /\.tsx?$/.test(file));
  const sources = files.map((file) => [file.split(sep).join('/'), readFileSync(join(src, file), 'utf8')] as const);
  const imports = importsOf(Object.fromEntries(sources));
  expect([...imports.values()].flat().filter((path) => !imports.has(path))).toEqual([]);
  expect(imports.get('session/session.ts')).toContain('session/ownership/session-ownership.ts');
  expect(circlesIn(imports)).toEqual([]);
});
