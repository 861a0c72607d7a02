/** What the parts of this folder share. */
import {
  type AuthInfo,
  bearerAuthChallengeResponse,
  OAuthError,
  OAuthErrorCode,
  type VerifyBearerTokenOptions,
} from '@modelcontextprotocol/server';
import type { SojournError } from '../errors.ts';
import type { Exchange } from '../http/exchange.ts';
import type { Logger, TimeProvider } from '../types.ts';

export interface AuthContext {
  readonly time: Required<TimeProvider>;
  readonly logger: Logger;
}

export type CallerHeaders = Pick<Exchange, 'header' | 'request'>;

/** Who the caller is, `undefined`: an anonymous one, or why the request is refused. Never rejects, never throws. */
export type Identity = AuthInfo | SojournError | undefined;

export interface Authenticator {
  /** Rejects when a package that it needs is not installed; no token can be verified then. */
  readonly ready?: Promise<unknown>;
  authenticate(caller: CallerHeaders): Identity | Promise<Identity>;
}

/** What the SDK writes before the other parameters of a challenge. */
const ERROR = /^Bearer (?:error="[^"]*"(?:, )?)?(?:error_description="[^"]*"(?:, )?)?/;

/** For a request that has no token: by an error code a host would take its token for expired. */
export function challengeWithoutError(
  needs: Pick<VerifyBearerTokenOptions, 'requiredScopes' | 'resourceMetadataUrl'>,
): string {
  const error = new OAuthError(OAuthErrorCode.InvalidToken, 'none');
  const challenge = bearerAuthChallengeResponse(error, needs).headers.get('www-authenticate') ?? '';
  return `Bearer ${challenge.replace(ERROR, '')}`.trim();
}
