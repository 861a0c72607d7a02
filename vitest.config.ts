import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { configDefaults, defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

const source = (path: string): string => fileURLToPath(new URL(`src/${path}`, import.meta.url));
const store = (name: string): string =>
  fileURLToPath(new URL(`packages/${name}/src/index.ts`, import.meta.url));

const isMatrix = process.env['SOJOURN_MATRIX'] !== undefined;
const TAG = /^\/\/ @module-tag matrix$/m;

/**
 * Test files that only `npm run test:matrix` runs, or a command that names the file. They are left out by name: to load
 * and filter them takes a second each.
 */
function matrixFiles(): string[] {
  const root = fileURLToPath(new URL('test', import.meta.url));
  // Folders of test/installs have packages of others in them.
  const folders = readdirSync(root).filter((name) => name !== 'installs');
  const files = folders.flatMap((folder) =>
    readdirSync(`${root}/${folder}`, { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.test.ts'))
      .map((file) => `${folder}/${file}`),
  );
  const tagged = files.filter((file) =>
    TAG.test(readFileSync(`${root}/${file}`, 'utf8').slice(0, 200)),
  );
  const named = process.argv.filter((text) => text.endsWith('.test.ts'));
  return tagged
    .map((file) => `test/${file}`)
    .filter((file) => !named.some((text) => text.endsWith(file)));
}

/**
 * Files with a worker process of their own. The others share worker processes: to start one and to load the SDK and the
 * clients of the stores into it costs 0.9 s of CPU, more than most files need for their tests. Here belongs a file that
 *
 * - measures the memory of its process or the work of its event loop;
 * - runs for longer than some 15 s, or waits for short times that the garbage of other files could exceed;
 * - changes its process for good.
 */
const OWN = [
  'test/behaviour/idle.test.ts',
  'test/chaos/chaos.test.ts',
  'test/repo/checks.test.ts',
  'test/cli/{stopped-reader,store-away,workers}.test.ts',
  'test/clients/early-questions.test.ts',
  'test/cluster/{asleep,stuck-links}.test.ts',
  'test/http/limits/rows.test.ts',
  'test/http/listen/{accept-queue,open-files}.test.ts',
  'test/endpoint/otel/wrappers.test.ts',
  'test/dashboard/page/*.test.ts',
  'test/security/{aborted-requests,log-volume}.test.ts',
  'test/security/{shapes,task-memory}.test.ts',
  'test/session/{abandoned,idle-memory,slow-readers}.test.ts',
  'test/simulation/{determinism,races,seeds}.test.ts',
  'test/stdio/{remains,sharing}.test.ts',
  'test/stores/{crashes,postgres-outages,redis-cluster,redis-outage,redis-sentinel}.test.ts',
  'test/stores/sqlite-{processes,stalls}.test.ts',
];

const SHARING = 'shared worker';

/** Files that share workers are last and in one row: a worker is kept only for a next file of its kind. */
class SharedLast extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const place = ({ project }: TestSpecification) => Number(project.name === SHARING);
    return sorted.toSorted((a, b) => place(a) - place(b));
  }
}

const exclude = [...configDefaults.exclude, 'test/installs/**', ...(isMatrix ? [] : matrixFiles())];

export default defineConfig({
  resolve: {
    // Tests and the examples they import share one copy of the code: src/. The tests of the package use dist/ by path.
    alias: [
      { find: /^sojourn$/, replacement: source('index.ts') },
      { find: /^sojourn\/sqlite$/, replacement: source('stores/sqlite/index.ts') },
      { find: /^sojourn-redis$/, replacement: store('redis') },
      { find: /^sojourn-postgres$/, replacement: store('postgres') },
      { find: /^sojourn\/stdio$/, replacement: source('stdio/index.ts') },
      { find: /^sojourn\/internal$/, replacement: source('stores/kit.ts') },
      { find: /^sojourn\/store$/, replacement: source('stores/index.ts') },
      { find: /^sojourn\/testing$/, replacement: source('testing/index.ts') },
    ],
  },
  test: {
    projects: [
      {
        extends: true,
        test: {
          name: SHARING,
          isolate: false,
          include: ['test/**/*.test.ts'],
          exclude: [...exclude, ...OWN],
        },
      },
      { extends: true, test: { name: 'own worker', include: OWN, exclude } },
    ],
    globalSetup: ['test/kit/built.mjs', 'test/kit/checkout.mjs'],
    setupFiles: [
      'test/kit/leaks.ts',
      'test/kit/globals.ts',
      'test/kit/seed.ts',
      'test/kit/waits.ts',
    ],
    reporters: [
      process.env['CI'] ? ['default', { summary: false }] : 'default',
      './test/kit/totals.ts',
    ],
    pool: 'forks',
    // Many tests wait for processes, leases and servers: more workers than two cores use the time that these would
    // idle. With three a quarter of it was idle. VITEST_MAX_WORKERS=n changes it: `--maxWorkers` reaches no project.
    maxWorkers: 4,
    sequence: { sequencer: SharedLast },
    // Ten times what most tests of processes need: beside other work a process takes that much longer to start.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    expect: { poll: { timeout: 30_000 } },
    retry: 0,
    allowOnly: !process.env['CI'],
    unstubEnvs: true,
    // A module is compiled once for both kinds of workers, and again only when its text changes.
    experimental: { fsModuleCache: true, fsModuleCachePath: 'node_modules/.cache/sojourn/modules' },
    tags: [
      { name: 'matrix', description: 'what only `npm run test:matrix` runs' },
      {
        name: 'per-session',
        description: 'what needs a server for each session: not of its part `servers`',
      },
    ],
  },
});
