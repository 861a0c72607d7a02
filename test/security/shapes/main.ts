/**
 * The search for shapes, as a job:
 *
 *     SOJOURN_SEED=3 npm run shapes -- --minutes 60
 *
 * Fails where a shape ends the process, makes another user's calls fail or wait for more than 0.5 s (p99), or makes the
 * heap grow by what no row of `src/limits/held.ts` charges.
 */
import { parseArgs } from 'node:util';
import { Search } from './search.ts';
import { seededRandom } from '../../../src/base/seeded-random.ts';
import { described } from './shape.ts';

const ATTACK_MS = 3_000;
const LONG_MS = 20_000;
const P99_MS = 500;

const { values } = parseArgs({ options: { minutes: { type: 'string', default: '10' } }, allowPositionals: true });
const given = process.env['SOJOURN_SEED'] ?? '1';
const seed = given === 'random' ? Date.now() % 2 ** 31 : Number(given);
const search = new Search({
  random: seededRandom(seed),
  until: performance.now() + Number(values.minutes) * 60_000,
  attackMs: ATTACK_MS,
  longMs: LONG_MS,
  p99Ms: P99_MS,
  out: console.log,
});
await search.run();
console.log(`\nseed ${seed}: ${search.measured} shapes`);
for (const { name, value, shape, cost } of search.worst) {
  const { sent, heapBytes, chargedBytes, blockMs, witness } = cost;
  const rest = { ...sent, heapBytes, chargedBytes, blockMs, p99Ms: witness.p99Ms };
  console.log(`${name}: ${value.toPrecision(4)}\n  ${described(shape)}\n  ${JSON.stringify(rest)}`);
}
console.log(search.findings.length === 0 ? '\nno fault' : `\n${search.findings.length} shapes with faults:`);
for (const { shape, faults } of search.findings) console.log(`${described(shape)}\n  ${faults.join('\n  ')}`);
process.exit(search.findings.length === 0 ? 0 : 1);
