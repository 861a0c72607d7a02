/**
 * `npm run test:matrix [part …]`: the products that `npm test` leaves out. Without names it runs every part.
 * `SOJOURN_SEED=n` gives random parts another seed. A developer who changes a part runs it.
 */
import { spawnSync } from 'node:child_process';
import { everyTool, install } from './servers.mjs';
import { root } from './steps.mjs';

const seed = process.env.SOJOURN_SEED ?? '1';
const chaos = ['sqlite', 'redis', 'postgres'].flatMap((store) =>
  ['factory', 'definition'].map(
    (servers) => `npm run chaos -- --store ${store} --servers ${servers} --seed ${seed}`,
  ),
);

/** A copy of what git has, with packages of its own. */
const NEWEST = `set -e
rm -rf test/installs/newest && git checkout-index --all --prefix=test/installs/newest/ && cd test/installs/newest
npm install --no-save --no-audit --no-fund --ignore-scripts redis@latest pg@latest \\
  @modelcontextprotocol/server@2 @modelcontextprotocol/client@2 @modelcontextprotocol/sdk@1
npm ls --depth=0 redis pg @modelcontextprotocol/server @modelcontextprotocol/client @modelcontextprotocol/sdk
npm run build && npx tsc --noEmit -p .
export SOJOURN_CLIENTS_FOLDER=$PWD/../clients
node scripts/servers.mjs clients conformance otel-2 otel-3 runtimes sdks
npx vitest run test/adopt/sdks.test.ts test/behaviour test/clients test/conformance \\
  test/session/server/definition test/endpoint test/eras test/pages/examples test/repo/pins test/base/protocol test/session test/stores`;

/** A clone as a developer has it: `npm start` was used, and the tests have run. */
const AGAIN = `set -e
npm start -- --port 3333 & started=$!
trap 'kill $started' EXIT
meta='"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}'
curl -fs --retry 60 --retry-connrefused --retry-delay 1 http://127.0.0.1:3333/mcp -H 'content-type: application/json' \\
  -H 'accept: application/json, text/event-stream' -H 'mcp-protocol-version: 2026-07-28' -H 'mcp-method: tools/call' -H 'mcp-name: counter' \\
  -d '{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "counter", "arguments": {}, "_meta": {'"$meta"'}}}' | grep 'call '
kill $started; wait $started || true; trap - EXIT
for run in 1 2; do env -u SOJOURN_MATRIX CI=1 npm test; done
test -z "$(git status --porcelain)"`;

/** The commands of a shell. On two quiet cores a part takes up to 60 minutes, `tests` some hours. */
const PARTS = {
  // Every test: both faces, every store, proxies, images, floods against a small heap. `SHARD=1/4`: a quarter of them.
  tests: [
    'SOJOURN_KILLS=20 SOJOURN_RUNS=300 ' +
      'npx vitest run --exclude test/clients/others.test.ts --exclude "test/adopt/**" ${SHARD:+--shard=$SHARD}',
  ],
  // `npm test` twice, after an `npm start` that was used.
  again: [AGAIN],
  // One server object for all sessions, save for tests that need one each.
  servers: [
    'SOJOURN_ONE_DEFINITION=1 npx vitest run --tagsFilter "!per-session" test/behaviour test/session/server/definition test/durable/tasks ' +
      'test/durable/once test/session/calls test/session/limits test/http/limits/request-limits test/security/authorize ' +
      'test/security/scopes test/security/anonymous test/security/rerun-rights test/security/shares',
  ],
  // The newest SDKs and clients of stores.
  newest: [NEWEST],
  // Clients in Python, Go, Rust and Java.
  languages: ['npm run test:clients'],
  // README and the guide, in empty folders.
  'first-minutes': ['npm run first-minutes'],
  // The simulated fleet.
  seeds: [`npm run simulate -- --seeds 20000 --from ${Number(seed) * 20_000 || 0}`],
  // Real processes and official clients under faults, on each store.
  chaos,
  // A search for requests that cost most.
  attacks: ['npm run shapes -- --minutes 60'],
  // Servers and SDK versions that others have published.
  adopt: ['npx vitest run test/adopt'],
};

const names = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(PARTS);
const unknown = names.filter((name) => !Object.hasOwn(PARTS, name));
if (unknown.length > 0)
  throw new Error(`${unknown.join(', ')}: the parts are ${Object.keys(PARTS).join(', ')}`);

/** These need no folder of `test/installs/`. */
const BARE = ['seeds', 'chaos', 'attacks'];
if (names.some((name) => !BARE.includes(name))) await install(everyTool);
const failed = [];
for (const name of names) {
  for (const command of PARTS[name]) {
    console.log(`\n# ${name}: ${command}`);
    const env = { ...process.env, SOJOURN_MATRIX: '1' };
    if (spawnSync('bash', ['-c', command], { cwd: root, stdio: 'inherit', env }).status !== 0)
      failed.push(`${name}: ${command}`);
  }
}
for (const command of failed) console.log(`FAILED  ${command}`);
process.exitCode = failed.length > 0 ? 1 : 0;
