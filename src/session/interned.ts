import { BoundedMap } from '../bounded-map.ts';

/** How many values the table holds. Sessions keep the values that they hold. */
const KEPT = 256;
/** Values with longer keys are rarely equal, so they are not kept. */
const KEY_LENGTH = 8_192;

/** One copy of values that are often equal. */
export class Interned<T> {
  readonly #known = new BoundedMap<string, T>(KEPT);

  known(key: string): T | undefined {
    return this.#known.get(key);
  }

  /** The value of `key`, made if the table has none. */
  intern(key: string, make: (key: string) => T): T {
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const value = make(key);
    if (key.length > KEY_LENGTH) return value;
    this.#known.set(key, value);
    return value;
  }
}
