/** Whose session it is (B179). */
import type { AuthInfo } from '@modelcontextprotocol/server';
import type { ResolvedOptions } from '../options/options.ts';

export type UserOf = (authInfo: AuthInfo | undefined) => string | undefined;

/**
 * `sessionUser`, else the token's issuer and subject, else its client id. A JSON array, so that no user can spell another;
 * never the token: a refreshed one keeps the session.
 */
export function createUserOf({ sessionUser, logger }: ResolvedOptions): UserOf {
  let warned = false;
  return (authInfo) => {
    if (authInfo === undefined) return undefined;
    if (sessionUser !== undefined) {
      const user: unknown = sessionUser(authInfo);
      if (user === undefined) return undefined;
      // A promise would be the same user for everybody.
      if (typeof user !== 'string')
        throw new TypeError(`sessionUser returned ${typeof user}, takes a string or undefined`);
      return JSON.stringify(['user', user]);
    }
    const { sub, iss } = authInfo.extra ?? {};
    if (typeof sub === 'string') return JSON.stringify(['sub', typeof iss === 'string' ? iss : '', sub]);
    if (!warned) {
      warned = true;
      logger.warn(
        {},
        'authInfo has no extra.sub: sessions are bound to clientId, which names the program and not the person. Set extra.sub, or the option sessionUser',
      );
    }
    return JSON.stringify(['client', authInfo.clientId]);
  };
}
