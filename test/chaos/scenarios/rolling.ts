/** All instances are replaced, one after the other, again and again, under load: no client notices. */
import { setTimeout as pause } from 'node:timers/promises';
import { nameOf } from '../../simulation/checker.ts';
import { ACTIONS } from '../../simulation/scenario.ts';
import { openBackingStore } from '../backing-store.ts';
import { reportOf } from '../report.ts';
import { type ScenarioOptions, Stage } from './stage.ts';

const INSTANCES = 3;
/** How often all of them are replaced. */
const ROUNDS = 10;
/** Longer than any call. */
const DRAIN_MS = 10_000;
/** A tool waits for its user's answer as long as the SDK does by default. */
const ASK_MS = 60_000;
/** A client that leaves by itself, or ends its session with calls under way, would count as a failure. */
const ACTIONS_OF_ALL = { ...ACTIONS, cancel: 0, leave: 0, leaveGet: 0, trespass: 0, delete: 0 };
const PACE = { thinkMs: [0, 200], concurrency: 4, longestMs: 800, actions: ACTIONS_OF_ALL } as const;

export async function runRolling(options: ScenarioOptions) {
  const { kind } = options;
  const store = await openBackingStore(kind, INSTANCES);
  const own = { instances: INSTANCES, drainMs: DRAIN_MS, askMs: ASK_MS, pace: PACE, usersMayFail: false };
  return Stage.with({ ...options, ...own, store }, async (stage) => {
    const { instances, random } = stage;
    let restarts = 0;
    await stage.arrive();
    for (let round = 1; round <= ROUNDS; round++) {
      for (const instance of instances) {
        await instance.drain();
        await instance.begin();
        restarts += 1;
        await pause(random.between(0, 500));
      }
    }
    await stage.calm();
    stage.judge();
    judgeFailures(stage);
    return reportOf('rolling', stage, { restarts });
  });
}

/** A refusal, a broken connection, or anything but a result. */
function judgeFailures({ world, found }: Stage): void {
  for (const { at, status, text, what, instance } of world.refusals)
    found.push(`failed: ${what} at ${at}: ${status} ${text} by ${instance}`);
  for (const { at, what, instance } of world.broken)
    found.push(`failed: ${what} at ${at}: the connection to ${instance} broke`);
  for (const call of world.ledger.calls)
    if (call.ending?.kind !== 'result') found.push(`failed: ${nameOf(call)}: ${JSON.stringify(call.ending)}`);
}
