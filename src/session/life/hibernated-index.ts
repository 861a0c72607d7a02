/**
 * The sessions that this instance hibernated, longest idle first. Only an id and a time each, because there may be a
 * million. Another instance may wake or end a session at any time: an entry is a hint, and the record decides.
 */
import type { MemoryUse } from '../../base/budget.ts';
import { type ListEntry, entryOf } from '../../base/entry-list.ts';
import type { UserShares } from './user-shares.ts';

/** Charged to the memory budget. */
export interface HibernatedRecord {
  readonly id: string;
  readonly bytes: number;
  /** Whose share it counts in. */
  readonly share: string;
}

/** Where records count that are in this process. */
interface Counted {
  readonly memory: MemoryUse;
  readonly sessions: UserShares;
}

export class HibernatedIndex {
  readonly #since = new Map<string, number>();
  readonly #kept = new Map<string, ListEntry<HibernatedRecord>>();
  readonly #counted: Counted | undefined;
  readonly #origin: number;

  /**
   * `origin`: times are kept as whole ms from this time, which V8 stores without an object. `counted`: the records are
   * in this process.
   */
  constructor(origin: number, counted?: Counted) {
    this.#origin = origin;
    this.#counted = counted;
  }

  get size(): number {
    return this.#since.size;
  }

  /** The sessions whose records are in this process, longest idle first. */
  *kept(): Generator<HibernatedRecord> {
    for (const { item } of this.#kept.values()) yield item;
  }

  /** `activeAt`: as in its record. */
  add(kept: HibernatedRecord, activeAt: number): void {
    const { id, bytes, share } = kept;
    this.delete(id);
    if (this.#counted !== undefined) {
      const entry = entryOf(kept);
      this.#kept.set(id, entry);
      this.#counted.memory.charge(bytes, share);
      this.#counted.sessions.addHibernated(entry);
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
    const entry = this.#kept.get(id);
    if (entry === undefined) return;
    this.#kept.delete(id);
    this.#counted?.memory.give(entry.item.bytes, entry.item.share);
    this.#counted?.sessions.deleteHibernated(entry);
  }

  /** Forgets the sessions that became idle before `activeAt`, because they have expired. */
  forgetBefore(activeAt: number): void {
    for (const [id, since] of this.#since) {
      if (since + this.#origin > activeAt) break;
      this.delete(id);
    }
  }
}
