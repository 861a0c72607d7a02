/** Sessions in the order of their creation, so that a page can start at any place. A place is never given twice. */
import type { StoredRecord } from '../store.ts';
import { HeldSession } from './held-session.ts';

/** From this length on, the list drops the places of removed sessions once they are half of it: O(1) amortised. */
const COMPACT_AT = 64;

export class MemoryListingOrder {
  /** Sorted by place. A removed session leaves its place number. */
  #sessions: Array<HeldSession | number> = [];
  #next = 0;
  #gone = 0;

  /** The length of the list, including the places of removed sessions. */
  get places(): number {
    return this.#sessions.length;
  }

  append(record: StoredRecord): HeldSession {
    const session = new HeldSession(record, this.#next++);
    this.#sessions.push(session);
    return session;
  }

  remove({ place }: HeldSession): void {
    this.#sessions[this.#firstFrom(place)] = place;
    this.#gone++;
    if (this.#sessions.length < COMPACT_AT || this.#gone * 2 < this.#sessions.length) return;
    this.#sessions = this.#sessions.filter((session) => typeof session !== 'number');
    this.#gone = 0;
  }

  *after(place: number): Generator<HeldSession> {
    const sessions = this.#sessions;
    for (let i = this.#firstFrom(place + 1); i < sessions.length; i++) {
      const session = sessions[i];
      if (session !== undefined && typeof session !== 'number') yield session;
    }
  }

  /** The index of the first place that is not lower than `place`. */
  #firstFrom(place: number): number {
    let low = 0;
    let high = this.#sessions.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (placeOf(this.#sessions[middle]) < place) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function placeOf(entry: HeldSession | number | undefined): number {
  return typeof entry === 'number' ? entry : (entry?.place ?? Infinity);
}
