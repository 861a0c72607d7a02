/** The store is away for 10 s, in each way that it can be. */
import { OUTAGES } from '../backing-store.ts';
import { nameOf } from '../checker.ts';
import { ACTIONS } from '../clients/life.ts';
import { now } from '../history.ts';
import { pause } from '../pause.ts';
import { type OutageReport, quantiles, reportOf } from '../report.ts';
import { type ScenarioOptions, Stage } from './stage.ts';

export interface OutageOptions extends ScenarioOptions {
  /** Of each outage. */
  readonly awayMs: number;
}

const DRAIN_MS = 5_000;
const WARM_UP_MS = 1_000;
/** `waitMs` of the instances: its default. */
const WAIT_MS = 15_000;
/** A tool waits for its user's answer as long as the SDK does by default. */
const ASK_MS = 60_000;
const PACE = { thinkMs: [0, 200], concurrency: 4, longest: 500, actions: { ...ACTIONS, delete: 0 } } as const;
/** Of one message, from one instance in one outage: it may be said more than once, and once of each session. */
const LINES = 5;

export function runOutage(options: OutageOptions): Promise<OutageReport> {
  const own = { drainMs: DRAIN_MS, askMs: ASK_MS, pace: PACE, othersMayFail: false };
  return Stage.with({ ...options, ...own }, async (stage) => {
    const { awayMs, kind, leaseMs, progress = () => {} } = options;
    const { deployment, crowd } = stage;
    // A file has no server to kill or freeze: it is locked.
    const outages = kind === 'sqlite' ? (['frozen'] as const) : OUTAGES;
    const recoveries: number[] = [];
    const answered = { during: 0, refused: 0, lines: 0 };
    crowd.start();
    await pause(WARM_UP_MS);
    for (const how of outages) {
      progress(`${kind}: the store is ${how} for ${awayMs} ms`);
      const from = now();
      await deployment.store.away(awayMs, how);
      const until = now();
      await pause(2 * leaseMs);
      recoveries.push(...stage.recoveries(until));
      answered.during += stage.resultsBetween(from + leaseMs, until);
      answered.refused += judgeRefusals(stage, from, until + 2 * leaseMs, until - from);
      answered.lines += judgeLog(stage, from, until + 2 * leaseMs);
    }
    await stage.calm();
    stage.judge();
    return {
      ...reportOf('outage', stage),
      awayMs,
      outages: [...outages],
      recovery: quantiles(recoveries),
      answeredMeanwhile: answered.during,
      refusedMeanwhile: answered.refused,
      linesMeanwhile: answered.lines,
    };
  });
}

/**
 * Requests wait for a store that is back within `waitMs`: none is refused, and no call fails. After a longer outage a
 * request without a session gets 503 with `Retry-After`, and a call a JSON-RPC error.
 */
function judgeRefusals({ history }: Stage, from: number, until: number, awayMs: number): number {
  const refused = history.refusals.filter(({ at }) => at >= from && at <= until);
  const waits = awayMs < WAIT_MS;
  for (const { status, text, retryAfter, what } of refused)
    if (waits || status !== 503 || !retryAfter)
      history.violation('status', `${what}, the store away: ${status} ${text}`);
  for (const call of history.calls.values()) {
    const { attemptAt, endedAt, ending } = call;
    const isDuring = attemptAt <= until && endedAt >= from && endedAt <= until;
    if (!waits || !isDuring || ending?.kind === 'result' || ending?.kind === 'left') continue;
    history.violation('failed', `${nameOf(call)}: ${JSON.stringify(ending)}`);
  }
  return refused.length;
}

/** A line per episode and not per request. */
function judgeLog({ history, deployment }: Stage, from: number, until: number): number {
  let count = 0;
  for (const { lines, name } of deployment.instances) {
    const counts = new Map<string, number>();
    for (const { at, msg } of lines) if (at >= from && at <= until) counts.set(msg, (counts.get(msg) ?? 0) + 1);
    for (const [msg, times] of counts) {
      count += times;
      if (times > LINES + history.stories.length)
        history.violation('noisy', `${name} said ${times} times in one outage: ${msg}`);
    }
  }
  return count;
}
