/** Everything that a deployment may suffer, under load, and then a calm in which every session must still work. */
import { ACTIONS } from '../../simulation/scenario.ts';
import { openBackingStore } from '../backing-store.ts';
import { Intruder } from '../clients/intruder.ts';
import { Nemesis, type Plan, planOf, waitsAfter } from '../nemesis.ts';
import { quantiles, reportOf } from '../report.ts';
import { type ScenarioOptions, Stage } from './stage.ts';

export interface FaultsOptions extends ScenarioOptions {
  readonly kills: number;
  readonly stops: number;
  /** How often what befalls it; else it follows from the two. */
  readonly plan?: Plan;
}

const INSTANCES = 3;
const DRAIN_MS = 5_000;
/** An intruder tries to get in this often. */
const INTRUSION_MS = 25;
const PACE = { thinkMs: [0, 200], concurrency: 4, longestMs: 1_500, actions: ACTIONS } as const;

export async function runFaults(options: FaultsOptions) {
  const { kind, kills, stops } = options;
  const store = await openBackingStore(kind, INSTANCES);
  const { plan = planOf(kills, stops, store.links.length > 0) } = options;
  const own = { instances: INSTANCES, drainMs: DRAIN_MS, pace: PACE, usersMayFail: true };
  return Stage.with({ ...options, ...own, store }, async (stage) => {
    const { world } = stage;
    const intruder = new Intruder(world, stage.random.fork());
    const nemesis = new Nemesis(stage, store);
    await stage.arrive();
    let over = false;
    const intruding = intruder.run(() => over, INTRUSION_MS);
    try {
      await nemesis.run(plan);
      await stage.calm();
    } finally {
      over = true;
      await intruding;
    }
    const { ran } = stage.judge();
    return reportOf('faults', stage, {
      faults: nemesis.done,
      intrusions: intruder.attempts,
      // Of the clients whose sessions the struck instance served last.
      nextAnswerAfterKill: quantiles(waitsAfter(nemesis.kills, world, ran)),
      nextAnswerAfterFreeze: quantiles(waitsAfter(nemesis.freezes, world, ran)),
    });
  });
}
