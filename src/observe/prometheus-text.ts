/** The text format 0.0.4 of Prometheus. */
import { type Family, metricOf } from './metric-table.ts';

/** Its content type. */
export const PROMETHEUS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/** Labels without a value are left out. The values may hold anything. */
export function labelsText(labels: Readonly<Record<string, string | undefined>>): string {
  return Object.entries(labels)
    .flatMap(([name, value]) => (value === undefined || value === '' ? [] : [`${name}="${escaped(value)}"`]))
    .join(',');
}

const escaped = (value: string): string =>
  value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');

export function prometheusText(families: readonly Family[]): string {
  return families.map(familyText).join('');
}

function familyText({ name, samples }: Family): string {
  if (samples.length === 0) return '';
  const { help, kind } = metricOf(name);
  const lines = samples.map(([suffix, labels, value]) => {
    const series = suffix === '' ? name : `${name}_${suffix}`;
    return `${labels === '' ? series : `${series}{${labels}}`} ${valueText(value)}\n`;
  });
  return `# HELP ${name} ${help.replaceAll('\\', '\\\\')}\n# TYPE ${name} ${kind}\n${lines.join('')}`;
}

const valueText = (value: number): string =>
  value === Infinity ? '+Inf' : value === -Infinity ? '-Inf' : String(value);
