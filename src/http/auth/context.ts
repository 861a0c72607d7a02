/** What the parts of this folder share. */
import type { AuthInfo, OAuthError, VerifyBearerTokenOptions } from '@modelcontextprotocol/server';
import type { SojournError } from '../../base/errors.ts';
import type { Exchange } from '../exchange.ts';
import type { ResolvedOptions } from '../../base/options/endpoint-options.ts';

export type AuthContext = Pick<ResolvedOptions, 'timeProvider' | 'logger' | 'sessionUser'>;

export type CallerHeaders = Pick<Exchange, 'header' | 'request' | 'served'>;

/** Who the caller is, `undefined`: an anonymous one, or why the request is refused. Never rejects, never throws. */
export type Identity = AuthInfo | SojournError | undefined;

export interface Authenticator {
  /** Rejects when a package that it needs is not installed; no token can be verified then. */
  readonly ready?: Promise<unknown> | undefined;
  authenticate(caller: CallerHeaders): Identity | Promise<Identity>;
}

/** The user that a claim names. `undefined`: none. Some verifiers pass the numeric ids of their database. */
export function userNamedBy(claim: unknown): string | undefined {
  if (typeof claim === 'number' && Number.isFinite(claim)) return String(claim);
  return typeof claim === 'string' && claim !== '' ? claim : undefined;
}

const ANONYMOUS = Object.freeze({});

/** Who is asked for scopes where a request has no credentials, and is served without. */
export const anonymousInfo = (resourceMetadataUrl: string | undefined): AuthInfo => ({
  token: '',
  clientId: '',
  scopes: [],
  extra: ANONYMOUS,
  ...(resourceMetadataUrl !== undefined && { resourceMetadataUrl }),
});

export const isAnonymous = (authInfo: AuthInfo | undefined): boolean =>
  authInfo?.extra === ANONYMOUS;

/** What a challenge names. */
export type Needs = Pick<VerifyBearerTokenOptions, 'requiredScopes' | 'resourceMetadataUrl'>;

/**
 * RFC 6750, section 3. No value has a quote. A request that has no token gets a challenge without
 * `error`, by which a host would take its token for expired.
 */
export function challengeOf(
  { requiredScopes = [], resourceMetadataUrl: url }: Needs,
  error?: OAuthError,
): string {
  const parameters = {
    ...(error !== undefined && { error: error.code, error_description: error.message }),
    ...(requiredScopes.length > 0 && { scope: requiredScopes.join(' ') }),
    ...(url !== undefined && { resource_metadata: url }),
  };
  const written = Object.entries(parameters).map(
    ([name, value]) => `${name}="${value.replaceAll('\\', '\\\\')}"`,
  );
  return `Bearer ${written.join(', ')}`.trim();
}
