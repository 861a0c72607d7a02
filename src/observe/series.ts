/** The series of one counter or histogram, by their labels. */
import { metricOf, type MetricName, type Sample } from './metric-table.ts';
import { labelsText } from './prometheus-text.ts';

/** Bounded labels make fewer. Past this number nothing is counted, so that a mistake costs no memory. */
const MOST_SERIES = 5_000;

export type Labels = readonly (string | undefined)[];

abstract class Series<T> {
  readonly name: MetricName;
  readonly #names: readonly string[];
  readonly #all = new Map<string, { readonly labels: string; readonly value: T }>();

  constructor(name: MetricName) {
    this.name = name;
    this.#names = metricOf(name).labels ?? [];
    if (this.#names.length === 0) this.of([]);
  }

  protected abstract make(): T;
  protected abstract samples(labels: string, value: T): readonly Sample[];

  /** `values`: one for each label of the metric, in its order. */
  protected of(values: Labels): T | undefined {
    const key = values.length === 0 ? '' : values.join('\u0000');
    let found = this.#all.get(key);
    if (found === undefined) {
      if (this.#all.size >= MOST_SERIES) return undefined;
      const labels = labelsText(Object.fromEntries(this.#names.map((name, index) => [name, values[index]])));
      this.#all.set(key, (found = { labels, value: this.make() }));
    }
    return found.value;
  }

  /** Shows it before the first count: Prometheus sees no increase of a series that begins with its first value. */
  begin(...values: Labels): void {
    this.of(values);
  }

  collect(): Sample[] {
    return [...this.#all.values()].flatMap(({ labels, value }) => this.samples(labels, value));
  }
}

export class Counter extends Series<{ count: number }> {
  add(...labels: Labels): void {
    const counted = this.of(labels);
    if (counted !== undefined) counted.count += 1;
  }

  protected make(): { count: number } {
    return { count: 0 };
  }

  protected samples(labels: string, { count }: { count: number }): readonly Sample[] {
    return [['', labels, count]];
  }
}

interface Measured {
  /** How many were at most this bucket and more than the one before; the last: more than every bucket. */
  readonly counts: number[];
  sum: number;
}

export class Histogram extends Series<Measured> {
  readonly #buckets: readonly number[];

  constructor(name: MetricName) {
    super(name);
    const metric = metricOf(name);
    this.#buckets = metric.kind === 'histogram' ? metric.buckets : [];
  }

  /** In s. */
  measure(seconds: number, ...labels: Labels): void {
    const measured = this.of(labels);
    if (measured === undefined) return;
    measured.sum += seconds;
    const bucket = this.#buckets.findIndex((most) => seconds <= most);
    const at = bucket === -1 ? this.#buckets.length : bucket;
    measured.counts[at] = (measured.counts[at] ?? 0) + 1;
  }

  protected make(): Measured {
    return { counts: [], sum: 0 };
  }

  protected samples(labels: string, { counts, sum }: Measured): readonly Sample[] {
    let count = 0;
    const samples: Sample[] = [...this.#buckets, Infinity].map((most, at) => {
      count += counts[at] ?? 0;
      const bound = `le="${most === Infinity ? '+Inf' : most}"`;
      return ['bucket', labels === '' ? bound : `${labels},${bound}`, count];
    });
    return [...samples, ['sum', labels, sum], ['count', labels, count]];
  }
}
