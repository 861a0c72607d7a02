/**
 * The rooms of `src/` and the direction of their imports, type imports included. A room imports the rooms below it, and
 * no import closes a circle: a file can be read with the files below it alone. oxlint's `import/no-cycle` ignores
 * circles that only types close.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join, posix, resolve, sep } from 'node:path';
import { expect, test } from 'vitest';

/** Each room may import the rooms that follow it. */
const ROOMS = [
  'cli',
  'testing',
  'stdio',
  'endpoint',
  'dashboard',
  'eras',
  'durable',
  'cluster',
  'session',
  'http',
  'stores',
  'sdk',
  'base',
];

/** Imports that go up, with their reasons. */
const UPWARD: Readonly<Record<string, string>> = {
  'base/options/mcp-endpoint-options.ts → stores/store.ts': 'the type of the option `store`',
  'base/options/session-options.ts → stores/store.ts': 'the type of the option `store`',
  'session/record/record-kinds.ts → durable/records/outcomes.ts':
    'the type of how tasks and keys end',
};

/** The order within `session/`: a file imports what follows its folder, or its own folder. */
const SESSION = [
  'registry.ts',
  'life',
  'attach.ts',
  'broadcast.ts',
  'session.ts',
  'session-view.ts',
  'teardown.ts',
  'server',
  'session-parts.ts',
  'calls',
  'streams',
  'record',
  'ownership',
  'inbound',
  'session-run.ts',
  'lifecycle.ts',
  'recent-changes.ts',
];

/** Imports within `session/` that go up, with their reasons. */
const UPWARD_IN_SESSION: Readonly<Record<string, string>> = {
  'session/calls/questions.ts → session/session-parts.ts': 'the type of the session around it',
  'session/calls/session-calls.ts → session/session-parts.ts': 'the type of the session around it',
  'session/record/state.ts → session/calls/call.ts': 'whether a call of a client runs',
};

/** `index.ts` exports the public names, and `sojourn serve` loads it as applications do. */
const INDEX = 'index.ts';

const IMPORT = /(?:\bfrom\s+|\bimport\s*\(?\s*)'(\.[^']+)'/g;

type Imports = ReadonlyMap<string, readonly string[]>;

const src = resolve(import.meta.dirname, '../../src');

/** What each file imports, as paths below `src/`. */
function readImports(): Imports {
  const found = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((file) =>
    /\.tsx?$/.test(file),
  );
  const files = found.map((file) => file.split(sep).join('/'));
  const importedBy = (file: string) =>
    [...readFileSync(join(src, file), 'utf8').matchAll(IMPORT)].map(([, path = '']) =>
      posix.join(posix.dirname(file), path),
    );
  return new Map(files.map((file) => [file, importedBy(file)]));
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

const imports = readImports();
const roomOf = (file: string): string => file.split('/')[0] ?? '';
const mayImport = (room: string, other: string): boolean =>
  ROOMS.indexOf(room) < ROOMS.indexOf(other);

test('src has these rooms, and one file beside them', () => {
  expect([...new Set([...imports.keys()].map(roomOf))].sort()).toEqual([...ROOMS, INDEX].sort());
});

test('CONTRIBUTING and ARCHITECTURE list the rooms in this order', () => {
  const page = (name: string): string => readFileSync(join(src, '..', name), 'utf8');
  const [, chain = ''] = /Imports go down[^:]*:([^.]+)\./.exec(page('CONTRIBUTING.md')) ?? [];
  expect([...chain.matchAll(/`(\w+)`/g)].map(([, room]) => room)).toEqual(ROOMS);
  const table = [...page('ARCHITECTURE.md').matchAll(/^\| `src\/(\w+)\/` +\|/gm)];
  expect(table.map(([, room]) => room)).toEqual(ROOMS);
});

test('a room imports the rooms below it, save for the imports that are listed with a reason', () => {
  const crossing = [...imports].flatMap(([file, paths]) =>
    paths
      .filter((path) => roomOf(path) !== roomOf(file) && ![file, path].includes(INDEX))
      .map((path) => [file, path]),
  );
  expect(crossing.length).toBeGreaterThan(500);
  const upward = crossing.filter(
    ([file = '', path = '']) => !mayImport(roomOf(file), roomOf(path)),
  );
  expect(upward.map((pair) => pair.join(' → ')).sort()).toEqual(Object.keys(UPWARD).sort());
});

test('a file of session/ imports what is listed below it, save for the imports that are listed with a reason', () => {
  const part = (file: string): number => SESSION.indexOf(file.split('/')[1] ?? '');
  const own = [...imports].filter(([file]) => roomOf(file) === 'session');
  expect(own.filter(([file]) => part(file) < 0)).toEqual([]);
  const upward = own.flatMap(([file, paths]) =>
    paths
      .filter((path) => roomOf(path) === 'session' && part(path) < part(file))
      .map((path) => `${file} → ${path}`),
  );
  expect(upward.sort()).toEqual(Object.keys(UPWARD_IN_SESSION).sort());
});

test('src has no import circle', () => {
  expect([...imports.values()].flat().filter((path) => !imports.has(path))).toEqual([]);
  expect(imports.get('session/session.ts')).toContain('session/ownership/session-ownership.ts');
  expect(circlesIn(imports)).toEqual([]);
});
