/** Counts of the recent past, by name: two halves, of which the older one goes when the younger one is full. */

/** Each bucket is a fifth wider than the one before: a percentile is right to a tenth. */
const GROWTH = Math.log(1.2);
const LEAST_MS = 0.1;
const BUCKETS = 100;

interface CallCount {
  calls: number;
  errors: number;
  slowest: number;
  readonly buckets: Uint32Array;
}

type Halves = readonly [now: Map<string, CallCount>, before: Map<string, CallCount>];

/** Times in ms. */
export interface RecentCount {
  readonly name: string;
  readonly calls: number;
  readonly errors: number;
  readonly p50: number;
  readonly p99: number;
  readonly slowest: number;
}

export class Recent {
  readonly #halfMs: number;
  readonly #now: () => number;
  #began: number;
  #halves: Halves = [new Map(), new Map()];

  /** What is counted stays for `halfMs` to twice as long. The caller bounds the names. */
  constructor(halfMs: number, now: () => number) {
    this.#halfMs = halfMs;
    this.#now = now;
    this.#began = now();
  }

  /** `now`: where the caller has read the clock. */
  add(name: string, ms = 0, failed = false, now = this.#now()): void {
    const [half] = this.#turned(now);
    let count = half.get(name);
    if (count === undefined)
      half.set(
        name,
        (count = { calls: 0, errors: 0, slowest: 0, buckets: new Uint32Array(BUCKETS) }),
      );
    count.calls += 1;
    if (failed) count.errors += 1;
    if (ms > count.slowest) count.slowest = ms;
    const at =
      ms <= LEAST_MS ? 0 : Math.min(BUCKETS - 1, Math.ceil(Math.log(ms / LEAST_MS) / GROWTH));
    count.buckets[at] = (count.buckets[at] ?? 0) + 1;
  }

  /** Most first. */
  list(): RecentCount[] {
    const names = new Set(this.#turned().flatMap((half) => [...half.keys()]));
    return [...names]
      .map((name) => this.#of(name))
      .toSorted((one, other) => other.calls - one.calls);
  }

  #of(name: string): RecentCount {
    const counts = this.#turned().flatMap((half) => half.get(name) ?? []);
    const sum = (value: (count: CallCount) => number): number =>
      counts.reduce((all, count) => all + value(count), 0);
    const [calls, slowest] = [
      sum((count) => count.calls),
      Math.max(...counts.map((count) => count.slowest)),
    ];
    const percentile = (share: number): number => {
      let left = Math.ceil(calls * share);
      for (let at = 0; at < BUCKETS && left > 0; at++) {
        left -= sum(({ buckets }) => buckets[at] ?? 0);
        if (left <= 0) return round(Math.min(slowest, LEAST_MS * Math.exp((at - 0.5) * GROWTH)));
      }
      return round(slowest);
    };
    const errors = sum((count) => count.errors);
    return {
      name,
      calls,
      errors,
      p50: percentile(0.5),
      p99: percentile(0.99),
      slowest: round(slowest),
    };
  }

  #turned(now = this.#now()): Halves {
    const age = now - this.#began;
    if (age >= this.#halfMs) {
      this.#halves = [new Map(), age < 2 * this.#halfMs ? this.#halves[0] : new Map()];
      this.#began = now;
    }
    return this.#halves;
  }
}

/** To a tenth below 10, else to a whole number. */
export const round = (value: number): number =>
  value < 10 ? Math.round(value * 10) / 10 : Math.round(value);
