/** Derives the user that a session is bound to (B179 in `docs/reference/behaviour.md`). */
import type { AuthInfo } from '@modelcontextprotocol/server';
import type { ResolvedOptions } from '../options/endpoint-options.ts';

export type UserOf = (authInfo: AuthInfo | undefined) => string | undefined;

/**
 * The result of `sessionUser`, else the token's issuer and subject. A JSON array, so that no user can spell another
 * user's key. Never the token itself, because a refreshed token keeps the session. A token without a subject is an
 * error: its `clientId` is the same for every user of one client application.
 */
export function createUserOf({ sessionUser }: Pick<ResolvedOptions, 'sessionUser'>): UserOf {
  return (authInfo) => {
    if (authInfo === undefined) return undefined;
    if (sessionUser !== undefined) {
      const user: unknown = sessionUser(authInfo);
      if (user === undefined) return undefined;
      // A promise would make the same key for every user.
      if (typeof user !== 'string')
        throw new TypeError(`sessionUser returned ${typeof user}, takes a string or undefined`);
      return JSON.stringify(['user', user]);
    }
    const { sub, iss } = authInfo.extra ?? {};
    return JSON.stringify(['sub', typeof iss === 'string' ? iss : '', subjectOf(sub)]);
  };
}

/** The verifier of the application set no subject. The message has the whole cause. */
export class NoSubject extends TypeError {}

/** Some verifiers pass the numeric ids of their database. */
function subjectOf(sub: unknown): string {
  if (typeof sub === 'string' && sub !== '') return sub;
  if (typeof sub === 'number' && Number.isFinite(sub)) return String(sub);
  throw new NoSubject(
    `authInfo.extra.sub names no user (${sub === '' ? 'it is empty' : `it is ${sub === null ? 'null' : typeof sub}`}): ` +
      'in the code that verifies tokens, set it to the subject of the token, or give the option sessionUser',
  );
}
