/** Ended records, remembered until their time is over. Past a limit the oldest are forgotten first. */
import { BoundedMap } from '../../base/bounded-map.ts';
import type { EndedRecord } from '../store.ts';

/** Longer outcomes count against the limit of characters. */
const SHORT = 64;

interface Tombstone extends EndedRecord {
  readonly forgetAt: number;
}

export class Tombstones {
  readonly #byId: BoundedMap<string, Tombstone>;

  /** Remembers `most` ends, and `mostCharacters` of long outcomes. */
  constructor(most: number, mostCharacters: number) {
    this.#byId = new BoundedMap<string, Tombstone>(most, { most: mostCharacters, of: weightOf });
  }

  /** The number of tombstones, including those that are too old. */
  get size(): number {
    return this.#byId.size;
  }

  find(id: string, now: number): EndedRecord | undefined {
    const found = this.#byId.get(id);
    if (found === undefined || found.forgetAt <= now) return undefined;
    const { outcome, at } = found;
    return { id, outcome, at };
  }

  add({ id, outcome, at }: EndedRecord, forgetAt: number, now: number): void {
    this.#byId.set(id, { id, outcome, at, forgetAt });
    this.forget(now);
  }

  /** Forgets an end before its time. */
  drop(id: string): void {
    this.#byId.delete(id);
  }

  /** Drops tombstones that are too old, as far as no earlier end is kept longer. */
  forget(now: number): void {
    for (let { oldest } = this.#byId; oldest !== undefined && oldest.forgetAt <= now; { oldest } = this.#byId)
      this.#byId.delete(oldest.id);
  }
}

const weightOf = ({ outcome }: EndedRecord): number => (outcome.length > SHORT ? outcome.length : 0);
