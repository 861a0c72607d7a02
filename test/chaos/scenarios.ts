/** What befalls a deployment in a run, and what its clients must not notice of it. */
import { setTimeout as pause } from 'node:timers/promises';
import type { ServerKind } from '../kit/servers/index.ts';
import { nameOf } from '../simulation/checker.ts';
import { grouped } from '../simulation/ledger.ts';
import { ACTIONS } from '../simulation/scenario.ts';
import { openBackingStore, type Outage, OUTAGES, type ReachableStore } from './backing-store.ts';
import { openFailOverStore } from './fail-overs.ts';
import { now } from './live-world.ts';
import { Nemesis, type Plan, planOf } from './nemesis.ts';
import { type Report, type ScenarioOptions, Stage } from './stage.ts';

/** `maxWaitMs` of the instances: its default. */
const WAIT_MS = 15_000;
/** Of one message, from one instance in one outage: it may be said more than once, and once of each session. */
const LINES = 5;
/** How often all instances are replaced. */
const ROUNDS = 10;

/** A tool waits for its user's answer as long as the SDK does by default, and no call of an official client may fail. */
const CALM = { askMs: 60_000, usersMayFail: false };
/** A client that is refused by right would count as a failure. */
const ALLOWED = { ...ACTIONS, cancel: 0, trespass: 0, delete: 0 };
/** So would one that leaves by itself. */
const STAYING = { ...ALLOWED, leave: 0, leaveGet: 0 };
/** Real clients do less in a second than simulated ones, so they trespass more often. */
const ANYTHING = { ...ACTIONS, trespass: 12 };

export interface FaultsOptions extends ScenarioOptions {
  readonly kills: number;
  readonly stops: number;
  /** How often what befalls it; else it follows from the two. */
  readonly plan?: Plan;
}

/** Everything that a deployment may suffer, under load, and then a calm in which every session must still work. */
export async function runFaults(options: FaultsOptions): Promise<Report> {
  const store = await openBackingStore(options.kind);
  const { kills, stops, plan = planOf(kills, stops, store.links.length > 0) } = options;
  const own = { drainMs: 5_000, longestMs: 1_500, actions: ANYTHING, usersMayFail: true };
  return Stage.play({ ...options, ...own, store }, (stage) => new Nemesis(stage, store).run(plan));
}

/** All instances are replaced, one after the other, again and again: no client notices. */
export async function runRolling(options: ScenarioOptions): Promise<Report> {
  const store = await openBackingStore(options.kind);
  // Longer than any call.
  const own = { ...CALM, drainMs: 10_000, longestMs: 800, actions: STAYING };
  return Stage.play({ ...options, ...own, store }, async ({ instances, random, world, found }) => {
    for (let round = 1; round <= ROUNDS; round++) {
      for (const instance of instances) {
        await instance.drain();
        await instance.begin();
        await pause(random.between(0, 500));
      }
    }
    return () => {
      for (const { at, status, text, what, instance } of world.refusals)
        found.push(`failed: ${what} at ${at}: ${status} ${text} by ${instance}`);
      for (const { at, what, instance } of world.broken)
        found.push(`failed: ${what} at ${at}: the connection to ${instance} broke`);
      for (const call of world.ledger.calls)
        if (call.ending?.kind !== 'result')
          found.push(`failed: ${nameOf(call)}: ${JSON.stringify(call.ending)}`);
    };
  });
}

export interface OutageOptions extends ScenarioOptions {
  /** Of the outages, each in every way. */
  readonly awayMs: readonly number[];
  readonly ways?: readonly Outage[];
}

/** The store is away, for so long, in each way that it can be. */
export async function runOutage(options: OutageOptions): Promise<Report> {
  const { kind, awayMs, ways = OUTAGES } = options;
  const store = await openBackingStore(kind);
  // A file has no server to kill or freeze: it is locked.
  const all = (kind === 'sqlite' ? (['frozen'] as const) : ways).flatMap((how) =>
    awayMs.map((ms) => [ms, how] as const),
  );
  const strikes = all.map((outage) => () => store.away(...outage));
  return underStrikes(store, strikes, options);
}

/** The store is away until its replica has taken over. */
export async function runFailOver(options: ScenarioOptions, kind: ServerKind): Promise<Report> {
  const store = await openFailOverStore(kind);
  return underStrikes(store, [() => store.failOver()], options);
}

/** What is sent while the store is away for less than `maxWaitMs` waits, and no call fails. */
function underStrikes(
  store: ReachableStore,
  strikes: ReadonlyArray<() => Promise<void>>,
  options: ScenarioOptions,
): Promise<Report> {
  const own = { ...CALM, drainMs: 5_000, longestMs: 500, actions: ALLOWED };
  return Stage.play({ ...options, ...own, store }, async (stage) => {
    const quietMs = 2 * options.leaseMs;
    for (const strike of strikes) {
      const from = now();
      await strike();
      // A server takes its time to start and to stop: its clients cannot know that it is to come back.
      const back = now();
      await pause(quietMs);
      judgeRefusals(stage, from, back + quietMs, back - from);
      judgeLog(stage, from, back + quietMs);
    }
  });
}

/**
 * Requests wait for a store that is back within `maxWaitMs`: none is refused, and no call fails. After a longer outage a
 * request without a session gets 503 with `Retry-After`, and a call a JSON-RPC error.
 */
function judgeRefusals({ world, found }: Stage, from: number, until: number, awayMs: number): void {
  const refused = world.refusals.filter(({ at }) => at >= from && at <= until);
  const waited = awayMs < WAIT_MS;
  for (const { status, text, retryAfter, what } of refused)
    if (waited || status !== 503 || !retryAfter)
      found.push(`refused, the store away: ${what}, ${status} ${text}`);
  for (const call of world.ledger.calls) {
    const { attemptAt, ending } = call;
    if (!waited || ending === undefined || ending.kind === 'result' || ending.kind === 'left')
      continue;
    if (attemptAt <= until && ending.at >= from && ending.at <= until)
      found.push(`failed: ${nameOf(call)}: ${JSON.stringify(ending)}`);
  }
}

/** A line per episode and not per request. */
function judgeLog({ world, found, instances }: Stage, from: number, until: number): void {
  for (const { lines, name } of instances) {
    const said = lines.filter(({ at }) => at >= from && at <= until);
    for (const [msg, { length }] of grouped(said, (line) => line.msg))
      if (length > LINES + world.ledger.sessions.size)
        found.push(`noisy: ${name} said ${length} times in one outage: ${msg}`);
  }
}
