/**
 * What a run says in the end, as plain JSON: counts, which must be 0 where they are violations, and times, which are
 * shown.
 */
import { cpus, loadavg } from 'node:os';
import type { Servers } from './arguments.ts';
import type { StoreKind } from './backing-store.ts';
import type { Intrusion } from './clients/intruder.ts';
import type { PaceName } from './clients/paced-callers.ts';
import type { Deployment } from './deployment.ts';
import { type Ending, type Found, type History, type Violation, VIOLATIONS } from './history.ts';
import type { Crowd } from './crowd.ts';
import type { Fault } from './nemesis.ts';

export interface Quantiles {
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
  readonly most: number;
}

export interface Waited {
  readonly next: Quantiles;
  readonly inFlight: Quantiles;
}

type Counts = Readonly<Record<string, number>>;

/** Of every scenario. */
export interface Report {
  readonly scenario: 'faults' | 'outage' | 'rolling' | 'patience' | 'others';
  readonly store: StoreKind;
  readonly how: string;
  readonly seed: number;
  readonly leaseMs: number;
  /** Where the scenario has both ways. */
  readonly servers?: Servers;
  readonly clients: number;
  readonly seconds: number;
  readonly node: string;
  /** Sessions that were opened, HTTP requests that were answered, calls of tools, streams that were resumed. */
  readonly sessions: number;
  readonly requests: number;
  readonly calls: number;
  readonly resumes: number;
  /** How calls ended, and what requests were refused with. */
  readonly endings: Counts;
  readonly refusals: Counts;
  readonly violations: Readonly<Record<Violation, number>>;
  readonly found: readonly Found[];
  readonly events: History['events'];
  /** What is no fault of the deployment, and was seen. */
  readonly notes: Counts;
  /** Warnings and errors of the servers, by their text. */
  readonly log: Counts;
}

export interface FaultsReport extends Report {
  readonly scenario: 'faults';
  readonly faults: Readonly<Record<Fault, number>>;
  readonly kills: number;
  readonly stops: number;
  readonly attempts: Readonly<Record<Intrusion, number>>;
  readonly afterKill: Waited;
  readonly afterFreeze: Waited;
  /** Writes that a frozen owner tried when it woke; of those, on sessions that another instance had by then. */
  readonly lateWrites: number;
  readonly lateWritesRefused: number;
  /** p99 of how late this process was itself. */
  readonly delayMs: number;
}

export interface OutageReport extends Report {
  readonly scenario: 'outage';
  readonly awayMs: number;
  readonly outages: readonly string[];
  /** From the store's return to the first result of each client. */
  readonly recovery: Quantiles;
  /** Results once every lease had run out; refusals; warnings and errors in the servers' logs. */
  readonly answeredMeanwhile: number;
  readonly refusedMeanwhile: number;
  readonly linesMeanwhile: number;
}

export interface RollingReport extends Report {
  readonly scenario: 'rolling';
  readonly restarts: number;
  /** From SIGTERM to the end of the process. */
  readonly drain: Quantiles;
}

/** What the users of some clients saw of an outage. */
export interface Seen {
  readonly calls: number;
  readonly failed: number;
  readonly timedOut: number;
  /** Calls with effects that ran at a frozen instance, and whose clients were told that they may have run. */
  readonly lost: number;
  /** Calls with effects that ran more than once. */
  readonly twice: number;
  /** Of the calls that were under way during the outage. */
  readonly waited: Quantiles;
  readonly errors: readonly string[];
}

/** One outage of one kind and length, as the users of all clients saw it. */
export interface PatienceRow extends Seen {
  readonly instances: 1 | 3;
  readonly title: string;
  /** As planned (undefined for a fail-over), and as it came: a server also needs time to stop and to start. */
  readonly ms?: number;
  readonly awayMs: number;
  /** Of clients in other languages: by their names. */
  readonly byClient?: Readonly<Record<string, Seen>>;
}

export interface PatienceReport extends Report {
  readonly scenario: 'patience';
  readonly pace: PaceName;
  readonly rows: readonly PatienceRow[];
}

