/** A word names one thing: the words are in ARCHITECTURE.md. */
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
