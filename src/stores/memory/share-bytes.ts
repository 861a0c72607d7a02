/** What the records of one kind count, by share. A share that counts nothing is not kept. */
export class ShareBytes {
  readonly #bytes = new Map<string, number>();
  #sum = 0;

  /** The bytes of all shares. */
  get sum(): number {
    return this.#sum;
  }

  /** `null`: it counts in no share. */
  add(share: string | null, more: number): void {
    if (share === null || more === 0) return;
    this.#sum += more;
    const bytes = (this.#bytes.get(share) ?? 0) + more;
    if (bytes === 0) this.#bytes.delete(share);
    else this.#bytes.set(share, bytes);
  }

  of(share: string): number {
    return this.#bytes.get(share) ?? 0;
  }

  [Symbol.iterator](): IterableIterator<[share: string, bytes: number]> {
    return this.#bytes.entries();
  }
}
