/** A map that forgets its oldest entries, so that what clients send cannot make it grow. */
export class BoundedMap<Key, Value> {
  readonly #most: number;
  readonly #mostBytes: number;
  readonly #bytesOf: (value: Value) => number;
  /** The oldest entry is first. */
  readonly #entries = new Map<Key, Value>();
  /** Its next key is the oldest. A new iterator would skip all entries that were deleted, one by one. */
  #oldest = this.#entries.keys();
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

  /** Does not make the entry newer. */
  get(key: Key): Value | undefined {
    return this.#entries.get(key);
  }

  /** The entry becomes the newest, so that entries in use are kept longest. */
  use(key: Key): Value | undefined {
    const value = this.#entries.get(key);
    if (value === undefined) return undefined;
    this.#entries.delete(key);
    this.#entries.set(key, value);
    return value;
  }

  /** The entry becomes the newest. */
  set(key: Key, value: Value): void {
    this.delete(key);
    this.#entries.set(key, value);
    this.#bytes += this.#bytesOf(value);
    while (this.#entries.size > this.#most || (this.#bytes > this.#mostBytes && this.#entries.size > 0))
      this.#forgetOldest();
  }

  #forgetOldest(): void {
    let oldest = this.#oldest.next();
    if (oldest.done === true) {
      this.#oldest = this.#entries.keys();
      oldest = this.#oldest.next();
    }
    if (oldest.done !== true) this.delete(oldest.value);
  }

  delete(key: Key): void {
    const value = this.#entries.get(key);
    if (value === undefined) return;
    this.#bytes -= this.#bytesOf(value);
    this.#entries.delete(key);
  }

  clear(): void {
    this.#entries.clear();
    this.#bytes = 0;
  }
}
