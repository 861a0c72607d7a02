/** Everything that a deployment may suffer, under load, and then a calm in which every session must still work. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Intruder } from '../clients/intruder.ts';
import { ACTIONS } from '../clients/life.ts';
import { type Fault, Nemesis, type Plan, planOf, type Waits } from '../nemesis.ts';
import { lateWrites } from '../late-writes.ts';
import { pause } from '../pause.ts';
import { type FaultsReport, quantiles, reportOf, type Waited } from '../report.ts';
import { type ScenarioOptions, Stage } from './stage.ts';

export interface FaultsOptions extends ScenarioOptions {
  readonly kills: number;
  readonly stops: number;
  /** How often what befalls it; else it follows from the two. */
  readonly plan?: Plan;
}

const DRAIN_MS = 5_000;
/** An intruder tries to get in this often. */
const INTRUSION_MS = 25;
/** Before the first fault. */
const WARM_UP_MS = 500;
const PACE = { thinkMs: [0, 200], concurrency: 4, longest: 1_500, actions: ACTIONS } as const;

export function runFaults(options: FaultsOptions): Promise<FaultsReport> {
  return Stage.with({ ...options, drainMs: DRAIN_MS, pace: PACE, othersMayFail: true }, async (stage) => {
    const { kills, stops, leaseMs, kind, progress = () => {} } = options;
    const { deployment, history, random, crowd } = stage;
    const who = { name: 'intruder', version: '2025-11-25', route: () => deployment.proxy.url };
    const intruder = new Intruder({ ...who, history, random: random.fork() });
    const nemesis = new Nemesis({ deployment, history, random: random.fork(), leaseMs });
    const delay = monitorEventLoopDelay({ resolution: 5 });
    delay.enable();
    crowd.start();
    let over = false;
    const intruding = intruder.run(() => over, INTRUSION_MS);
    try {
      await pause(WARM_UP_MS);
      const { plan = planOf(kills, stops, deployment.store.links.length > 0) } = options;
      await nemesis.run(plan, (fault: Fault, left: number) =>
        progress(`${kind}: ${fault}, ${left} to come, ${history.calls.size} calls, ${history.found.length} findings`),
      );
      await stage.calm();
    } finally {
      over = true;
      await intruding;
      delay.disable();
    }
    const effects = stage.judge();
    const { done } = nemesis;
    const late = lateWrites(effects, deployment.freezes).filter(({ taken }) => taken);
    return {
      ...reportOf('faults', stage),
      faults: done,
      kills: done.kill + 2 * done.killTwo + done.freezeAndKill,
      stops: done.freeze + done.freezeAndKill,
      attempts: intruder.attempts,
      afterKill: waited(nemesis.afterKill),
      afterFreeze: waited(nemesis.afterFreeze),
      lateWrites: late.length,
      lateWritesRefused: late.filter(({ write }) => write.value === undefined).length,
      delayMs: delay.percentile(99) / 1e6,
    };
  });
}

function waited({ next, inFlight }: Waits): Waited {
  return { next: quantiles(next), inFlight: quantiles(inFlight) };
}
