/**
 * Items that come and go, in the order in which they came. An intrusive list: each item has one entry for its whole
 * life. A `Map` or `Set` is slower in two ways. Its oldest item is found behind all deleted ones. And
 * V8 replaces its table again and again: the old table refers to the next one, so once it lies in the old generation,
 * the items of both outlive every minor collection.
 */

/** A place in the list. Only the list writes the links. */
export interface ListEntry<T> {
  readonly item: T;
  /** When the item came to the end of the list, by the owner's monotonic clock in ms. */
  since: number;
  before: ListEntry<T> | undefined;
  after: ListEntry<T> | undefined;
  listed: boolean;
}

export function entryOf<T>(item: T): ListEntry<T> {
  return { item, since: 0, before: undefined, after: undefined, listed: false };
}

export class EntryList<T> {
  #first: ListEntry<T> | undefined = undefined;
  #last: ListEntry<T> | undefined = undefined;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get oldest(): T | undefined {
    return this.#first?.item;
  }

  get first(): ListEntry<T> | undefined {
    return this.#first;
  }

  /** Moves the entry to the end. */
  add(entry: ListEntry<T>, since = 0): void {
    if (entry.listed) this.delete(entry);
    entry.since = since;
    entry.listed = true;
    entry.before = this.#last;
    if (this.#last === undefined) this.#first = entry;
    else this.#last.after = entry;
    this.#last = entry;
    this.#size += 1;
  }

  delete(entry: ListEntry<T>): void {
    if (!entry.listed) return;
    const { before, after } = entry;
    if (before === undefined) this.#first = after;
    else before.after = after;
    if (after === undefined) this.#last = before;
    else after.before = before;
    entry.before = undefined;
    entry.after = undefined;
    entry.listed = false;
    this.#size -= 1;
  }

  /** Oldest first. The loop body may delete the visited entry. */
  *[Symbol.iterator](): Generator<T> {
    let entry = this.#first;
    while (entry !== undefined) {
      const next = entry.after;
      yield entry.item;
      entry = next;
    }
  }
}
