/**
 * Random shapes against a server, as a job: every method on every face first, and then any, until the time is over.
 *
 *     SOJOURN_SEED=3 npm run shapes -- --minutes 60
 *
 * Fails where a shape ends the process, makes another user's calls fail or wait for more than 0.5 s (p99), or makes the
 * heap grow by what no row of `src/http/limits/memory-rows.ts` charges.
 */
import { inspect, parseArgs } from 'node:util';
import { Random } from '../../simulation/random.ts';
import { faults, measureShape } from './measure.ts';
import { ERAS, METHODS, randomShape, type Shape } from './shape.ts';

const ATTACK_MS = 3_000;
const P99_MS = 500;

const { values } = parseArgs({
  options: { minutes: { type: 'string', default: '10' } },
  allowPositionals: true,
});
const given = process.env['SOJOURN_SEED'] ?? '1';
const seed = given === 'random' ? Date.now() % 2 ** 31 : Number(given);
const source = new Random(seed);
const random = (): number => source.next();
const until = performance.now() + Number(values.minutes) * 60_000;

const everyMethod: Array<Partial<Shape>> = ERAS.flatMap((era) =>
  METHODS[era].flatMap((method) =>
    (['node', 'fetch'] as const).map((face) => ({ era, method, face })),
  ),
)
  .map((part) => ({ part, at: random() }))
  .toSorted((a, b) => a.at - b.at)
  .map(({ part }) => part);

let measured = 0;
const faulty: string[] = [];
while (performance.now() < until) {
  const shape = randomShape(random, everyMethod[measured]);
  measured += 1;
  const first = faults(await measureShape(shape, ATTACK_MS), P99_MS);
  if (first.length === 0) continue;
  // A machine that is busy with other things makes others wait, so a fault counts when it comes twice.
  const again = faults(await measureShape(shape, ATTACK_MS), P99_MS);
  const text = `${inspect(shape, { breakLength: Infinity })}\n  ${first.join('\n  ')}\n  a second time: ${again.join('; ') || 'nothing'}`;
  console.log(text);
  if (again.length > 0) faulty.push(text);
}
console.log(
  `\nseed ${seed}: ${measured} shapes, ${faulty.length} with faults\n${faulty.join('\n')}`,
);
process.exit(faulty.length === 0 ? 0 : 1);
