/** What a side is told to have cost its clients, and the tables of them. */
import { countsOf } from '../../src/cli/prove/outcome.ts';
import type { Users } from './crowd.ts';
import type { Side } from './sides.ts';

interface Used {
  readonly cpuSeconds: number;
  readonly megabytes: number;
}

export interface Outcome {
  readonly side: string;
  readonly title: string;
  readonly processes: number;
  readonly calls: number;
  readonly sessionsLost: number;
  readonly countersLost: number;
  readonly failed: number;
  readonly hung: number;
  /** Runs of `count` and `ask` beyond the first for one call. */
  readonly twice: number;
  readonly longestWaitMs: number;
  readonly used: Used & { readonly store: Used | undefined };
  /** By phase, kind of client, tool and error. */
  readonly failures: Readonly<Record<string, number>>;
}

export interface Recorded {
  readonly date: string;
  readonly machine: string;
  readonly settings: Readonly<Record<string, string | number>>;
  readonly versions: Readonly<Record<string, string>>;
  readonly outcomes: readonly Outcome[];
}

export function outcomeOf(side: Side, crowd: Users, runs: string, used: Outcome['used']): Outcome {
  const { called, sessionsLost, countersLost } = crowd;
  const { calls, failed: failedCalls, hung, longestWaitMs } = countsOf(called, new Set());
  const lines = runs.split('\n').filter((line) => line !== '');
  const failures = new Map<string, number>();
  for (const { phase, kind, tool, failed } of called) {
    if (failed === undefined) continue;
    const what = `${phase}, ${kind}, ${tool}: ${failed.slice(0, 80)}`;
    failures.set(what, (failures.get(what) ?? 0) + 1);
  }
  return {
    side: side.id,
    title: side.title,
    processes: side.processes,
    calls,
    sessionsLost: [...sessionsLost.values()].reduce((sum, n) => sum + n, 0),
    countersLost,
    failed: failedCalls,
    hung,
    twice: lines.length - new Set(lines).size,
    longestWaitMs,
    used,
    failures: Object.fromEntries(failures),
  };
}

const HEAD =
  '|processes|calls|sessions lost|counters lost|calls failed|hung|run twice|longest wait|CPU of a call|memory';

/** The table of `docs/kills.md`. */
export function tableOf({ outcomes, versions }: Recorded): string {
  const rows = outcomes.map((one) => {
    const { side, title, processes, calls, sessionsLost, countersLost, failed, hung, twice } = one;
    const counts = [processes, calls, sessionsLost, countersLost, failed, hung, twice];
    const version = versions[side] === undefined ? '' : ` (${versions[side]})`;
    const { store } = one.used;
    const besides = (of: number, store: number = 0): string =>
      store === 0 ? `${of}` : `${of} + ${store}`;
    const cpuMs = (seconds: number = 0): number => Math.round((1_000 * seconds) / calls);
    return [
      `${title}${version}`,
      ...counts,
      `${(one.longestWaitMs / 1_000).toFixed(1)} s`,
      `${besides(cpuMs(one.used.cpuSeconds), cpuMs(store?.cpuSeconds))} ms`,
      `${besides(one.used.megabytes, store?.megabytes)} MB`,
    ];
  });
  return aligned([HEAD.split('|'), ...rows]);
}

/** README's rows: sojourn on the store of its example, and the others. */
const SHORT = ['sqlite', 'sdk2-stateful', 'sdk1-map', 'fastmcp', 'stdio', 'supergateway'];

/** README's table. */
export function shortTableOf({ outcomes }: Recorded): string {
  const rows = SHORT.flatMap((id) => outcomes.filter(({ side }) => side === id)).map((one) => {
    const { title, sessionsLost, calls, failed, hung, used } = one;
    const cpuMs = Math.round((1_000 * used.cpuSeconds) / calls);
    return [title, sessionsLost, calls, failed, hung, cpuMs];
  });
  return aligned([['', 'sessions lost', 'calls', 'failed', 'hung', 'CPU ms'], ...rows]);
}

/** A table as the formatter leaves it: the first row is its head, and all columns but the first are of numbers. */
function aligned(rows: readonly (readonly (string | number)[])[]): string {
  const cells = rows.map((row) => row.map(String));
  const widths = (cells[0] ?? []).map((_, n) =>
    Math.max(n === 0 ? 3 : 4, ...cells.map((row) => row[n]?.length ?? 0)),
  );
  const line = (row: readonly string[]): string => `| ${row.join(' | ')} |`;
  const [head = '', ...others] = cells.map((row) =>
    line(
      widths.map((width, n) => (n === 0 ? row[n]?.padEnd(width) : row[n]?.padStart(width)) ?? ''),
    ),
  );
  const rule = line(
    widths.map((width, n) => (n === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`)),
  );
  return [head, rule, ...others].join('\n');
}
