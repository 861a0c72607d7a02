import type { Measurement, SideResult } from './rounds.ts';
import type { Runtime } from './runtimes.ts';
import { type Summary, spread, summarize } from './statistics.ts';
import { formatTable } from './table.ts';
import type { Comparison, Work } from './works.ts';

interface Ratio extends Summary {
  readonly comparison: Comparison;
  readonly goal: number | undefined;
}

export interface WorkReport {
  readonly work: Work;
  readonly runtime: Runtime;
  readonly results: readonly SideResult[];
  readonly ratios: readonly Ratio[];
}

export function reportWork(work: Work, runtime: Runtime, results: readonly SideResult[]): WorkReport {
  const ratios = work.comparisons.flatMap((comparison) => {
    const of = results.find(({ side }) => side.id === comparison.of);
    const against = results.find(({ side }) => side.id === comparison.against);
    if (of === undefined || against === undefined) return [];
    // Ratios are computed within a round, so that drift over the run affects both sides.
    const perRound = of.rounds.flatMap((measured, index) => {
      const other = against.rounds[index];
      return other === undefined ? [] : [ratio(comparison, measured, other)];
    });
    return [{ comparison, goal: comparison.goal?.[runtime.major], ...summarize(perRound) }];
  });
  return { work, runtime, results, ratios };
}

function ratio({ by }: Comparison, of: Measurement, against: Measurement): number {
  return by === 'requests' ? of.requestsPerS / against.requestsPerS : against.cpuUsPerRequest / of.cpuUsPerRequest;
}

const count = (value: number): string => Math.round(value).toLocaleString('en-US');
const percent = (share: number): string => `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`;

export function formatWork({ work, runtime, results, ratios }: WorkReport): string {
  const hasServer = results.some(({ rounds }) => rounds.some((round) => round.storeCpuUsPerRequest > 0));
  const storeHeader = hasServer ? ['store’s µs'] : [];
  const header = ['', 'requests/s', '±', 'CPU µs/request', '±', ...storeHeader, 'p50 µs', 'p99 µs', 'client', 'others'];
  const rows = results.map(({ side, rounds }) => {
    const of = (key: keyof Measurement): Summary => summarize(rounds.map((round) => round[key]));
    const requests = of('requestsPerS');
    const cpu = of('cpuUsPerRequest');
    return [
      side.title,
      count(requests.median),
      percent(spread(requests)),
      cpu.median.toFixed(1),
      percent(spread(cpu)),
      ...(hasServer ? [of('storeCpuUsPerRequest').median.toFixed(1)] : []),
      count(of('p50Us').median),
      count(of('p99Us').median),
      percent(of('client').median),
      percent(of('foreign').most),
    ];
  });
  const lines = [`${work.title} · Node ${runtime.version}`, '', formatTable([header, ...rows])];
  if (ratios.length > 0) lines.push('', formatTable(ratios.map((each) => ratioRow(each, results))));
  const failures = results.flatMap(({ side, rounds }) => {
    const failed = rounds.reduce((sum, round) => sum + round.failures, 0);
    return failed > 0 ? [`  ${side.title}: ${count(failed)} requests failed`] : [];
  });
  if (failures.length > 0) lines.push('', ...failures);
  return lines.join('\n');
}

function ratioRow(
  { comparison, goal, median, least, most, quartiles }: Ratio,
  results: readonly SideResult[],
): string[] {
  const title = (id: string): string => results.find(({ side }) => side.id === id)?.side.title ?? id;
  const shown = (value: number): string => (comparison.as === 'times' ? `${value.toFixed(2)}×` : percent(value));
  const verdict = goal === undefined ? '' : `${median >= goal ? 'reached' : 'missed'}: ≥ ${shown(goal)}`;
  const what = comparison.by === 'requests' ? 'requests/s' : 'requests per CPU second';
  return [
    `${title(comparison.of)} / ${title(comparison.against)}, ${what}`,
    shown(median),
    `quartiles ${quartiles.map(shown).join(' to ')}, all ${shown(least)} to ${shown(most)}`,
    verdict,
  ];
}
