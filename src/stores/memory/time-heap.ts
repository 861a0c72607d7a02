/** Items in the order of a time: the earliest is found at once, `add` and `take` cost O(log n). A binary heap. */
export class TimeHeap<T extends { readonly forgetAt: number }> {
  /** No item is earlier than the one at half of its index. The first index is 1. */
  readonly #items: Array<T | undefined> = [undefined];

  get earliest(): T | undefined {
    return this.#items[1];
  }

  add(item: T): void {
    let index = this.#items.push(item) - 1;
    for (let above = index >> 1; above > 0 && this.#timeAt(above) > item.forgetAt; above = index >> 1) {
      this.#items[index] = this.#items[above];
      index = above;
    }
    this.#items[index] = item;
  }

  /** Removes the earliest item. */
  take(): void {
    const last = this.#items.length > 1 ? this.#items.pop() : undefined;
    if (last === undefined || this.#items.length === 1) return;
    let index = 1;
    for (let below = 2; below < this.#items.length; below = index * 2) {
      if (this.#timeAt(below + 1) < this.#timeAt(below)) below += 1;
      if (this.#timeAt(below) >= last.forgetAt) break;
      this.#items[index] = this.#items[below];
      index = below;
    }
    this.#items[index] = last;
  }

  /** Removes any item, in a time that grows with the number of items. */
  remove(item: T): void {
    const others = this.#items.filter((other) => other !== undefined && other !== item);
    this.#items.length = 1;
    for (const other of others) if (other !== undefined) this.add(other);
  }

  #timeAt(index: number): number {
    return this.#items[index]?.forgetAt ?? Infinity;
  }
}
