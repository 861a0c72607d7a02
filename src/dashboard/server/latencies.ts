/** How long things took, as counts in bins that grow by a fifth: a quantile is right to a tenth. */
const BINS = 80;
const LEAST_MS = 0.05;
const GROWTH = 1.2;
const PER_BIN = 1 / Math.log(GROWTH);

/** Counts of bins that are not 0, as `[bin, count, bin, count …]`: what instances send each other. */
export type SparseCounts = readonly number[];

export class Latencies {
  readonly #counts = new Uint32Array(BINS);
  #all = 0;

  get count(): number {
    return this.#all;
  }

  add(ms: number): void {
    const bin = ms <= LEAST_MS ? 0 : Math.min(BINS - 1, Math.ceil(Math.log(ms / LEAST_MS) * PER_BIN));
    this.#counts[bin] = (this.#counts[bin] ?? 0) + 1;
    this.#all += 1;
  }

  addAll(sparse: SparseCounts): void {
    for (let at = 0; at + 1 < sparse.length; at += 2) {
      const [bin = -1, count = 0] = sparse.slice(at, at + 2);
      if (!Number.isSafeInteger(bin) || bin < 0 || bin >= BINS || !(count > 0)) continue;
      this.#counts[bin] = (this.#counts[bin] ?? 0) + count;
      this.#all += count;
    }
  }

  sparse(): SparseCounts {
    const sparse: number[] = [];
    this.#counts.forEach((count, bin) => void (count > 0 && sparse.push(bin, count)));
    return sparse;
  }

  /** In ms. `undefined`: nothing was counted. */
  quantile(part: number): number | undefined {
    if (this.#all === 0) return undefined;
    let rest = Math.ceil(this.#all * part);
    const bin = this.#counts.findIndex((count) => (rest -= count) <= 0);
    // The middle of the bin.
    const ms = bin === 0 ? LEAST_MS : LEAST_MS * GROWTH ** (bin - 0.5);
    return Math.round(ms * 100) / 100;
  }

  clear(): void {
    this.#counts.fill(0);
    this.#all = 0;
  }
}
