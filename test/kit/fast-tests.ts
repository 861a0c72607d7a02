/**
 * What `npm run test:fast` runs. A test file belongs to it by two rules, so that a new file needs no list:
 *
 * - its folder has the name of a folder of `src/`, or is one of `BESIDES`, or it lies in `test/` itself;
 * - neither the file nor what it imports below `test/`, `tools/` and `scripts/` starts a process: see `STARTERS`.
 *
 * `shared-stores.ts` starts servers too, but in a fast run it offers memory and SQLite alone. `test-server.ts` refuses
 * to start a server in a fast run, which holds the second rule.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';

const ROOT = join(import.meta.dirname, '../..');
/** Folders without a name from `src/`. */
const BESIDES = new Set(['behaviour', 'pins', 'property']);
const WITHOUT_SERVERS = 'test/kit/shared-stores.ts';
/**
 * Modules that start processes; `playwright-core` starts a browser. The code of `src/` may import them: only the
 * command line and tests do so.
 */
const STARTERS = /^(?:(?:node:)?(?:child_process|cluster)|playwright-core)$/;
const SERVERS = 'test/kit/servers/';
const IMPORT = /\b(?:from|import)\s*\(?\s*'([^'\n]+)'/g;

/** The test files that `npm run test:fast` leaves out, as paths from `root`. */
export function slowTests(root = ROOT): string[] {
  const folders = new Set([...namesOfFolders(join(root, 'src')), ...BESIDES]);
  const starts = startsProcesses(root);
  return testFiles(root).filter((file) => {
    const [, folder, inside] = file.split('/');
    return (inside !== undefined && !folders.has(folder as string)) || starts(file);
  });
}

/** Every test file, as paths from `root`. */
export function testFiles(root = ROOT): string[] {
  const files = readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' });
  return files.filter((file) => file.endsWith('.test.ts')).map((file) => `test/${file.replaceAll('\\', '/')}`);
}

function namesOfFolders(path: string): string[] {
  const entries = readdirSync(path, { withFileTypes: true });
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
}

function startsProcesses(root: string): (file: string) => boolean {
  const known = new Map<string, readonly string[]>();
  const importsOnce = (file: string): readonly string[] => {
    const names = known.get(file) ?? importsOf(root, file);
    known.set(file, names);
    return names;
  };
  return (file) => {
    const reached = new Set([file]);
    // The loop also visits what it adds to the set.
    for (const one of reached) {
      if (STARTERS.test(one) || one.startsWith(SERVERS)) return true;
      if (one === WITHOUT_SERVERS || !/^(?:test|tools|scripts)\//.test(one)) continue;
      for (const name of importsOnce(one)) reached.add(name);
    }
    return false;
  };
}

/** The names of packages as they are, those of files as paths from `root`. */
function importsOf(root: string, file: string): string[] {
  const path = join(root, file);
  // A text may show an import of a file that does not exist.
  if (!/\.(?:ts|mts|js|mjs)$/.test(file) || !statSync(path, { throwIfNoEntry: false })?.isFile()) return [];
  const names = [...readFileSync(path, 'utf8').matchAll(IMPORT)].map(([, name]) => name as string);
  return names.map((name) =>
    name.startsWith('.') ? relative(root, resolve(dirname(path), name)).replaceAll('\\', '/') : name,
  );
}
