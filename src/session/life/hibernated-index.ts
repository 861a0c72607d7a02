/**
 * The sessions that this instance hibernated, longest idle first. Only an id and a time each, because there may be a
 * million. Another instance may wake or end a session at any time: an entry is a hint, and the record decides.
 */
import type { MemoryUse } from '../../base/budget.ts';

/** Charged to the memory budget. */
export interface KeptRecord {
  readonly bytes: number;
  /** Whose share it counts in. */
  readonly share: string;
}

export class HibernatedIndex {
  readonly #since = new Map<string, number>();
  /** What their records take in memory. */
  readonly #kept = new Map<string, KeptRecord>();
  readonly #memory: MemoryUse | undefined;
  readonly #origin: number;

  /**
   * `origin`: times are kept as whole ms from this time, which V8 stores without an object. `memory`: where the records
   * are in this process.
   */
  constructor(origin: number, memory?: MemoryUse) {
    this.#origin = origin;
    this.#memory = memory;
  }

  get size(): number {
    return this.#since.size;
  }

  get oldest(): string | undefined {
    return this.#since.keys().next().value;
  }

  /** `activeAt`: as in its record. */
  add(id: string, activeAt: number, kept: KeptRecord): void {
    this.delete(id);
    if (this.#memory !== undefined) {
      this.#kept.set(id, kept);
      this.#memory.charge(kept.bytes, kept.share);
    }
    this.#since.set(id, Math.round(activeAt - this.#origin));
  }

  /** Forgets a session; `true`: its record is as this instance left it. */
  take(id: string, activeAt: number): boolean {
    const since = this.#since.get(id);
    this.delete(id);
    return since === Math.round(activeAt - this.#origin);
  }

  delete(id: string): void {
    this.#since.delete(id);
    const kept = this.#kept.get(id);
    if (kept === undefined) return;
    this.#kept.delete(id);
    this.#memory?.give(kept.bytes, kept.share);
  }

  /** Forgets the sessions that became idle before `activeAt`, because they have expired. */
  forgetBefore(activeAt: number): void {
    for (const [id, since] of this.#since) {
      if (since + this.#origin > activeAt) break;
      this.delete(id);
    }
  }
}
