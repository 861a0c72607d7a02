/**
 * The store is away: for so long, in each way that it can be, or until its replica has taken over. What is sent while it
 * is away for less than `waitMs` waits, and no call fails.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { nameOf } from '../../simulation/checker.ts';
import { ACTIONS } from '../../simulation/scenario.ts';
import { openBackingStore, type Outage, OUTAGES, type ReachableStore } from '../backing-store.ts';
import { openFailOverStore } from '../fail-overs.ts';
import { now } from '../live-world.ts';
import type { ServerKind } from '../../kit/servers/index.ts';
import { QUICK } from '../nemesis.ts';
import { quantiles, reportOf } from '../report.ts';
import { type ScenarioOptions, Stage } from './stage.ts';

export interface FailOverOptions extends ScenarioOptions {
  readonly instances: number;
}

export interface OutageOptions extends FailOverOptions {
  /** Of the outages, each in every way. */
  readonly awayMs: readonly number[];
  readonly ways?: readonly Outage[];
}

interface Strike {
  readonly title: string;
  strike(): Promise<void>;
}

const DRAIN_MS = 5_000;
/** `waitMs` of the instances: its default. */
const WAIT_MS = 15_000;
/** A tool waits for its user's answer as long as the SDK does by default. */
const ASK_MS = 60_000;
/** A client that is refused by right would count as a failure. */
const PACE = {
  thinkMs: [0, 200],
  concurrency: 4,
  longestMs: 500,
  actions: { ...ACTIONS, cancel: 0, trespass: 0, delete: 0 },
} as const;
/** Of one message, from one instance in one outage: it may be said more than once, and once of each session. */
const LINES = 5;

export async function runOutage(options: OutageOptions) {
  const { kind, instances, awayMs, ways = OUTAGES } = options;
  const store = await openBackingStore(kind, instances);
  // A file has no server to kill or freeze: it is locked.
  const strikes = (kind === 'sqlite' ? (['frozen'] as const) : ways).flatMap((how) =>
    awayMs.map((ms): Strike => ({ title: `${how} for ${ms} ms`, strike: () => store.away(ms, how) })),
  );
  return underStrikes('outage', store, strikes, options);
}

export async function runFailOver(options: FailOverOptions, kind: ServerKind) {
  const store = await openFailOverStore(kind);
  const strike: Strike = { title: 'the primary killed', strike: () => store.failOver() };
  return underStrikes('failover', store, [strike], options);
}

function underStrikes(name: string, store: ReachableStore, strikes: readonly Strike[], options: FailOverOptions) {
  const own = { drainMs: DRAIN_MS, askMs: ASK_MS, pace: PACE, usersMayFail: false };
  return Stage.with({ ...options, ...own, store }, async (stage) => {
    const { leaseMs } = options;
    await stage.arrive();
    const outages = [];
    for (const { title, strike } of strikes) {
      const from = now();
      await strike();
      // A server takes its time to start and to stop: its clients cannot know that it is to come back.
      const back = now();
      await pause(2 * leaseMs);
      judgeRefusals(stage, from, back + 2 * leaseMs, back - from);
      judgeLog(stage, from, back + 2 * leaseMs);
      outages.push({ title, awayMs: back - from, waited: quantiles(waits(stage, from, back)) });
    }
    await stage.calm();
    stage.judge();
    return reportOf(name, stage, { instances: stage.instances.length, outages });
  });
}

/** What calls waited that were under way during the outage. */
function waits({ world }: Stage, from: number, until: number): number[] {
  return world.ledger.calls.flatMap(({ tool = '', sentAt, ending, ms }) =>
    QUICK.has(tool) && sentAt < until && ending !== undefined && ending.at > from ? [ending.at - sentAt - ms] : [],
  );
}

/**
 * Requests wait for a store that is back within `waitMs`: none is refused, and no call fails. After a longer outage a
 * request without a session gets 503 with `Retry-After`, and a call a JSON-RPC error.
 */
function judgeRefusals({ world, found }: Stage, from: number, until: number, awayMs: number): void {
  const refused = world.refusals.filter(({ at }) => at >= from && at <= until);
  const waited = awayMs < WAIT_MS;
  for (const { status, text, retryAfter, what } of refused)
    if (waited || status !== 503 || !retryAfter) found.push(`refused, the store away: ${what}, ${status} ${text}`);
  for (const call of world.ledger.calls) {
    const { attemptAt, ending } = call;
    if (!waited || ending === undefined || ending.kind === 'result' || ending.kind === 'left') continue;
    if (attemptAt <= until && ending.at >= from && ending.at <= until)
      found.push(`failed: ${nameOf(call)}: ${JSON.stringify(ending)}`);
  }
}

/** A line per episode and not per request. */
function judgeLog({ world, found, instances }: Stage, from: number, until: number): void {
  for (const { lines, name } of instances) {
    const counts = new Map<string, number>();
    for (const { at, msg } of lines) if (at >= from && at <= until) counts.set(msg, (counts.get(msg) ?? 0) + 1);
    for (const [msg, times] of counts)
      if (times > LINES + world.ledger.sessions.size)
        found.push(`noisy: ${name} said ${times} times in one outage: ${msg}`);
  }
}
