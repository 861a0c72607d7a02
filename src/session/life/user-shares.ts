/**
 * How many live sessions each user has on this instance. A user without a name counts by the address of the connection
 * that opened the session. Eviction takes from the user with the most, so that a caller who opens many sessions loses
 * its own.
 */
import type { LiveSession } from '../session.ts';

interface Share {
  readonly key: string;
  sessions: number;
}

export class UserShares {
  readonly #byKey = new Map<string, Share>();
  readonly #bySession = new Map<LiveSession, Share>();

  add(session: LiveSession): void {
    const share = this.#shareOf(session.share);
    share.sessions += 1;
    this.#bySession.set(session, share);
  }

  /** Counts a session that is being opened, until the returned function is called. `undefined`: `most` is reached. */
  reserve(key: string, most: number): (() => void) | undefined {
    const share = this.#shareOf(key);
    if (share.sessions >= most) {
      this.#forgetEmpty(share);
      return undefined;
    }
    share.sessions += 1;
    return () => {
      share.sessions -= 1;
      this.#forgetEmpty(share);
    };
  }

  /** The first session in `idle`, oldest first, that is of this user. */
  pickOf(key: string, idle: Iterable<LiveSession>): LiveSession | undefined {
    for (const session of idle) if (session.share === key) return session;
    return undefined;
  }

  delete(session: LiveSession): void {
    const share = this.#bySession.get(session);
    if (share === undefined) return;
    this.#bySession.delete(session);
    share.sessions -= 1;
    this.#forgetEmpty(share);
  }

  #shareOf(key: string): Share {
    let share = this.#byKey.get(key);
    if (share === undefined) this.#byKey.set(key, (share = { key, sessions: 0 }));
    return share;
  }

  #forgetEmpty(share: Share): void {
    if (share.sessions === 0 && this.#byKey.get(share.key) === share) this.#byKey.delete(share.key);
  }

  /** The first session in `idle`, oldest first, whose user has the most. */
  pick(idle: Iterable<LiveSession>): LiveSession | undefined {
    let picked: LiveSession | undefined;
    let most = 0;
    for (const session of idle) {
      if (this.#byKey.size === 1) return session;
      const sessions = this.#bySession.get(session)?.sessions ?? 0;
      if (sessions > most) [picked, most] = [session, sessions];
    }
    return picked;
  }
}
