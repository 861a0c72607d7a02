/**
 * How many live sessions each user has on this instance, of `limits.sessions`. A user without a name counts by the
 * address of the connection that opened the session. Eviction takes from the user with the most, so that a caller who
 * opens many sessions loses its own.
 */
import { overUserLimit, overUserShare, type SojournError, tooManySessions } from '../../errors.ts';
import { Budget } from '../../base/budget.ts';
import type { SessionLimits, UserLimits } from '../../options/resolve-limits.ts';
import type { LiveSession } from '../session.ts';

export class UserShares {
  /** Sessions that hibernate, where their records are in this process. */
  readonly hibernated = new Budget(Infinity, 1);
  readonly #places: Budget;
  readonly #perUser: number;

  constructor(limits: Pick<SessionLimits, 'sessions' | 'userShare'>, perUser: Pick<UserLimits, 'sessions'>) {
    this.#places = new Budget(limits.sessions, limits.userShare);
    this.#perUser = perUser.sessions;
  }

  add({ share }: LiveSession): void {
    this.#places.charge(1, share);
  }

  delete({ share }: LiveSession): void {
    this.#places.charge(-1, share);
  }

  /** Counts a session that is being opened, until the returned function is called. An error: it has no place. */
  reserve(key: string): (() => void) | SojournError {
    const { size, used } = this.#places;
    if (this.#places.heldBy(key) >= this.#perUser) return overUserLimit('sessions', this.#perUser);
    if (used >= size) return tooManySessions(size);
    if (!this.#places.take(1, key)) return overUserShare('sessions', size);
    return () => this.#places.charge(-1, key);
  }

  /** The idle session that makes room for one more of this user: of a user with more sessions, else its own. */
  pickFor(key: string, idle: Iterable<LiveSession>): LiveSession | undefined {
    const picked = this.pick(idle);
    const hasMore = picked !== undefined && this.#places.heldBy(picked.share) > this.#places.heldBy(key);
    return hasMore ? picked : this.pickOf(key, idle);
  }

  /** The first session in `idle`, oldest first, that is of this user. */
  pickOf(key: string, idle: Iterable<LiveSession>): LiveSession | undefined {
    for (const session of idle) if (session.share === key) return session;
    return undefined;
  }

  /** The first session in `idle`, oldest first, whose user has the most. */
  pick<T extends { readonly share: string }>(idle: Iterable<T>): T | undefined {
    let picked: T | undefined;
    let most = 0;
    const all = this.#places.used + this.hibernated.used;
    for (const session of idle) {
      const sessions = this.#places.heldBy(session.share) + this.hibernated.heldBy(session.share);
      if (picked === undefined || sessions > most) [picked, most] = [session, sessions];
      // No other user has more.
      if (most * 2 >= all) break;
    }
    return picked;
  }
}
