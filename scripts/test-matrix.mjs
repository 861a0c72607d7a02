/**
 * `npm run test:matrix [part …]`: the products that `npm test` leaves out. Without names it runs every
 * part. `SOJOURN_SEED=n` gives random parts another seed. A developer who changes a part runs it.
 */
import { spawnSync } from 'node:child_process';
import { root } from './steps.mjs';

const vitest = (...args) => ['npx', 'vitest', 'run', ...args];
const npm = (...args) => ['npm', 'run', ...args];
const seed = process.env.SOJOURN_SEED ?? '1';

/** A copy of what git has, with packages of its own. */
const NEWEST = `set -e
rm -rf tools/newest && git checkout-index --all --prefix=tools/newest/ && cd tools/newest
npm install --no-save --no-audit --no-fund --ignore-scripts redis@latest pg@latest \\
  @modelcontextprotocol/server@2 @modelcontextprotocol/client@2 @modelcontextprotocol/sdk@1
npm ls --depth=0 redis pg @modelcontextprotocol/server @modelcontextprotocol/client @modelcontextprotocol/sdk
npm run build && npx tsc --noEmit -p .
SOJOURN_CLIENTS_FOLDER=$PWD/../clients npx vitest run test/adopt test/behaviour test/clients test/conformance \\
  test/definition test/endpoint test/eras test/examples test/pins test/protocol test/session test/stores`;

/** `minutes`: on two quiet cores, estimated. */
const PARTS = {
  faces: {
    minutes: 6,
    what: 'both faces',
    commands: [vitest('test/behaviour', 'test/clients', 'test/session', 'test/observe')],
  },
  stores: {
    minutes: 8,
    what: 'what is above the store contract, on every store',
    commands: [vitest('test/once', 'test/tasks', 'test/relay', 'test/dashboard', 'test/endpoint', 'test/cluster')],
  },
  servers: {
    minutes: 15,
    what: 'one server object for all sessions, save for tests that need one each; servers of other SDK versions',
    env: { SOJOURN_ONE_DEFINITION: '1' },
    commands: [
      vitest('test/behaviour', 'test/definition', 'test/tasks', 'test/once', 'test/session/calls'),
      vitest('test/session/limits', 'test/limits/request-limits', 'test/security/authorize', 'test/security/scopes'),
      vitest('test/security/anonymous', 'test/security/rerun-rights', 'test/security/user-shares'),
    ],
  },
  newest: {
    minutes: 60,
    what: 'the newest SDKs, clients of stores and clients in other languages',
    env: { SOJOURN_CLIENTS: 'all' },
    commands: [
      ['sh', '-c', NEWEST],
      ['node', 'scripts/servers.mjs', 'clients', '--newest'],
      vitest('test/clients/others.test.ts'),
      npm('chaos', '--', ...'--store redis --scenario faults --kills 10 --stops 3 --clients python,go,rust'.split(' ')),
    ],
  },
  languages: {
    minutes: 45,
    what: 'clients in Python, Go, Rust and Java',
    commands: [npm('test:clients'), vitest('test/clients/others.test.ts', 'test/clients/short-waits.test.ts')],
  },
  deployments: {
    minutes: 8,
    what: 'proxies, images, frameworks, runtimes, bundlers, empty folders',
    commands: [
      vitest('test/deploy', 'test/examples', 'test/runtimes', 'test/package', 'test/cli', 'test/page'),
      npm('first-minutes'),
    ],
  },
  builds: {
    minutes: 6,
    what: 'this build beside another one, and a collector of OpenTelemetry built with Go',
    commands: [vitest('test/compat', 'test/otel'), npm('collector')],
  },
  memory: {
    minutes: 12,
    what: 'one client against a process with a small heap; what each row of the memory budget takes',
    commands: [vitest('test/security', 'test/limits', 'test/eras')],
  },
  crashes: {
    minutes: 10,
    what: 'kills, outages, Cluster and Sentinel, random operations on each store',
    env: { SOJOURN_KILLS: '20', SOJOURN_RUNS: '300' },
    commands: [vitest('test/stores', 'test/once/kills.test.ts', 'test/tasks/kills.test.ts', 'test/testing')],
  },
  seeds: {
    minutes: 45,
    what: 'the simulated fleet: 20,000 seeds, every ablation, 1,000 worlds of once and of tasks',
    env: { SOJOURN_ONCE_SEEDS: '1000', SOJOURN_TASK_SEEDS: '1000' },
    commands: [
      npm('simulate', '--', '--seeds', '20000', '--from', String(Number(seed) * 20_000 || 0)),
      vitest('test/simulation', 'test/property'),
    ],
  },
  chaos: {
    minutes: 60,
    what: 'real processes and official clients under faults, on each store',
    commands: ['sqlite', 'redis', 'postgres'].flatMap((store) =>
      ['factory', 'definition'].map((servers) =>
        npm('chaos', '--', '--store', store, '--servers', servers, '--seed', seed),
      ),
    ),
  },
  attacks: {
    minutes: 60,
    what: 'a search for requests that cost most',
    commands: [npm('shapes', '--', '--minutes', '60')],
  },
  adopt: {
    minutes: 40,
    what: 'servers and SDK versions that others have published',
    commands: [npm('adopt'), vitest('test/adopt')],
  },
};

const names = process.argv.slice(2);
const unknown = names.filter((name) => !(name in PARTS));
if (unknown.length > 0 || names.includes('--help')) {
  console.error(`${unknown.length > 0 ? `${unknown.join(', ')}: no such part. ` : ''}The parts are:`);
  for (const [name, { minutes, what }] of Object.entries(PARTS))
    console.error(`${name.padEnd(12)} ${`${minutes}`.padStart(3)} min  ${what}`);
  process.exit(1);
}

const failed = [];
for (const name of names.length > 0 ? names : Object.keys(PARTS)) {
  const { commands, env = {} } = PARTS[name];
  const started = performance.now();
  for (const [command, ...args] of commands) {
    console.log(`\n# ${name}: ${[command, ...args].join(' ')}`);
    const { status } = spawnSync(command, args, {
      cwd: root,
      stdio: 'inherit',
      env: { ...process.env, SOJOURN_MATRIX: '1', ...env },
    });
    if (status !== 0) failed.push(`${name}: ${[command, ...args].join(' ')}`);
  }
  console.log(`# ${name}: ${((performance.now() - started) / 60_000).toFixed(1)} min`);
}
for (const command of failed) console.log(`FAILED  ${command}`);
process.exitCode = failed.length > 0 ? 1 : 0;
