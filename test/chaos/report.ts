/** What a run says in the end: counts and times as they are, then each thing that must not have happened. */
import { inspect } from 'node:util';
import type { Ending } from '../simulation/ledger.ts';
import type { Stage } from './scenarios/stage.ts';

/** Texts of a run that goes wrong are many; the first tell enough. */
const SHOWN = 100;

type Counts = Readonly<Record<string, number>>;
export type Report = ReturnType<typeof reportOf<object>>;

/** `done`: what the scenario did, and the times that it measured. Times are shown, not judged. */
export function reportOf<Done extends object>(scenario: string, stage: Stage, done: Done) {
  const { options, seconds, crowd, instances, world, found } = stage;
  const { seed, leaseMs, servers } = options;
  const { calls, sessions } = world.ledger;
  const lines = instances.flatMap((instance) => instance.lines);
  return {
    scenario,
    store: options.kind,
    options: { seed, leaseMs, servers, clients: crowd.size },
    seconds,
    sessions: sessions.size,
    /** HTTP requests that were answered. */
    requests: world.requests,
    /** Of tools. */
    calls: calls.length,
    /** How calls ended, and what requests were refused with. */
    endings: countedBy(calls, ({ ending }) => nameOf(ending)),
    refusals: countedBy(world.refusals, ({ status, text }) => `${status} ${reasonIn(text)}`),
    /** What is no fault of the deployment, and was seen. */
    notes: Object.fromEntries(world.notes),
    /** Warnings and errors of the servers, by their text. */
    log: countedBy(lines, ({ msg }) => msg),
    done,
    found,
  };
}

export function printed({ found, ...rest }: Report): string {
  const counts = inspect(rest, { depth: 5, maxArrayLength: null, breakLength: 120, sorted: false });
  return [counts, `${found.length} violations`, ...found.slice(0, SHOWN).map((what) => `✗ ${what}`)].join('\n');
}

export function quantiles(values: readonly number[]): Counts {
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
    case 'no-stream':
      return `${ending.kind} ${ending.status} ${reasonIn(ending.body)}`;
    case 'threw':
      return `threw: ${ending.text.slice(0, 80)}`;
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
