/**
 * The modules that a fresh process loads for `import 'sojourn'`, and what the exports and the commands would load. They
 * decide the start-up time and what must be installed.
 */
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
// @ts-expect-error a script without declarations
import * as built from '../../../scripts/build.mjs';
import manifest from '../../../package.json' with { type: 'json' };
import { temporaryFolder } from '../../kit/temporary.ts';

interface Loaded {
  /** Names of packages, sorted. */
  readonly packages: readonly string[];
  /** Files of this package, below dist/, sorted. */
  readonly files: readonly string[];
}

const dist = pathToFileURL(fileURLToPath(new URL('../../../dist/', import.meta.url))).href;

const PROGRAMS = {
  import: ['--input-type=module', '-e', "await import('sojourn')"],
  serve: [fileURLToPath(new URL('consumer/use.mjs', import.meta.url))],
} as const;

/** V8 counts what every script runs, and so names each. */
async function loadedBy(what: keyof typeof PROGRAMS): Promise<Loaded> {
  const folder = temporaryFolder();
  const env = { ...process.env, NODE_V8_COVERAGE: folder };
  const { stderr } = await promisify(execFile)(process.execPath, PROGRAMS[what], { env });
  expect(stderr).toBe('');
  const [name = ''] = readdirSync(folder);
  const { result } = JSON.parse(readFileSync(join(folder, name), 'utf8')) as {
    result: Array<{ url: string }>;
  };
  const urls = result.map(({ url }) => url);
  const packages = urls.flatMap(
    (url) => /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url)?.[1] ?? [],
  );
  const files = urls.flatMap((url) => (url.startsWith(dist) ? [url.slice(dist.length)] : []));
  return { packages: [...new Set(packages)].sort(), files: files.sort() };
}

/** A script of dist/, as esbuild tells it: what it imports, and the sources that are in it. */
interface Output {
  readonly entryPoint?: string;
  readonly imports: ReadonlyArray<{
    readonly path: string;
    readonly kind: string;
    readonly external?: boolean;
  }>;
  readonly inputs: Readonly<Record<string, unknown>>;
}

const outputs = (): Record<string, Output> =>
  JSON.parse(readFileSync(built.BUNDLE as string, 'utf8')) as Record<string, Output>;

/** The scripts that `script` loads with its static imports, itself included. */
function loadedWith(script: string, all = outputs(), seen = new Set<string>()): Set<string> {
  if (seen.has(script)) return seen;
  seen.add(script);
  for (const { path, kind, external } of all[script]?.imports ?? [])
    if (external !== true && kind === 'import-statement') loadedWith(path, all, seen);
  return seen;
}

const packageOf = (path: string): string => /^(?:@[^/]+\/)?[^/]+/.exec(path)?.[0] ?? path;

/** The packages that these scripts import: at once, or with `await import()` later. */
function packagesOf(
  scripts: Iterable<string>,
  kind: 'import-statement' | 'dynamic-import',
): string[] {
  const all = outputs();
  const imports = [...scripts].flatMap((script) => all[script]?.imports ?? []);
  const found = imports.filter(
    (one) => one.external === true && one.kind === kind && !one.path.startsWith('node:'),
  );
  return [...new Set(found.map(({ path }) => packageOf(path)))].sort();
}

/** The folders of src/ of which something is in the scripts. */
const roomsOf = (scripts: Iterable<string>): string[] => {
  const all = outputs();
  const sources = [...scripts].flatMap((script) => Object.keys(all[script]?.inputs ?? {}));
  return [
    ...new Set(
      sources.map((source) =>
        source
          .replace(/^src\//, '')
          .split('/')
          .slice(0, -1)
          .join('/'),
      ),
    ),
  ].sort();
};

test("import 'sojourn' loads these packages alone, no CLI, no store but memory, and requests load nothing more", async () => {
  const [imported, served] = await Promise.all([loadedBy('import'), loadedBy('serve')]);
  for (const { packages, files } of [imported, served]) {
    expect(packages).toEqual(['@modelcontextprotocol/core', '@modelcontextprotocol/server', 'zod']);
    const rooms = roomsOf(files);
    expect(rooms).toEqual(expect.arrayContaining(['endpoint', 'session', 'stores/memory']));
    expect(
      rooms.filter((room) =>
        /^(cli|dashboard|testing|endpoint\/otel|stores\/(sqlite|redis|postgres))(\/|$)/.test(room),
      ),
    ).toEqual([]);
  }
  expect(imported.files).toContain('index.js');
  // The way into the memory store is a script that `import 'sojourn'` does not load, with nothing in it.
  expect(served.files.filter((file) => file !== 'stores/memory/index.js')).toEqual(imported.files);
});

describe('the exports', () => {
  const SDK = '@modelcontextprotocol/server';
  /** What an export loads at once, and what it loads when a store is opened or an option is given. */
  const LOADED: Readonly<Record<string, readonly string[]>> = {
    './otel': ['@opentelemetry/api', SDK],
  };
  const LATER: Readonly<Record<string, readonly string[]>> = {
    './sqlite': ['libsql'],
  };
  const entries = Object.entries(manifest.exports).flatMap(([name, target]) =>
    typeof target === 'string' ? [] : [[name, target.default.replace('./dist/', '')] as const],
  );

  test.each(entries)(
    '%s loads, with the SDK and the client of its store alone',
    async (name, script) => {
      await import(
        pathToFileURL(fileURLToPath(new URL(`../../../dist/${script}`, import.meta.url))).href
      );
      const scripts = loadedWith(script);
      const allowed = LOADED[name] ?? [SDK];
      expect(
        packagesOf(scripts, 'import-statement').filter((found) => !allowed.includes(found)),
      ).toEqual([]);
      const later = ['jose', '@modelcontextprotocol/sdk', ...(LATER[name] ?? [])];
      expect(
        packagesOf(scripts, 'dynamic-import').filter((found) => !later.includes(found)),
      ).toEqual([]);
    },
  );
});

test('commands that serve nothing, and supervisors, load no SDK: it takes most of the start of a process', () => {
  const all = outputs();
  const served = /^src\/cli\/(main|serve|stdio-programs|check|prove|demo)\b/;
  const commands = Object.keys(all).filter((script) => {
    const { entryPoint } = all[script] ?? {};
    return (
      script === 'cli/main.js' ||
      (entryPoint?.startsWith('src/cli/') === true && !served.test(entryPoint ?? ''))
    );
  });
  expect(commands.map((script) => all[script]?.entryPoint)).toEqual(
    expect.arrayContaining([
      'src/cli/main.ts',
      'src/cli/records/records.ts',
      'src/cli/supervise.ts',
    ]),
  );
  const loaded = commands.flatMap((script) => [...loadedWith(script, all)]);
  expect(
    packagesOf(loaded, 'import-statement').filter((name) =>
      /^(?:zod|@modelcontextprotocol)/.test(name),
    ),
  ).toEqual([]);
});
