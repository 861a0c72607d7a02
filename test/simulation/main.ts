/**
 * More seeds than the tests run, or one of them again:
 *
 *     npm run simulate -- --seeds 100000 [--from N] [--kind storm | --tasks | --live | --events]
 *     npm run simulate -- --seed 123 [--trace]
 *
 * `--tasks`: worlds with tasks and runs of `once()`. `--live`: worlds with live objects. `--events`: with
 * subscriptions to events.
 */
import { parseArgs } from 'node:util';
import { runLive } from './live.ts';
import { run } from './run.ts';
import { runEvents } from './events.ts';
import { KINDS, type Kind } from './scenario.ts';
import { optionsOf, runTasks } from './tasks.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    seeds: { type: 'string', default: '1000' },
    from: { type: 'string', default: '0' },
    kind: { type: 'string' },
    tasks: { type: 'boolean', default: false },
    live: { type: 'boolean', default: false },
    events: { type: 'boolean', default: false },
    trace: { type: 'boolean', default: false },
  },
});

/** With so many failed seeds it stops. */
const MOST_FAILED = 10;

const kind = KINDS.find((name) => name === values.kind) satisfies Kind | undefined;
if (values.kind !== undefined && kind === undefined) throw new Error(`kinds: ${KINDS.join(', ')}`);

const [from, count] =
  values.seed === undefined
    ? [Number(values.from), Number(values.seeds)]
    : [Number(values.seed), 1];
let failed = 0;
for (let seed = from; seed < from + count && failed < MOST_FAILED; seed++) {
  const traced = values.trace;
  const { violations, trace } = values.tasks
    ? await runTasks(seed, { ...optionsOf(seed), traced })
    : values.live
      ? await runLive(seed, { traced })
      : values.events
        ? await runEvents(seed, { traced })
        : await run(seed, { ...(kind !== undefined && { kind }), traced });
  for (const line of trace) console.log(line);
  if (violations.length === 0) continue;
  failed += 1;
  console.log(`seed ${seed}: ${violations.length} violations`);
  for (const violation of violations.slice(0, traced ? Infinity : 3)) console.log(`✗ ${violation}`);
}
console.log(`${count} seeds from ${from}: ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
