/**
 * The modules that a fresh process loads for `import 'sojourn'`. They decide its start-up time and what must be
 * installed.
 */
import { execFile } from 'node:child_process';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, test } from 'vitest';

interface Loaded {
  /** Names of packages, sorted. */
  readonly packages: readonly string[];
  /** Files of this package, below dist/, sorted. */
  readonly files: readonly string[];
}

const dist = pathToFileURL(fileURLToPath(new URL('../../dist/', import.meta.url))).href;

async function loadedBy(what: 'import' | 'serve' | 'commands'): Promise<Loaded> {
  const script = fileURLToPath(new URL('processes/loaded.mjs', import.meta.url));
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [script, what]);
  expect(stderr).toBe('');
  const urls = new Set(stdout.split('\n').filter((url) => url.startsWith('file:')));
  const packages = [...urls].flatMap((url) => /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url)?.[1] ?? []);
  const files = [...urls].flatMap((url) => (url.startsWith(dist) ? [url.slice(dist.length)] : []));
  expect(urls.size).toBe(packages.length + files.length);
  return { packages: [...new Set(packages)].sort(), files: files.sort() };
}

const foldersOf = ({ files }: Loaded): string[] =>
  [...new Set(files.map((file) => file.slice(0, Math.max(0, file.lastIndexOf('/')))))].sort();

describe.each([
  ["import 'sojourn'", 'import'],
  ['an endpoint on the memory store that has answered each era', 'serve'],
] as const)('%s', (_title, what) => {
  let loaded: Loaded;
  beforeAll(async () => {
    loaded = await loadedBy(what);
  });

  test('loads these packages and no other', () => {
    expect(loaded.packages).toEqual(['@modelcontextprotocol/core', '@modelcontextprotocol/server', 'zod']);
  });

  test('loads these rooms and no other: no CLI, no testing code, no store but memory', () => {
    expect(foldersOf(loaded)).toEqual([
      '',
      'auth',
      'base',
      'clients',
      'cluster',
      'definition',
      'endpoint',
      'eras',
      'eras/legacy',
      'eras/modern',
      'errors',
      'http',
      'inbound',
      'limits',
      'listen',
      'observe',
      'once',
      'options',
      'owned',
      'protocol',
      'relay',
      'sdk',
      'session',
      'session/calls',
      'session/life',
      'session/ownership',
      'session/record',
      'session/server',
      'session/streams',
      'stores',
      'stores/memory',
      'stores/shared',
      'tasks',
    ]);
    expect(loaded.files.filter((file) => /^stores\/[^/]+$/.test(file))).toEqual(['stores/store.js']);
  });
});

test('commands that serve nothing, and supervisors, load no SDK: it takes most of the start of a process', async () => {
  const { packages, files } = await loadedBy('commands');
  expect(files).toContain('cli/supervise.js');
  expect(packages.filter((name) => /^(?:zod|@modelcontextprotocol\/.*)$/.test(name))).toEqual([]);
});

test('the first requests load nothing more of this package', async () => {
  const [imported, served] = await Promise.all([loadedBy('import'), loadedBy('serve')]);
  expect(imported.files.length).toBeGreaterThan(50);
  expect(served.files).toEqual(imported.files);
});
