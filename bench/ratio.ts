/** A short run beside the official SDK, compared with the recorded ratios. Fails only on a gross loss. */
import { readFileSync } from 'node:fs';
import type { WorkReport } from './report.ts';
import type { Runtime } from './runtimes.ts';
import { formatTable } from './table.ts';
import { type Comparison, type Work, works } from './works.ts';

interface Recorded {
  readonly by: Comparison['by'];
  /** By major version of Node.js. */
  readonly ratio: Readonly<Record<string, number>>;
}

export interface RatioRow {
  readonly work: string;
  readonly by: Comparison['by'];
  readonly ratio: number;
  readonly least: number;
  readonly most: number;
  readonly recorded: number;
  readonly lost: boolean;
}

/**
 * The machine and the load differ and the run takes seconds, so only less than half of the recorded ratio counts as a
 * loss.
 */
const LOST_BELOW = 0.5;

const recorded = JSON.parse(readFileSync(new URL('recorded.json', import.meta.url), 'utf8')) as Record<
  string,
  Recorded
>;

/** The recorded works, with sojourn's side and the official side. */
export function recordedWorks(): Work[] {
  return Object.entries(recorded).map(([id, { by }]) => {
    const work = works.find((each) => each.id === id);
    if (work === undefined) throw new Error(`bench/recorded.json names an unknown work: ${id}`);
    const sides = work.sides.filter((side) => side.id === 'ours' || side.id === 'official');
    const comparisons = work.comparisons.filter((each) => each.against === 'official' && each.by === by);
    return { ...work, sides, comparisons };
  });
}

export function requireRecorded({ major }: Runtime): void {
  const missing = Object.entries(recorded).filter(([, { ratio }]) => ratio[major] === undefined);
  if (missing.length === 0) return;
  const names = missing.map(([id]) => id).join(', ');
  throw new Error(`bench/recorded.json has no ratio of ${names} for Node ${String(major)}`);
}

export function compareRecorded({ work, runtime, results, ratios }: WorkReport): RatioRow {
  const [found] = ratios;
  const entry = recorded[work.id];
  const expected = entry?.ratio[runtime.major];
  if (found === undefined || entry === undefined || expected === undefined)
    throw new Error(`${work.id} has no ratio to compare on Node ${runtime.version}`);
  const failed = results.some(({ rounds }) => rounds.some(({ failures }) => failures > 0));
  if (failed) throw new Error(`${work.id}: requests failed, so its ratio says nothing`);
  const { median, least, most } = found;
  // Written so that a ratio that is not a number counts as a loss.
  const lost = !(median >= expected * LOST_BELOW);
  return { work: work.id, by: entry.by, ratio: median, least, most, recorded: expected, lost };
}

export function formatRatios(runtime: Runtime, rows: readonly RatioRow[]): string {
  const lines = rows.map((row) => [
    `${row.work}, ${row.by === 'requests' ? 'requests/s' : 'requests per CPU second'}`,
    times(row.ratio),
    `(${times(row.least)} to ${times(row.most)})`,
    times(row.recorded),
    `${((row.ratio / row.recorded) * 100).toFixed(0)} %`,
    row.lost ? `lost: below ${String(LOST_BELOW * 100)} %` : 'kept',
  ]);
  const header = ['', 'ours / official', '', 'recorded', 'of it', ''];
  return `Ours beside the official SDK · Node ${runtime.version}\n\n${formatTable([header, ...lines])}`;
}

const times = (value: number): string => `${value.toFixed(2)}×`;
