/** The series of one counter or histogram, by their labels. */
import { type Labels, metricOf, type MetricName, type Sample } from './metric-table.ts';
import { labelsText } from './prometheus-text.ts';

/** Bounded labels make fewer. Past this number nothing is counted, so that a mistake costs no memory. */
const MOST_SERIES = 5_000;

interface One {
  readonly labels: string;
  count: number;
  sum: number;
  /** A histogram: how many were at most this bucket and more than the one before; the last: more than every bucket. */
  readonly buckets: number[];
}

export class Series {
  readonly #names: readonly string[];
  /** `undefined`: a counter. */
  readonly #bounds: readonly number[] | undefined;
  readonly #all = new Map<string, One>();

  constructor(name: MetricName) {
    const metric = metricOf(name);
    this.#names = metric.labels ?? [];
    this.#bounds = metric.kind === 'histogram' ? metric.buckets : undefined;
    const first: readonly Labels[] = metric.first ?? (this.#names.length === 0 ? [[]] : []);
    // A count has every label, absent ones too, and its series must be the same.
    for (const labels of first) this.#of(this.#names.map((_, index) => labels[index]));
  }

  /** `value`: 1 of a counter, seconds of a histogram. */
  add(value: number, labels: Labels): void {
    const one = this.#of(labels);
    if (one === undefined) return;
    one.count += 1;
    if (this.#bounds === undefined) return;
    one.sum += value;
    const bucket = this.#bounds.findIndex((most) => value <= most);
    const at = bucket === -1 ? this.#bounds.length : bucket;
    one.buckets[at] = (one.buckets[at] ?? 0) + 1;
  }

  collect(): Sample[] {
    return [...this.#all.values()].flatMap((one) => this.#samples(one));
  }

  #of(values: Labels): One | undefined {
    const key = values.length === 0 ? '' : values.join('\u0000');
    let found = this.#all.get(key);
    if (found === undefined) {
      if (this.#all.size >= MOST_SERIES) return undefined;
      const labels = labelsText(Object.fromEntries(this.#names.map((name, index) => [name, values[index]])));
      this.#all.set(key, (found = { labels, count: 0, sum: 0, buckets: [] }));
    }
    return found;
  }

  #samples({ labels, count, sum, buckets }: One): readonly Sample[] {
    if (this.#bounds === undefined) return [['', labels, count]];
    let below = 0;
    const samples: Sample[] = [...this.#bounds, Infinity].map((most, at) => {
      below += buckets[at] ?? 0;
      const bound = `le="${most === Infinity ? '+Inf' : most}"`;
      return ['bucket', labels === '' ? bound : `${labels},${bound}`, below];
    });
    return [...samples, ['sum', labels, sum], ['count', labels, count]];
  }
}
