/**
 * Idle sessions, longest idle first. An intrusive list: each session has one entry for its whole life. In a `Map` of
 * many sessions the oldest is found behind all deleted ones, so each eviction would be slow (docs/adr/0027).
 */

/** A place in the list. Only the list writes the links. */
export interface IdleEntry<T> {
  readonly item: T;
  /** A time of the monotonic clock, in ms. */
  since: number;
  before: IdleEntry<T> | undefined;
  after: IdleEntry<T> | undefined;
  listed: boolean;
}

export function idleEntry<T>(item: T): IdleEntry<T> {
  return { item, since: 0, before: undefined, after: undefined, listed: false };
}

export class IdleList<T> {
  #first: IdleEntry<T> | undefined = undefined;
  #last: IdleEntry<T> | undefined = undefined;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get oldest(): T | undefined {
    return this.#first?.item;
  }

  /** Moves the entry to the end. */
  add(entry: IdleEntry<T>, since: number): void {
    if (entry.listed) this.delete(entry);
    entry.since = since;
    entry.listed = true;
    entry.before = this.#last;
    if (this.#last === undefined) this.#first = entry;
    else this.#last.after = entry;
    this.#last = entry;
    this.#size += 1;
  }

  delete(entry: IdleEntry<T>): void {
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

  /** Longest idle first. The loop body may delete the visited entry. */
  *[Symbol.iterator](): Generator<T> {
    let entry = this.#first;
    while (entry !== undefined) {
      const next = entry.after;
      yield entry.item;
      entry = next;
    }
  }
}
