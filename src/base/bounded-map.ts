import { type ListEntry, EntryList, entryOf } from './entry-list.ts';

interface BoundedItem<Key, Value> {
  readonly key: Key;
  readonly value: Value;
}

/**
 * A map that forgets its oldest entries, so that what clients send cannot make it grow. The order is a list, because
 * the order of a `Map` is read with an iterator. That keeps each table which V8 has replaced since its last step, and
 * everything that was in one: a map whose entries come and go below its bounds would hold them all.
 */
export class BoundedMap<Key, Value> {
  readonly #most: number;
  readonly #mostBytes: number;
  readonly #bytesOf: (value: Value) => number;
  readonly #forgotten: ((value: Value) => void) | undefined;
  readonly #entries = new Map<Key, ListEntry<BoundedItem<Key, Value>>>();
  #order = new EntryList<BoundedItem<Key, Value>>();
  #bytes = 0;

  /**
   * `most`: how many entries are kept. `bytes`: how many bytes they may have together. `forgotten`: called with each
   * value that exceeds one of them.
   */
  constructor(
    most: number,
    bytes?: { readonly most: number; readonly of: (value: Value) => number },
    forgotten?: (value: Value) => void,
  ) {
    this.#most = most;
    this.#mostBytes = bytes?.most ?? Infinity;
    this.#bytesOf = bytes?.of ?? (() => 0);
    this.#forgotten = forgotten;
  }

  get size(): number {
    return this.#entries.size;
  }

  has(key: Key): boolean {
    return this.#entries.has(key);
  }

  /** The entry that is forgotten next. */
  get oldest(): Value | undefined {
    return this.#order.oldest?.value;
  }

  /** Does not make the entry newer. */
  get(key: Key): Value | undefined {
    return this.#entries.get(key)?.item.value;
  }

  /** The entry becomes the newest, so that entries in use are kept longest. */
  use(key: Key): Value | undefined {
    const entry = this.#entries.get(key);
    if (entry !== undefined) this.#order.add(entry);
    return entry?.item.value;
  }

  /** The entry becomes the newest. */
  set(key: Key, value: Value): void {
    this.delete(key);
    const entry = entryOf({ key, value });
    this.#entries.set(key, entry);
    this.#order.add(entry);
    this.#bytes += this.#bytesOf(value);
    while (this.#entries.size > this.#most || this.#bytes > this.#mostBytes) {
      const { oldest } = this.#order;
      if (oldest === undefined) return;
      this.delete(oldest.key);
      this.#forgotten?.(oldest.value);
    }
  }

  delete(key: Key): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#bytes -= this.#bytesOf(entry.item.value);
    this.#entries.delete(key);
    this.#order.delete(entry);
  }

  clear(): void {
    this.#entries.clear();
    this.#order = new EntryList();
    this.#bytes = 0;
  }
}
