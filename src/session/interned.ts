/** How many values are remembered; past it the table starts anew, and what sessions hold stays theirs. */
const KEPT = 256;
/** Longer ones are rarely alike, and not worth their place. */
const KEY_LENGTH = 8_192;

/** One copy of values that are often equal. */
export class Interned<T> {
  readonly #known = new Map<string, T>();

  known(key: string): T | undefined {
    return this.#known.get(key);
  }

  /** The value of `key`, made on first sight. */
  intern(key: string, make: (key: string) => T): T {
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const value = make(key);
    if (key.length > KEY_LENGTH) return value;
    if (this.#known.size >= KEPT) this.#known.clear();
    this.#known.set(key, value);
    return value;
  }
}
