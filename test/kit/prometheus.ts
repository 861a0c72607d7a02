/** Reads what Prometheus would read of a scrape. Throws for a line that it would refuse. */
import { expect } from 'vitest';

export interface Scrape {
  readonly text: string;
  /** The key is the series as it is written: `name{label="value"}`. */
  readonly values: ReadonlyMap<string, number>;
  /** Kind by name. */
  readonly kinds: ReadonlyMap<string, string>;
  /** The sum of the series of this name (with its suffix) that have these labels. */
  sum(name: string, labels?: Readonly<Record<string, string>>): number;
  /** The values of one label, sorted. */
  labels(label: string): string[];
}

const NAME = '[a-zA-Z_:][a-zA-Z0-9_:]*';
const LABEL = String.raw`[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*"`;
const SERIES = new RegExp(String.raw`^(${NAME})(?:\{(${LABEL}(?:,${LABEL})*)\})? (\S+)$`);

const labelsOf = (text: string): Map<string, string> =>
  new Map(
    [...text.matchAll(/([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g)].map(([, name = '', value = '']) => [
      name,
      value,
    ]),
  );

export function readScrape(text: string): Scrape {
  const values = new Map<string, number>();
  const kinds = new Map<string, string>();
  const series: { name: string; labels: Map<string, string>; value: number }[] = [];
  for (const line of text.split('\n').slice(0, -1)) {
    const [, typed, kind] = /^# TYPE (\S+) (counter|gauge|histogram)$/.exec(line) ?? [];
    if (typed !== undefined && kind !== undefined) {
      expect(kinds.has(typed), `${typed} is described once`).toBe(false);
      kinds.set(typed, kind);
    }
    if (line.startsWith('# ')) continue;
    const [, name, labels = '', text = ''] = SERIES.exec(line) ?? [];
    const value = Number(text.replace('+Inf', 'Infinity'));
    if (name === undefined || Number.isNaN(value))
      throw new Error(`no line of a scrape: ${JSON.stringify(line)}`);
    const key = line.slice(0, line.lastIndexOf(' '));
    expect(values.has(key), `${key} comes once`).toBe(false);
    values.set(key, value);
    series.push({ name, labels: labelsOf(labels), value });
  }
  expect(text.endsWith('\n')).toBe(true);
  return {
    text,
    values,
    kinds,
    sum: (name, labels = {}) =>
      series
        .filter(
          (one) =>
            one.name === name &&
            Object.entries(labels).every(([label, of]) => one.labels.get(label) === of),
        )
        .reduce((sum, { value }) => sum + value, 0),
    labels: (label) =>
      [...new Set(series.flatMap((one) => one.labels.get(label) ?? []))].toSorted(),
  };
}
