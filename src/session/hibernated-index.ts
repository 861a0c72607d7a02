/**
 * The sessions that this instance hibernated, the one that is idle the longest first: an id and a time each, because there
 * may be a million. Somebody else may wake or end one meanwhile, so an entry is a hint and the record decides.
 */
export class Sleepers {
  readonly #since = new Map<string, number>();
  readonly #origin: number;

  /** `origin`: times are kept as whole ms from here, which V8 stores without an object. */
  constructor(origin: number) {
    this.#origin = origin;
  }

  get size(): number {
    return this.#since.size;
  }

  get oldest(): string | undefined {
    return this.#since.keys().next().value;
  }

  /** `activeAt`: as in its record. */
  add(id: string, activeAt: number): void {
    this.#since.delete(id);
    this.#since.set(id, Math.round(activeAt - this.#origin));
  }

  /** Forgets it; `true`: it stands in its record as this instance left it. */
  take(id: string, activeAt: number): boolean {
    const since = this.#since.get(id);
    this.#since.delete(id);
    return since === Math.round(activeAt - this.#origin);
  }

  delete(id: string): void {
    this.#since.delete(id);
  }

  /** Forgets those that became idle before: they have expired. */
  forgetBefore(activeAt: number): void {
    for (const [id, since] of this.#since) {
      if (since + this.#origin > activeAt) break;
      this.#since.delete(id);
    }
  }
}
