import type { Measurement, SideResult } from './rounds.ts';
import { formatTable } from './table.ts';
import type { Work } from './works.ts';

export interface Summary {
  readonly median: number;
  readonly lower: number;
  readonly upper: number;
}

/** The median, and the quartiles, between which half of the values lie. */
export function summarize(values: readonly number[]): Summary {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number): number => {
    const place = (sorted.length - 1) * share;
    const [low = Number.NaN, high = low] = [sorted[Math.floor(place)], sorted[Math.ceil(place)]];
    return low + (high - low) * (place - Math.floor(place));
  };
  return { median: at(0.5), lower: at(0.25), upper: at(0.75) };
}

/** `requests`: requests/s of the first over the second. `cpu`: CPU per request of the second over the first. */
export type By = 'requests' | 'cpu';

export interface Ratio extends Summary {
  readonly of: string;
  readonly against: string;
  readonly by: By;
}

/** Ratios are of the two sides of one round, so that what changes over the run affects both. */
export function ratioOf(of: SideResult, against: SideResult, by: By): Ratio {
  const ratios = of.rounds.map((round, index) => {
    const other = against.rounds[index] as Measurement;
    return by === 'requests' ? other.wallUs / round.wallUs : other.cpuUs / round.cpuUs;
  });
  return { of: of.side.title, against: against.side.title, by, ...summarize(ratios) };
}

/** Each side that is ours beside the official one, and beside its baseline. */
export function ratiosOf(results: readonly SideResult[]): Ratio[] {
  const find = (id: string): SideResult | undefined => results.find(({ side }) => side.id === id);
  const pairs = [
    ['ours', 'official'],
    ['one', 'official'],
    ['ours', 'baseline'],
    ['one', 'baseline-one'],
    ['dashboard', 'ours'],
    ['looked-at', 'ours'],
  ] as const;
  return pairs.flatMap(([first, second]) => {
    const [of, against] = [find(first), find(second)];
    return of && against ? (['requests', 'cpu'] as const).map((by) => ratioOf(of, against, by)) : [];
  });
}

const count = (value: number): string => Math.round(value).toLocaleString('en-US');
const percent = (share: number): string => `${(share * 100).toFixed(0)} %`;
const times = (value: number): string => `${value.toFixed(value < 2 ? 3 : 2)}×`;

export function formatWork({ id, title }: Work, results: readonly SideResult[]): string {
  const hasServer = results.some(({ rounds }) => rounds.some(({ storeUs }) => storeUs > 0));
  const header = ['', 'requests/s', 'CPU µs', 'quartiles', ...(hasServer ? ['store’s µs'] : []), 'p99 ms', 'others'];
  const rows = results.map(({ side, rounds }) => {
    const of = (key: keyof Measurement): Summary => summarize(rounds.map((round) => round[key]));
    const cpu = of('cpuUs');
    return [
      side.title,
      count(1e6 / of('wallUs').median),
      cpu.median.toFixed(1),
      `${cpu.lower.toFixed(1)} to ${cpu.upper.toFixed(1)}`,
      ...(hasServer ? [of('storeUs').median.toFixed(1)] : []),
      of('p99Ms').median.toFixed(1),
      percent(of('others').median),
    ];
  });
  const ratios = ratiosOf(results).map(({ of, against, by, median, lower, upper }) => [
    `${of} / ${against}, ${by === 'requests' ? 'requests/s' : 'requests per CPU second'}`,
    times(median),
    `quartiles ${times(lower)} to ${times(upper)}`,
  ]);
  const tables = [[header, ...rows], ratios].filter((table) => table.length > 0).map(formatTable);
  return `${id}: ${title}\n\n${tables.join('\n\n')}\n`;
}
