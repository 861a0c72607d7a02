/**
 * The rights of a caller as a digest, which a store may keep beside a recorded request: the next owner runs a lost call
 * again only for a caller with equal rights. The digest does not depend on the token, so a refreshed token with the
 * same scopes has equal rights.
 */
import type { AuthInfo } from '@modelcontextprotocol/server';
import { digestText } from '../../base/digest.ts';

/** `undefined`: an anonymous caller. */
export function rightsOf(authInfo: AuthInfo | undefined): string | undefined {
  if (authInfo === undefined) return undefined;
  const scopes = [...new Set(authInfo.scopes)].toSorted();
  return digestText(JSON.stringify([authInfo.clientId, scopes]));
}
