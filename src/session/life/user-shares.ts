/**
 * How many live sessions each user has on this instance, of `limits.sessions`. A caller without a user counts by
 * its address. Eviction takes from the user with the most, so that a caller who
 * opens many sessions loses its own.
 */
import { overUserShare, type SojournError, tooManySessions } from '../../base/errors.ts';
import { Budget } from '../../base/budget.ts';
import type { Limits } from '../../base/options/limits-options.ts';
import { type ListEntry, EntryList, entryOf } from '../../base/entry-list.ts';

/** A session that is idle, or hibernates in this process. */
export interface IdleSession {
  readonly id: string;
  readonly share: string;
}

/** The sessions of one user, those that hibernate in this process included. */
class UserSessions {
  count = 0;
  readonly idle = new EntryList<IdleSession>();
  readonly entry = entryOf<UserSessions>(this);
}

export class UserShares {
  readonly #users = new Map<string, UserSessions>();
  /** The users with an idle session, by how many sessions they have. */
  readonly #levels: Array<EntryList<UserSessions>> = [];
  /** The places of idle sessions in the order of evictions. Those that hibernate come first. */
  #nextIdle = 0;
  #nextHibernated = Number.MIN_SAFE_INTEGER;
  readonly #places: Budget;

  constructor(limits: Pick<Limits, 'sessions' | 'userShare'>) {
    this.#places = new Budget(limits.sessions, limits.userShare);
  }

  /** `live`: 1 for a session that is live here now, -1 for a session that has left. */
  charge(live: 1 | -1, share: string): void {
    this.#places.charge(live, share);
    this.#count(share, live);
  }

  addHibernated(entry: ListEntry<IdleSession>): void {
    this.#count(entry.item.share, 1);
    this.becameIdle(entry, this.#nextHibernated++);
  }

  deleteHibernated(entry: ListEntry<IdleSession>): void {
    this.becameActive(entry);
    this.#count(entry.item.share, -1);
  }

  becameIdle(entry: ListEntry<IdleSession>, place = this.#nextIdle++): void {
    const user = this.#users.get(entry.item.share);
    if (user === undefined) return;
    user.idle.add(entry, place);
    this.#level(user);
  }

  becameActive(entry: ListEntry<IdleSession>): void {
    const user = this.#users.get(entry.item.share);
    user?.idle.delete(entry);
    if (user?.idle.size === 0) this.#levels[user.count]?.delete(user.entry);
  }

  #level(user: UserSessions): void {
    if (user.idle.size > 0 && !user.entry.listed)
      (this.#levels[user.count] ??= new EntryList()).add(user.entry);
  }

  #count(key: string, more: number): void {
    const user = this.#users.get(key) ?? new UserSessions();
    this.#levels[user.count]?.delete(user.entry);
    user.count += more;
    this.#level(user);
    if (user.count > 0) this.#users.set(key, user);
    else this.#users.delete(key);
  }

  /** Counts a session that is being opened, until the returned function is called. An error: it has no place. */
  reserve(key: string): (() => void) | SojournError {
    const { size } = this.#places;
    if (this.isFull) return tooManySessions(size);
    if (!this.#places.take(1, key)) return overUserShare('sessions', size);
    this.#count(key, 1);
    return () => this.charge(-1, key);
  }

  get isFull(): boolean {
    return this.#places.used >= this.#places.size;
  }

  /** How many live sessions a user has. */
  heldBy(key: string): number {
    return this.#places.heldBy(key);
  }

  /** The session of this user that is idle longest. */
  pickOf(key: string): IdleSession | undefined {
    return this.#users.get(key)?.idle.oldest;
  }

  /**
   * The first session in `idle`, which has all of them, oldest first, whose user has the most. Looks through the
   * sessions and through those users at once, because there may be many of either.
   */
  pick(idle: Iterable<IdleSession>): IdleSession | undefined {
    const levels = this.#levels;
    while (levels.length > 0 && !levels.at(-1)?.size) levels.pop();
    const most = levels.length - 1;
    const users = levels[most]?.[Symbol.iterator]();
    let picked: ListEntry<IdleSession> | undefined;
    for (const session of idle) {
      if (this.#users.get(session.share)?.count === most) return session;
      const first = (users?.next().value as UserSessions | undefined)?.idle.first;
      if (first === undefined) break;
      if (picked === undefined || first.since < picked.since) picked = first;
    }
    return picked?.item;
  }
}
