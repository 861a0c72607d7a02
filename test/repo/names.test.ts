/** A word names one thing: the words are in ARCHITECTURE.md. A name of a file in a comment names a file. */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const root = join(import.meta.dirname, '../..');
const SOURCES = ['src', 'packages/redis/src', 'packages/postgres/src'];
const TYPE = /^ *(?:export )?(?:(?:abstract )?class|interface|type(?= \w+(?:<[^;]*?>)? =)) (\w+)/gm;

/** Each type, exported or not, with the files that declare it. */
function declaredTypes(): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const folder of SOURCES)
    for (const file of readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })) {
      if (!/\.tsx?$/.test(file)) continue;
      for (const [, name = ''] of readFileSync(join(root, folder, file), 'utf8').matchAll(TYPE))
        found.set(name, [...(found.get(name) ?? []), `${folder}/${file}`]);
    }
  return found;
}

test('each type has a name of its own', () => {
  const types = declaredTypes();
  expect(types.get('LiveSession')).toEqual(['src/session/session.ts']);
  // Neither exported nor an interface.
  expect(types.get('TaskRunState')).toEqual(['src/durable/tasks/task-run.ts']);
  expect([...types].filter(([, files]) => files.length > 1)).toEqual([]);
});

test("ARCHITECTURE's words name types that exist", () => {
  const [, words = ''] = readFileSync(join(root, 'ARCHITECTURE.md'), 'utf8').split(/^## /m);
  const named = [...words.matchAll(/`([A-Z]\w*[a-z]{2}\w*)`/g)].map(([, name = '']) => name);
  expect(named).toContain('LiveSession');
  const types = declaredTypes();
  expect(named.filter((name) => !types.has(name))).toEqual([]);
});

/** Comments, and what could hide their beginnings. */
const COMMENT =
  /(?<=^|\s)(?<comment>\/\/[^\n]*|\/\*[^]*?\*\/)|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`/g;
const FILE = /[\w@./-]*[\w-]+\.(?:tsx?|mjs|md|yml)\b/g;

test('a comment names files that exist', () => {
  const args = ['ls-files', '-co', '--exclude-standard'];
  const files = execFileSync('git', args, { cwd: root, encoding: 'utf8' }).trim().split('\n');
  // A comment may leave out the folders that it is in.
  const endings = new Set(
    files.flatMap((file) => file.split('/').map((_, n, steps) => steps.slice(n).join('/'))),
  );
  const named = files
    .filter((file) => /^(?:src|packages|test|scripts|bench|examples)\/.*\.(?:tsx?|mjs)$/.test(file))
    .flatMap((file) =>
      [...readFileSync(join(root, file), 'utf8').matchAll(COMMENT)].flatMap(
        ({ groups }) => groups?.['comment']?.match(FILE)?.map((name) => ({ file, name })) ?? [],
      ),
    );
  expect(named.length).toBeGreaterThan(200);
  expect(named.filter(({ name }) => !endings.has(name.replace(/^(?:\.{1,2}\/)+/, '')))).toEqual([]);
});
