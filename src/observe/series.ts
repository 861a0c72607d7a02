/** The series of one counter or histogram, by their labels. */
import { type Labels, metricOf, type MetricName, type Point } from './metric-table.ts';

interface One extends Point {
  value: number;
  sum: number;
  readonly buckets: number[];
}

export class Series {
  /** `undefined`: a counter. */
  readonly #bounds: readonly number[] | undefined;
  readonly #all = new Map<string, One>();

  constructor(name: MetricName) {
    const metric = metricOf(name);
    const { labels: names = [] } = metric;
    this.#bounds = metric.kind === 'histogram' ? metric.buckets : undefined;
    const first: readonly Labels[] = metric.first ?? (names.length === 0 ? [[]] : []);
    // A count has every label, absent ones too, and its series must be the same.
    for (const labels of first) this.#of(names.map((_, index) => labels[index]));
  }

  /** `value`: 1 of a counter, seconds of a histogram. */
  add(value: number, labels: Labels): void {
    const one = this.#of(labels);
    one.value += 1;
    if (this.#bounds === undefined) return;
    one.sum += value;
    const bucket = this.#bounds.findIndex((most) => value <= most);
    const at = bucket === -1 ? this.#bounds.length : bucket;
    one.buckets[at] = (one.buckets[at] ?? 0) + 1;
  }

  collect(): readonly Point[] {
    return [...this.#all.values()];
  }

  #of(labels: Labels): One {
    const key = labels.length === 0 ? '' : labels.join('\u0000');
    let found = this.#all.get(key);
    if (found === undefined) this.#all.set(key, (found = { labels, value: 0, sum: 0, buckets: [] }));
    return found;
  }
}
