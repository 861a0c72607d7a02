/** Counts by key. A key whose count is 0 is not kept. */
export class Tally<Key> {
  readonly #counts = new Map<Key, number>();
  #sum = 0;

  /** The counts of all keys together. */
  get sum(): number {
    return this.#sum;
  }

  /** How many keys have a count. */
  get size(): number {
    return this.#counts.size;
  }

  of(key: Key): number {
    return this.#counts.get(key) ?? 0;
  }

  add(key: Key, by: 1 | -1): void {
    const count = this.of(key) + by;
    this.#sum += by;
    if (count > 0) this.#counts.set(key, count);
    else this.#counts.delete(key);
  }
}
