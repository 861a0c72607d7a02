/**
 * More seeds than the tests run, or one of them again:
 *
 *     npm run simulate -- --seeds 100000 [--from N] [--kind storm]
 *     npm run simulate -- --seed 123 [--trace]
 */
import { parseArgs } from 'node:util';
import { run } from './run.ts';
import { KINDS, type Kind } from './scenario.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    seeds: { type: 'string', default: '1000' },
    from: { type: 'string', default: '0' },
    kind: { type: 'string' },
    trace: { type: 'boolean', default: false },
    failures: { type: 'string', default: '10' },
  },
});

const kind = KINDS.find((name) => name === values.kind) satisfies Kind | undefined;
if (values.kind !== undefined && kind === undefined) throw new Error(`kinds: ${KINDS.join(', ')}`);
const options = kind === undefined ? {} : { kind };

if (values.seed === undefined) await many(Number(values.from), Number(values.seeds), Number(values.failures));
else await one(Number(values.seed));

async function one(seed: number): Promise<void> {
  const { scenario, violations, trace, events } = await run(seed, { ...options, traced: values.trace });
  if (values.trace) console.log(trace.join('\n'));
  console.log(JSON.stringify(scenario), `${events} events`);
  for (const violation of violations) console.log(`✗ ${violation}`);
  console.log(violations.length === 0 ? 'no violation' : `${violations.length} violations`);
  process.exitCode = violations.length === 0 ? 0 : 1;
}

async function many(from: number, count: number, most: number): Promise<void> {
  const started = performance.now();
  let failed = 0;
  let [events, calls, results] = [0, 0, 0];
  const byKind = new Map<string, number>();
  for (let seed = from; seed < from + count && failed < most; seed++) {
    const result = await run(seed, options);
    events += result.events;
    calls += result.calls;
    results += result.results;
    if (result.violations.length === 0) continue;
    failed += 1;
    const { kind: of } = result.scenario;
    byKind.set(of, (byKind.get(of) ?? 0) + 1);
    console.log(
      `seed ${seed} (${of}): ${result.violations.length} violations\n  ${result.violations.slice(0, 3).join('\n  ')}`,
    );
  }
  const ms = performance.now() - started;
  console.log(
    `${count} seeds from ${from}: ${failed} failed ${JSON.stringify(Object.fromEntries(byKind))}; ` +
      `${(ms / count).toFixed(1)} ms, ${(events / count).toFixed(0)} events, ${(calls / count).toFixed(1)} calls (${(results / count).toFixed(1)} results) a seed`,
  );
  process.exitCode = failed === 0 ? 0 : 1;
}
