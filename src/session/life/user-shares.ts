/**
 * How many live sessions each user has on this instance. A user without a name counts by the address of the connection
 * that opened the session. Eviction takes from the user with the most, so that a caller who opens many sessions loses
 * its own.
 */
import { Tally } from '../../tally.ts';
import type { LiveSession } from '../session.ts';

export class UserShares {
  readonly #sessions = new Tally<string>();

  add({ share }: LiveSession): void {
    this.#sessions.add(share, 1);
  }

  delete({ share }: LiveSession): void {
    this.#sessions.add(share, -1);
  }

  /** Counts a session that is being opened, until the returned function is called. `undefined`: `most` is reached. */
  reserve(key: string, most: number): (() => void) | undefined {
    if (this.#sessions.of(key) >= most) return undefined;
    this.#sessions.add(key, 1);
    return () => this.#sessions.add(key, -1);
  }

  /** The first session in `idle`, oldest first, that is of this user. */
  pickOf(key: string, idle: Iterable<LiveSession>): LiveSession | undefined {
    for (const session of idle) if (session.share === key) return session;
    return undefined;
  }

  /** The first session in `idle`, oldest first, whose user has the most. */
  pick(idle: Iterable<LiveSession>): LiveSession | undefined {
    let picked: LiveSession | undefined;
    let most = 0;
    for (const session of idle) {
      if (this.#sessions.size === 1) return session;
      const sessions = this.#sessions.of(session.share);
      if (sessions > most) [picked, most] = [session, sessions];
    }
    return picked;
  }
}
