/**
 * A map for what mostly has one entry or none: the running requests of a session, its open streams, the streams in its
 * log. The only entry is kept in fields. A `Map` takes 200 bytes even when it is empty, and there is one for each
 * session. Here it exists only while there are more entries.
 */
export class SmallMap<Key, Value> {
  #key: Key | undefined = undefined;
  #value: Value | undefined = undefined;
  #isHeld = false;
  /** Later entries. While it has entries, new ones join it, so that the order is that of `set`. */
  #others: Map<Key, Value> | undefined = undefined;

  get size(): number {
    return (this.#isHeld ? 1 : 0) + (this.#others?.size ?? 0);
  }

  get(key: Key): Value | undefined {
    return this.#isHeld && this.#key === key ? this.#value : this.#others?.get(key);
  }

  set(key: Key, value: Value): void {
    const isFirst = this.#isHeld ? this.#key === key : this.#others === undefined;
    if (!isFirst) {
      (this.#others ??= new Map()).set(key, value);
      return;
    }
    this.#isHeld = true;
    this.#key = key;
    this.#value = value;
  }

  delete(key: Key): void {
    if (this.#isHeld && this.#key === key) {
      this.#isHeld = false;
      this.#key = undefined;
      this.#value = undefined;
    } else if (this.#others?.delete(key) === true && this.#others.size === 0)
      this.#others = undefined;
  }

  /** In the order of `set`. */
  values(): Value[] {
    const others = this.#others?.values() ?? [];
    return this.#isHeld ? [this.#value as Value, ...others] : [...others];
  }

  clear(): void {
    this.#isHeld = false;
    this.#key = undefined;
    this.#value = undefined;
    this.#others = undefined;
  }
}