/** Outages as clients in other languages saw them. */
export interface OthersReport extends Report {
  readonly scenario: 'others';
  readonly machine: string;
  readonly rows: readonly PatienceRow[];
}

export type AnyReport = FaultsReport | OutageReport | RollingReport | PatienceReport | OthersReport;

/** What a report tells of. */
export interface Told {
  readonly kind: StoreKind;
  readonly seed: number;
  readonly leaseMs: number;
  readonly servers: Servers;
  readonly seconds: number;
  readonly crowd: Crowd;
  readonly deployment: Deployment;
  readonly history: History;
}

export function reportOf<S extends Report['scenario']>(scenario: S, told: Told): Report & { readonly scenario: S } {
  const { kind: store, seed, leaseMs, servers, seconds, crowd, deployment, history } = told;
  const calls = [...history.calls.values()];
  const violations = Object.keys(VIOLATIONS).map((name) => [name, history.violations(name as Violation)] as const);
  return {
    scenario,
    store,
    how: deployment.store.how,
    seed,
    leaseMs,
    servers,
    seconds,
    clients: crowd.size,
    node: process.version,
    sessions: history.stories.length,
    requests: history.counts.get('requests') ?? 0,
    calls: calls.length,
    resumes: calls.reduce((sum, { resumes }) => sum + resumes, 0),
    endings: countedBy(calls, ({ ending }) => nameOf(ending)),
    refusals: countedBy(history.refusals, ({ status, text }) => `${status} ${reasonIn(text)}`.trim()),
    violations: Object.fromEntries(violations) as Record<Violation, number>,
    found: history.found,
    events: history.events,
    notes: Object.fromEntries([...history.counts].filter(([what]) => what !== 'requests')),
    log: countedBy(
      deployment.instances.flatMap(({ lines }) => lines),
      ({ msg }) => msg,
    ),
  };
}

/** What must be 0 and is not. */
export function failuresOf({ violations }: Report): string[] {
  return (Object.entries(violations) as Array<[Violation, number]>).flatMap(([violation, count]) =>
    count > 0 ? [`${count} ${VIOLATIONS[violation]}`] : [],
  );
}

export function quantiles(values: readonly number[]): Quantiles {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? NaN;
  return { count: sorted.length, p50: at(0.5), p99: at(0.99), most: sorted.at(-1) ?? NaN };
}

/** Its processors, and how many processes wanted them in the minute before. */
export function machineNow(): string {
  const [load = 0] = loadavg();
  return `${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}, load ${load.toFixed(1)}`;
}

function countedBy<T>(list: readonly T[], key: (one: T) => string): Counts {
  const counts: Record<string, number> = {};
  for (const one of list) counts[key(one)] = (counts[key(one)] ?? 0) + 1;
  return Object.fromEntries(Object.entries(counts).sort(([, a], [, b]) => b - a));
}

function nameOf(ending: Ending | undefined): string {
  switch (ending?.kind) {
    case undefined:
      return 'no end';
    case 'error': {
      const mayHaveRun = ending.mayHaveRun === undefined ? '' : `, mayHaveRun ${String(ending.mayHaveRun)}`;
      return `error ${ending.reason ?? ending.message}${mayHaveRun}`;
    }
    case 'refused':
      return `refused ${ending.status} ${reasonIn(ending.text)}`.trim();
    case 'unresumable':
      return `unresumable ${ending.status}`;
    case 'tool-error':
      return `the tool threw: ${ending.text.replace(/ \(.*/s, '').slice(0, 80)}`;
    case 'cut':
      return 'connection broken';
    case 'exception':
      return `exception: ${ending.text.slice(0, 80)}`;
    case 'left':
      return 'its client left';
    case 'result':
    case 'silent':
      return ending.kind;
  }
}

/** `error.data.reason` of a body, or its message. */
function reasonIn(body: string): string {
  try {
    const { error } = JSON.parse(body) as { error?: { message: string; data?: { reason?: string } } };
    return error?.data?.reason ?? error?.message.slice(0, 60) ?? '';
  } catch {
    return body.slice(0, 60);
  }
}
