/**
 * The sessions that this instance hibernated, longest idle first. Only an id and a time each, because there may be a
 * million. Another instance may wake or end a session at any time: an entry is a hint, and the record decides.
 */
export class HibernatedIndex {
  readonly #since = new Map<string, number>();
  readonly #origin: number;

  /** `origin`: times are kept as whole ms from this time, which V8 stores without an object. */
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

  /** Forgets a session; `true`: its record is as this instance left it. */
  take(id: string, activeAt: number): boolean {
    const since = this.#since.get(id);
    this.#since.delete(id);
    return since === Math.round(activeAt - this.#origin);
  }

  delete(id: string): void {
    this.#since.delete(id);
  }

  /** Forgets the sessions that became idle before `activeAt`, because they have expired. */
  forgetBefore(activeAt: number): void {
    for (const [id, since] of this.#since) {
      if (since + this.#origin > activeAt) break;
      this.#since.delete(id);
    }
  }
}
