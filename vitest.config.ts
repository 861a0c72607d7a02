import { fileURLToPath } from 'node:url';
import { configDefaults, defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';
import { slowTests } from './test/kit/fast-tests.ts';

const source = (path: string): string => fileURLToPath(new URL(`src/${path}`, import.meta.url));

/** Files that take close to a minute. */
const SLOW = [
  /\/chaos\/(chaos|patience)\.test\.ts$/,
  /\/cli\/(demo|dev|doctor-contract|owner-death|server-stores|workers|workers-sessions)\.test\.ts$/,
  /\/(clients\/modern-resume|compat\/tasks|conformance\/conformance|limits\/rows|page\/page)\.test\.ts$/,
  /\/(deploy\/round-robin|once\/(fleet|forget|kills)|session\/behind|tasks\/kills|testing\/wrong-stores)\.test\.ts$/,
  /\/security\/(floods|left-calls|live-memory|shapes|task-memory)\.test\.ts$/,
  /\/simulation\/(once|seeds-\w+|tasks)\.test\.ts$/,
  /\/stores\/redis-cluster\.test\.ts$/,
];

/**
 * Files with a worker process of their own. The others share worker processes: to start one and to load the SDK and the
 * clients of the stores into it costs 0.9 s of CPU, more than most files need for their tests. Here belongs a file that
 *
 * - measures the memory of its process or the work of its event loop;
 * - runs for longer than some 15 s, or waits for short times that the garbage of other files could exceed;
 * - changes its process for good.
 */
const OWN = [
  'test/adopt/*.test.ts',
  'test/behaviour/{get-release,idle-timeout,modern-resume,modern-resume-fleet,post-answers,running-requests}.test.ts',
  'test/chaos/{chaos,patience}.test.ts',
  'test/cli/{auth,dashboard,demo,dev,doctor-contract,evicted-keys,held-port,load-failure,orders,orphan}.test.ts',
  'test/cli/{owner-death,refused-stores,restart,serve,server-stores,sessions,stopped-reader}.test.ts',
  'test/cli/{metrics,prometheus,socket-activation,store-away,supervisor,tasks,workers,workers-sessions}.test.ts',
  'test/clients/{early-questions,modern-resume,other-bugs,others,outages,short-waits}.test.ts',
  'test/cluster/{asleep,blocked-loop,lapse,stuck-links}.test.ts',
  'test/compat/{newer-build,rolling-deploy,tasks}.test.ts',
  'test/conformance/{conformance,tasks}.test.ts',
  'test/dashboard/fleet.test.ts',
  'test/definition/{isolation,shared-server}.test.ts',
  'test/deploy/{affinity,bounds,image,round-robin,unanswered}.test.ts',
  'test/endpoint/{drain-deadline,stop,store-health}.test.ts',
  'test/examples/{frameworks,sessions,start}.test.ts',
  'test/first-minutes/{develop,newcomer}.test.ts',
  'test/house/leaks.test.ts',
  'test/kit/servers/servers.test.ts',
  'test/limits/rows.test.ts',
  'test/listen/*.test.ts',
  'test/once/{fleet,forget,kills,life}.test.ts',
  'test/otel/{collector,wrappers}.test.ts',
  'test/package/tarball.test.ts',
  'test/page/{demo,made-up,mounted,page,tasks}.test.ts',
  'test/relay/fleet-large.test.ts',
  'test/runtimes/runtimes.test.ts',
  'test/security/{aborted-requests,body-values,floods,forged-messages,hostile-requests,left-calls}.test.ts',
  'test/security/{live-memory,log-volume,notification-floods,relayed-memory,shapes,task-memory}.test.ts',
  'test/session/{abandoned,behind,fleet-ends,idle-memory,lost-replies,slow-reader}.test.ts',
  'test/session/record/record-keeper.test.ts',
  'test/simulation/{ablations,determinism,once,races,seeds-one,seeds-two,tasks}.test.ts',
  'test/stores/{postgres,redis,returns}.test.ts',
  'test/stores/{postgres,redis,sqlite}-{crash,model,outage,outages,processes}.test.ts',
  'test/stores/{postgres-instances,redis-cluster,redis-mailbox,redis-sentinel}.test.ts',
  'test/stores/sqlite-stalls.test.ts',
  'test/tasks/{kills,observed,takeover}.test.ts',
  'test/testing/wrong-stores.test.ts',
];

const SHARING = 'shared worker';

/** `vitest run --mode fast`, as `npm run test:fast` does: see `test/kit/fast-tests.ts`. */
const FAST = 'fast';

/**
 * A slow file that begins last is waited for alone. Without a cache of earlier runs the order would be by size. Files
 * that share workers are last and in one row: a worker is kept only for a next file of its kind.
 */
class SlowFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const place = ({ moduleId, project }: TestSpecification) =>
      SLOW.some((name) => name.test(moduleId)) ? 0 : project.name === SHARING ? 2 : 1;
    return sorted.toSorted((a, b) => place(a) - place(b));
  }
}

export default defineConfig(({ mode }) => {
  const isFast = mode === FAST;
  const exclude = [...configDefaults.exclude, ...(isFast ? slowTests() : [])];
  return {
    resolve: {
      // Tests and the examples they import share one copy of the code: src/. The tests of the package use dist/ by path.
      alias: [
        { find: /^sojourn$/, replacement: source('index.ts') },
        { find: /^sojourn\/memory$/, replacement: source('stores/memory/index.ts') },
        { find: /^sojourn\/sqlite$/, replacement: source('stores/sqlite/index.ts') },
        { find: /^sojourn\/redis$/, replacement: source('stores/redis/index.ts') },
        { find: /^sojourn\/postgres$/, replacement: source('stores/postgres/index.ts') },
        { find: /^sojourn\/store$/, replacement: source('stores/index.ts') },
        { find: /^sojourn\/once$/, replacement: source('once/index.ts') },
        { find: /^sojourn\/tasks$/, replacement: source('tasks/index.ts') },
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
      globalSetup: ['test/kit/built.mjs'],
      setupFiles: ['test/kit/leaks.ts', 'test/kit/globals.ts', 'test/kit/seed.ts'],
      reporters: [process.env['CI'] ? ['default', { summary: false }] : 'default', './test/kit/totals.ts'],
      pool: 'forks',
      // Many tests wait for processes, leases and servers: more workers than two cores use the time that these would
      // idle. With three a quarter of it was idle.
      maxWorkers: 4,
      sequence: { sequencer: SlowFirst },
      testTimeout: 30_000,
      hookTimeout: 30_000,
      expect: { poll: { timeout: 20_000 } },
      retry: 0,
      allowOnly: !process.env['CI'],
      unstubEnvs: true,
      env: isFast ? { SOJOURN_FAST: '1' } : {},
    },
  };
});
