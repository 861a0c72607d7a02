/** Sessions in the order of their creation, so that a page can start anywhere: a place is never given twice. */
import type { SessionRecord } from '../store.ts';
import { HeldSession } from './held-session.ts';

/** Places of sessions that are gone are closed up when they are half of all: O(1) amortised. */
const COMPACT_AT = 64;

export class ListingOrder {
  /** By place; where a session is gone its place is left. */
  #sessions: Array<HeldSession | number> = [];
  #next = 0;
  #gone = 0;

  /** How many are held, of sessions that are gone too. */
  get places(): number {
    return this.#sessions.length;
  }

  append(record: SessionRecord): HeldSession {
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

  /** The index of the first place that is not lower. */
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
