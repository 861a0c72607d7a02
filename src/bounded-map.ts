/** A map that forgets its oldest entries, so that what clients send cannot make it grow. */
export class BoundedMap<Key, Value> {
  readonly #most: number;
  readonly #mostBytes: number;
  readonly #bytesOf: (value: Value) => number;
  /** The oldest entry is first. */
  readonly #entries = new Map<Key, Value>();
  /** A new iterator would skip all entries that were deleted, one by one. */
  #keys = this.#entries.keys();
  /** The last key of `#keys`, while its entry is the oldest. */
  #oldest: Key | undefined;
  #bytes = 0;

  /** `most`: how many entries are kept. `bytes`: how many bytes they may have together. */
  constructor(most: number, bytes?: { readonly most: number; readonly of: (value: Value) => number }) {
    this.#most = most;
    this.#mostBytes = bytes?.most ?? Infinity;
    this.#bytesOf = bytes?.of ?? (() => 0);
  }

  get size(): number {
    return this.#entries.size;
  }

  has(key: Key): boolean {
    return this.#entries.has(key);
  }

  /** The entry that is forgotten next. */
  get oldest(): Value | undefined {
    if (this.#oldest === undefined) {
      let next = this.#keys.next();
      if (next.done === true) {
        this.#keys = this.#entries.keys();
        next = this.#keys.next();
      }
      if (next.done === true) return undefined;
      this.#oldest = next.value;
    }
    return this.#entries.get(this.#oldest);
  }

  /** Does not make the entry newer. */
  get(key: Key): Value | undefined {
    return this.#entries.get(key);
  }

  /** The entry becomes the newest, so that entries in use are kept longest. */
  use(key: Key): Value | undefined {
    const value = this.#entries.get(key);
    if (value !== undefined) this.set(key, value);
    return value;
  }

  /** The entry becomes the newest. */
  set(key: Key, value: Value): void {
    this.delete(key);
    this.#entries.set(key, value);
    this.#bytes += this.#bytesOf(value);
    while (this.#entries.size > this.#most || (this.#bytes > this.#mostBytes && this.#entries.size > 0))
      if (this.oldest !== undefined) this.delete(this.#oldest as Key);
  }

  delete(key: Key): void {
    const value = this.#entries.get(key);
    if (value === undefined) return;
    this.#bytes -= this.#bytesOf(value);
    this.#entries.delete(key);
    if (key === this.#oldest) this.#oldest = undefined;
  }

  clear(): void {
    this.#entries.clear();
    this.#oldest = undefined;
    this.#bytes = 0;
  }
}
