import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

const source = (path: string): string => fileURLToPath(new URL(`src/${path}`, import.meta.url));

/** Files that take close to a minute. */
const SLOW =
  /\/(chaos\/(chaos|patience)|security\/floods|session\/behind|stores\/redis-cluster|testing\/wrong-stores|cli\/(workers|owner-death))\.test\.ts$/;

/** A slow file that begins last is waited for alone. Without a cache of earlier runs the order would be by size. */
class SlowFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    return sorted.toSorted((a, b) => Number(SLOW.test(b.moduleId)) - Number(SLOW.test(a.moduleId)));
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
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/kit/built.mjs'],
    setupFiles: ['test/kit/leaks.ts', 'test/kit/seed.ts'],
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
