import type { SideResult, Slice } from './rounds.ts';
import { formatTable } from '../src/cli/prove/table.ts';
import type { Work } from './works.ts';

export interface Summary {
  /** What a quiet machine shows: little but its own work takes time from a process then. */
  readonly p10: number;
  readonly median: number;
  readonly p99: number;
}

export function summarize(values: readonly number[]): Summary {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number): number => {
    const place = (sorted.length - 1) * share;
    const [low = Number.NaN, high = low] = [sorted[Math.floor(place)], sorted[Math.ceil(place)]];
    return low + (high - low) * (place - Math.floor(place));
  };
  return { p10: at(0.1), median: at(0.5), p99: at(0.99) };
}

const slicesOf = ({ rounds }: SideResult): Slice[] => rounds.flatMap(({ slices }) => slices);
const cpuOf = (result: SideResult): Summary =>
  summarize(slicesOf(result).map(({ cpuUs }) => cpuUs));

/** Of CPU per request: the first side's over the second's. */
export interface Ratio {
  readonly of: string;
  readonly against: string;
  /** Of the values that a quiet machine shows. */
  readonly quiet: number;
  /** Of the ratios of slices beside each other. What the machine adds to both sides pulls it towards 1. */
  readonly median: number;
  /** The lowest and the highest median of a round, which has processes of its own. */
  readonly lowest: number;
  readonly highest: number;
  /** Of requests/s. */
  readonly requests: number;
}

export function ratioOf(of: SideResult, against: SideResult): Ratio {
  const ratiosBy = (key: keyof Slice): number[][] =>
    of.rounds.map(({ slices }, round) =>
      slices.map(
        (slice, n) => slice[key] / (against.rounds[round]?.slices[n]?.[key] ?? Number.NaN),
      ),
    );
  const cpu = ratiosBy('cpuUs');
  const medians = cpu.map((ratios) => summarize(ratios).median);
  return {
    of: of.side.title,
    against: against.side.title,
    median: summarize(cpu.flat()).median,
    quiet: cpuOf(of).p10 / cpuOf(against).p10,
    lowest: Math.min(...medians),
    highest: Math.max(...medians),
    requests: 1 / summarize(ratiosBy('wallUs').flat()).median,
  };
}

/** First what two processes of one build differ by. */
const PAIRS = [
  ['again', 'ours'],
  ['again', 'one'],
  ['ours', 'baseline'],
  ['one', 'baseline-one'],
  ['ours', 'official'],
  ['one', 'official'],
  ['ours', 'floor'],
  ['one', 'floor'],
  ['floor', 'bare'],
  ['dashboard', 'ours'],
  ['looked-at', 'ours'],
] as const;

/** Two processes of one build differ by more on a machine that is too busy for a ratio. */
const MOST_SCATTER = 0.05;

export interface Ratios {
  readonly ratios: readonly Ratio[];
  /** Two processes of one build, by how much more or less CPU one takes, where that is too much: then no ratio is told. */
  readonly scatter?: number;
}

export function ratiosOf(results: readonly SideResult[]): Ratios {
  const find = (id: string): SideResult | undefined => results.find(({ side }) => side.id === id);
  const ratios = PAIRS.flatMap(([first, second]) => {
    const [of, against] = [find(first), find(second)];
    return of && against && !(second === 'one' && find('ours')) ? [ratioOf(of, against)] : [];
  });
  const scatter = find('again') === undefined ? 0 : (ratios[0]?.quiet ?? 1) - 1;
  return Math.abs(scatter) > MOST_SCATTER ? { ratios: [], scatter } : { ratios };
}

const count = (value: number): string => Math.round(value).toLocaleString('en-US');
const percent = (share: number): string =>
  Number.isNaN(share) ? '' : `${(share * 100).toFixed(0)} %`;
const times = (value: number): string => value.toFixed(value < 2 ? 3 : 2);

export function formatWork(
  { id, title }: Work,
  connections: number,
  results: readonly SideResult[],
): string {
  const hasServer = results.some((result) => slicesOf(result).some(({ storeUs }) => storeUs > 0));
  const header = [
    '',
    'requests/s',
    'quiet µs',
    'median',
    ...(hasServer ? ['store’s µs'] : []),
    'p99 ms',
    'others',
  ];
  const rows = results.map((result) => {
    const medianOf = (key: keyof Slice): number =>
      summarize(slicesOf(result).map((slice) => slice[key])).median;
    const { median, p10 } = cpuOf(result);
    return [
      result.side.title,
      count(1e6 / medianOf('wallUs')),
      p10.toFixed(1),
      median.toFixed(1),
      ...(hasServer ? [medianOf('storeUs').toFixed(1)] : []),
      summarize(result.rounds.map(({ p99Ms }) => p99Ms)).median.toFixed(1),
      percent(summarize(result.rounds.map(({ others }) => others)).median),
    ];
  });
  const { ratios, scatter } = ratiosOf(results);
  const lines = ratios.map(({ of, against, median, quiet, lowest, highest, requests }) => [
    `${of} ÷ ${against}`,
    times(quiet),
    times(median),
    `${times(lowest)} to ${times(highest)}`,
    times(requests),
  ]);
  const tables = [
    [header, ...rows],
    ...(lines.length > 0 ? [[['', 'quiet', 'median', 'rounds', 'requests/s'], ...lines]] : []),
  ].map(formatTable);
  if (scatter !== undefined)
    tables.push(
      `  No ratios: two processes of one build differ by ${percent(scatter)}, more than ${percent(MOST_SCATTER)}. Run it again with less beside it.`,
    );
  return `${id}: ${title}, ${connections} at once\n\n${tables.join('\n\n')}\n`;
}
