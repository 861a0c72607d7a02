/** How many values the table holds. When it is full the table is cleared; sessions keep the values that they hold. */
const KEPT = 256;
/** Values with longer keys are rarely equal, so they are not kept. */
const KEY_LENGTH = 8_192;

/** One copy of values that are often equal. */
export class Interned<T> {
  readonly #known = new Map<string, T>();

  known(key: string): T | undefined {
    return this.#known.get(key);
  }

  /** The value of `key`, made if the table has none. */
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
