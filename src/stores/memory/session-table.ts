/**
 * The sessions of one deployment and their states:
 *
 * - *held*: there is a record;
 * - *expired*: there is a record and its expiry has passed. Every reader sees an ended session, until `end` replaces
 *   the record by a tombstone;
 * - *ended*: there is a tombstone;
 * - *missing*: there is neither.
 */
import { RECORD_VERSION, type EndedSession, type Fence, type StoredRecord } from '../store.ts';
import { monotonicMs } from '../../options/system.ts';
import type { EndReason, TimeProvider } from '../../types.ts';
import { expiredSession } from '../shared/expired-session.ts';
import { ExpiryIndex } from './expiry-index.ts';
import type { HeldSession } from './held-session.ts';
import { MemoryListingOrder } from './listing-order.ts';
import type { Tombstones } from './tombstones.ts';

export class MemorySessionTable {
  readonly #held = new Map<string, HeldSession>();
  readonly #order = new MemoryListingOrder();
  readonly #expiry = new ExpiryIndex();
  readonly #tombstones: Tombstones;
  readonly #time: TimeProvider;
  /** The difference between the two clocks when the table was made. */
  readonly #origin: number;

  constructor(time: TimeProvider, tombstones: Tombstones) {
    this.#time = time;
    this.#origin = time.now() - monotonicMs(time);
    this.#tombstones = tombstones;
  }

  /** ms since 1970. A date that is corrected while the process runs ends no session in use, and revives none. */
  now(): number {
    return this.#origin + monotonicMs(this.#time);
  }

  /** Held, expired or not. */
  held(id: string): HeldSession | undefined {
    return this.#held.get(id);
  }

  /** Held and not expired. */
  living(id: string): HeldSession | undefined {
    const session = this.#held.get(id);
    return session === undefined || session.expired(this.now()) ? undefined : session;
  }

  /** A living session, if the fence matches. Reads the clock last, because that costs most. */
  writable(id: string, fence: Fence, now?: number): HeldSession | undefined {
    const session = this.#held.get(id);
    if (session === undefined || !session.ownedBy(fence) || session.expired(now ?? this.now())) return undefined;
    return session;
  }

  /** The ended value of an id that is not living. */
  ended(id: string): EndedSession | undefined {
    const now = this.now();
    const session = this.#held.get(id);
    if (session === undefined) return this.#tombstones.find(id, now);
    session.reportedExpired = true;
    const ended = expiredValue(session);
    return ended !== undefined && this.#tombstones.keeps(ended, now) ? ended : undefined;
  }

  add(record: StoredRecord): void {
    const forgotten = this.#held.get(record.id);
    if (forgotten !== undefined) this.remove(forgotten);
    const session = this.#order.append(record);
    this.#held.set(record.id, session);
    this.#expiry.put(session);
  }

  /** Every change of a record goes through this method. */
  write(session: HeldSession, record: StoredRecord): void {
    const moved = record.expiresAt !== session.expiresAt;
    if (moved) this.#expiry.take(session);
    session.record = record;
    if (moved) this.#expiry.put(session);
  }

  /** A session that had expired before ended at its expiry with the reason `idle`, whatever `reason` says. */
  end(session: HeldSession, reason: EndReason): void {
    const now = this.now();
    this.remove(session);
    const expired = session.expired(now) ? expiredValue(session) : undefined;
    const ended = expired ?? { v: RECORD_VERSION, id: session.id, ended: reason, at: now };
    this.#tombstones.add(Object.freeze(ended), now);
  }

  remove(session: HeldSession): void {
    session.log?.drop();
    this.#held.delete(session.id);
    this.#expiry.take(session);
    this.#order.remove(session);
  }

  /** Held sessions that have expired; `count` leaves them out. */
  due(): Iterable<HeldSession> {
    return this.#expiry.due(this.now());
  }

  count(): number {
    let expired = 0;
    for (const _ of this.due()) expired++;
    return this.#held.size - expired;
  }

  /** Living sessions with a higher place, in the order of their creation. */
  *after(place: number): Generator<HeldSession> {
    const now = this.now();
    for (const session of this.#order.after(place)) {
      if (!session.expired(now)) yield session;
    }
  }

  /** Drops tombstones that are too old. */
  sweep(): void {
    this.#tombstones.forget(this.now());
  }
}

function expiredValue({ id, expiresAt }: HeldSession): EndedSession | undefined {
  return expiresAt === null ? undefined : expiredSession(id, expiresAt);
}
