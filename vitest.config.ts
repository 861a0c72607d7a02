import { fileURLToPath } from 'node:url';
import { configDefaults, defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

const source = (path: string): string => fileURLToPath(new URL(`src/${path}`, import.meta.url));

/** Files that take close to a minute. */
const SLOW =
  /\/(chaos\/(chaos|patience)|security\/floods|session\/behind|stores\/redis-cluster|testing\/wrong-stores|cli\/(workers|owner-death))\.test\.ts$/;

/**
 * Files that share worker processes: to start one and to load the SDK into it costs 0.6 s of CPU, more than most of
 * these files need for their tests. Not among them is a file that
 *
 * - imports `kit/shared-stores.ts`, which registers hooks when it is loaded: in a shared worker only once;
 * - measures the memory of its process or the work of its event loop;
 * - runs for long, or waits for short times that the work of other files could exceed.
 */
const SHARED = [
  'test/*.test.ts',
  'test/{endpoint,http,limits,options,protocol,sealed}/**/*.test.ts',
  'test/auth/!(stream-expiry).test.ts',
  'test/behaviour/!(get-release|idle-timeout|modern-resume|modern-resume-fleet|post-answers|running-requests).test.ts',
  'test/cli/{guide,option-flags,program,server-module,settings,shutdown,store-url,worker-role}.test.ts',
  'test/cluster/{lease,link,messages,peer-versions,signed-messages}.test.ts',
  'test/docs/!(behaviour-reference|clients).test.ts',
  'test/eras/{json-depth,modern/json-number}.test.ts',
  'test/house/{attacks,circles}.test.ts',
  'test/pins/{request-entry,sdk-seams}.test.ts',
  'test/security/{auth-tokens,authorize-shared,shares,users}.test.ts',
];

const SHARING = 'shared worker';

/**
 * A slow file that begins last is waited for alone. Without a cache of earlier runs the order would be by size. Files
 * that share workers are last and in one row: a worker is kept only for a next file of its kind.
 */
class SlowFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const place = ({ moduleId, project }: TestSpecification) =>
      SLOW.test(moduleId) ? 0 : project.name === SHARING ? 2 : 1;
    return sorted.toSorted((a, b) => place(a) - place(b));
  }
}

export default defineConfig({
  resolve: {
    // Tests and the examples they import share one copy of the code: src/. The tests of the package use dist/ by path.
    alias: [
      { find: /^sojourn$/, replacement: source('index.ts') },
      { find: /^sojourn\/memory$/, replacement: source('stores/memory/index.ts') },
      { find: /^sojourn\/sqlite$/, replacement: source('stores/sqlite/index.ts') },
      { find: /^sojourn\/redis$/, replacement: source('stores/redis/index.ts') },
      { find: /^sojourn\/postgres$/, replacement: source('stores/postgres/index.ts') },
      { find: /^sojourn\/nats$/, replacement: source('stores/nats/index.ts') },
      { find: /^sojourn\/store$/, replacement: source('stores/index.ts') },
      { find: /^sojourn\/testing$/, replacement: source('testing/index.ts') },
    ],
  },
  test: {
    projects: [
      { extends: true, test: { name: SHARING, isolate: false, include: SHARED } },
      {
        extends: true,
        test: { name: 'own worker', include: ['test/**/*.test.ts'], exclude: [...configDefaults.exclude, ...SHARED] },
      },
    ],
    globalSetup: ['test/kit/built.mjs'],
    setupFiles: ['test/kit/leaks.ts', 'test/kit/globals.ts', 'test/kit/seed.ts'],
    reporters: [process.env['CI'] ? ['default', { summary: false }] : 'default', './test/kit/totals.ts'],
    pool: 'forks',
    // Many tests wait for processes, leases and servers: a third worker uses the time that two cores would idle.
    maxWorkers: 3,
    sequence: { sequencer: SlowFirst },
    testTimeout: 30_000,
    hookTimeout: 30_000,
    retry: 0,
    allowOnly: !process.env['CI'],
    unstubEnvs: true,
  },
});
