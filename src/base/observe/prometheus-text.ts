/** The text format 0.0.4 of Prometheus. */
import { type Family, type Metric, metricOf, type MetricPoint } from './metric-table.ts';

/** Its content type. */
export const PROMETHEUS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

export function prometheusText(families: readonly Family[]): string {
  return families.map(familyText).join('');
}

function familyText({ name, points }: Family): string {
  if (points.length === 0) return '';
  const metric = metricOf(name);
  const lines = points.flatMap((point) => linesOf(name, metric, point));
  return `# HELP ${name} ${metric.help.replaceAll('\\', '\\\\')}\n# TYPE ${name} ${metric.kind}\n${lines.join('')}`;
}

function linesOf(
  name: string,
  metric: Metric,
  { labels, value, sum = 0, buckets = [], worker }: MetricPoint,
): string[] {
  const { labels: names = [] } = metric;
  const known = labelsText([
    ['worker', worker],
    ...names.map((label, at) => [label, labels[at]] as const),
  ]);
  const line = (suffix: string, count: number, bound = ''): string => {
    const all = [known, bound].filter(Boolean).join(',');
    return `${name}${suffix}${all && `{${all}}`} ${valueText(count)}\n`;
  };
  if (metric.kind !== 'histogram') return [line('', value)];
  let below = 0;
  const bounds = [...metric.buckets, Infinity].map((most, at) => {
    below += buckets[at] ?? 0;
    return line('_bucket', below, `le="${valueText(most)}"`);
  });
  return [...bounds, line('_sum', sum), line('_count', value)];
}

/** Labels without a value are left out. Values may hold anything. */
function labelsText(
  labels: ReadonlyArray<readonly [name: string, value: string | number | undefined]>,
): string {
  const given = labels.filter(([, value]) => value !== undefined && value !== '');
  return given.map(([name, value]) => `${name}="${escaped(String(value))}"`).join(',');
}

const escaped = (value: string): string =>
  value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');

const valueText = (value: number): string => (value === Infinity ? '+Inf' : String(value));
