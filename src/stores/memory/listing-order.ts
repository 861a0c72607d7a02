/** Sessions in the order of their creation, so that a page can start anywhere: a place is never given twice. */
import type { SessionRecord } from '../store.ts';
import { HeldSession } from './held-session.ts';

/** Places of sessions that are gone are closed up when they are half of all: O(1) amortised. */
const COMPACT_AT = 64;

export class ListingOrder {
  #sessions: Array<HeldSession | undefined> = [];
  /** The places of `#sessions`, kept also where the session is gone. */
  #places: number[] = [];
  #next = 0;
  #gone = 0;

  /** How many are held, of sessions that are gone too. */
  get places(): number {
    return this.#places.length;
  }

  append(record: SessionRecord): HeldSession {
    const session = new HeldSession(record, this.#next++);
    this.#sessions.push(session);
    this.#places.push(session.place);
    return session;
  }

  remove({ place }: HeldSession): void {
    this.#sessions[this.#firstFrom(place)] = undefined;
    this.#gone++;
    if (this.#sessions.length < COMPACT_AT || this.#gone * 2 < this.#sessions.length) return;
    this.#sessions = this.#sessions.filter((session) => session !== undefined);
    this.#places = this.#sessions.map((session) => session?.place ?? -1);
    this.#gone = 0;
  }

  *after(place: number): Generator<HeldSession> {
    const sessions = this.#sessions;
    for (let i = this.#firstFrom(place + 1); i < sessions.length; i++) {
      const session = sessions[i];
      if (session !== undefined) yield session;
    }
  }

  /** The index of the first place that is not lower. */
  #firstFrom(place: number): number {
    let low = 0;
    let high = this.#places.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#places[middle] ?? Infinity) < place) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
