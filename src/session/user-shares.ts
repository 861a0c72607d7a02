/**
 * How many live sessions each user has on this instance. A user without a name counts by the address of the connection
 * that opened the session. Eviction takes from the user with the most, so that a caller who opens many sessions loses
 * its own.
 */
import type { LiveSession } from './session.ts';

interface Share {
  readonly key: string;
  sessions: number;
}

export class UserShares {
  readonly #byKey = new Map<string, Share>();
  readonly #bySession = new Map<LiveSession, Share>();

  add(session: LiveSession, address: string | undefined): void {
    const key = shareKey(session.user, address);
    let share = this.#byKey.get(key);
    if (share === undefined) this.#byKey.set(key, (share = { key, sessions: 0 }));
    share.sessions += 1;
    this.#bySession.set(session, share);
  }

  delete(session: LiveSession): void {
    const share = this.#bySession.get(session);
    if (share === undefined) return;
    this.#bySession.delete(session);
    share.sessions -= 1;
    if (share.sessions === 0) this.#byKey.delete(share.key);
  }

  /** Live sessions of a user. */
  of(user: string | undefined, address: string | undefined): number {
    return this.#byKey.get(shareKey(user, address))?.sessions ?? 0;
  }

  /** Of `idle`, oldest first, the first session of a user who has the most. */
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

function shareKey(user: string | undefined, address: string | undefined): string {
  return user === undefined ? `address ${address ?? 'unknown'}` : `user ${user}`;
}
