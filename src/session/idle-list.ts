/**
 * Idle sessions, the one that is idle the longest first. Linked through the sessions themselves: a session leaves and comes
 * back with every call, and a `Set` would make garbage of it.
 */
export interface Idle {
  idleBefore: Idle | undefined;
  idleAfter: Idle | undefined;
  /** Whether it stands in the list. */
  listed: boolean;
}

export class IdleList<T extends Idle> {
  #first: T | undefined = undefined;
  #last: T | undefined = undefined;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get oldest(): T | undefined {
    return this.#first;
  }

  /** As the youngest. */
  add(item: T): void {
    if (item.listed) this.delete(item);
    item.listed = true;
    item.idleBefore = this.#last;
    if (this.#last === undefined) this.#first = item;
    else this.#last.idleAfter = item;
    this.#last = item;
    this.#size += 1;
  }

  delete(item: T): void {
    if (!item.listed) return;
    const before = item.idleBefore as T | undefined;
    const after = item.idleAfter as T | undefined;
    if (before === undefined) this.#first = after;
    else before.idleAfter = after;
    if (after === undefined) this.#last = before;
    else after.idleBefore = before;
    item.idleBefore = undefined;
    item.idleAfter = undefined;
    item.listed = false;
    this.#size -= 1;
  }

  /** Oldest first; what is visited may be deleted meanwhile. */
  *[Symbol.iterator](): Generator<T> {
    let item = this.#first;
    while (item !== undefined) {
      const next = item.idleAfter as T | undefined;
      yield item;
      item = next;
    }
  }
}
