/** What a run says in the end: counts and times as they are, then each thing that must not have happened. */
import { cpus, loadavg } from 'node:os';
import { inspect } from 'node:util';
import type { Servers } from './arguments.ts';
import type { StoreKind } from './backing-store.ts';
import type { Crowd } from './crowd.ts';
import type { Deployment } from './deployment.ts';
import { type Ending, type Found, type History, VIOLATIONS } from './history.ts';

export interface Quantiles {
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
  readonly most: number;
}

type Counts = Readonly<Record<string, number>>;

/** `Done`: what the scenario did, and the times that it measured. Times are shown, not judged. */
export interface Report<Done extends object = object> {
  readonly scenario: string;
  readonly store: StoreKind;
  readonly how: string;
  readonly machine: string;
  readonly seed: number;
  readonly leaseMs: number;
  readonly servers: Servers;
  readonly clients: number;
  readonly seconds: number;
  /** Sessions that were opened, HTTP requests that were answered, calls of tools, streams that were resumed. */
  readonly sessions: number;
  readonly requests: number;
  readonly calls: number;
  readonly resumes: number;
  /** How calls ended, and what requests were refused with. */
  readonly endings: Counts;
  readonly refusals: Counts;
  /** What is no fault of the deployment, and was seen. */
  readonly notes: Counts;
  /** Warnings and errors of the servers, by their text. */
  readonly log: Counts;
  readonly done: Done;
  readonly found: readonly Found[];
}

/** What a report tells of. */
interface Told {
  readonly seed: number;
  readonly leaseMs: number;
  readonly servers: Servers;
  readonly seconds: number;
  readonly crowd: Crowd;
  readonly deployment: Deployment;
  readonly history: History;
}

export function reportOf<Done extends object>(scenario: string, told: Told, done: Done): Report<Done> {
  const { seed, leaseMs, servers, seconds, crowd, deployment, history } = told;
  const calls = [...history.calls.values()];
  const lines = deployment.instances.flatMap((instance) => instance.lines);
  return {
    scenario,
    store: deployment.store.kind,
    how: deployment.store.how,
    machine: `Node.js ${process.version}, ${cpus().length} × ${cpus()[0]?.model}, load ${loadavg()[0]?.toFixed(1)}`,
    seed,
    leaseMs,
    servers,
    clients: crowd.size,
    seconds,
    sessions: history.stories.length,
    requests: history.counts.get('requests') ?? 0,
    calls: calls.length,
    resumes: calls.reduce((sum, { resumes }) => sum + resumes, 0),
    endings: countedBy(calls, ({ ending }) => nameOf(ending)),
    refusals: countedBy(history.refusals, ({ status, text }) => `${status} ${reasonIn(text)}`),
    notes: Object.fromEntries([...history.counts].filter(([what]) => what !== 'requests')),
    log: countedBy(lines, ({ msg }) => msg),
    done,
    found: history.found,
  };
}

export function printed({ found, ...rest }: Report): string {
  const counts = inspect(rest, { depth: 5, maxArrayLength: null, breakLength: 120, sorted: false });
  const kinds = countedBy(found, ({ violation }) => VIOLATIONS[violation]);
  const sums = Object.entries(kinds).map(([kind, count]) => `${count} ${kind}`);
  const lines = found.map(({ violation, at, what }) => `✗ ${violation} at ${at.toFixed(0)}: ${what}`);
  return [counts, ...sums, ...lines].join('\n');
}

export function quantiles(values: readonly number[]): Quantiles {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? NaN;
  return { count: sorted.length, p50: at(0.5), p99: at(0.99), most: sorted.at(-1) ?? NaN };
}

function countedBy<T>(list: readonly T[], key: (one: T) => string): Counts {
  const counts: Record<string, number> = {};
  for (const one of list) counts[key(one)] = (counts[key(one)] ?? 0) + 1;
  return Object.fromEntries(Object.entries(counts).sort(([, a], [, b]) => b - a));
}

function nameOf(ending: Ending | undefined): string {
  if (ending === undefined) return 'no end';
  switch (ending.kind) {
    case 'error':
      return `error ${ending.reason ?? ending.message}, mayHaveRun ${String(ending.mayHaveRun)}`;
    case 'refused':
      return `refused ${ending.status} ${reasonIn(ending.text)}`;
    case 'tool-error':
    case 'exception':
      return `${ending.kind}: ${ending.text.slice(0, 80)}`;
    default:
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
