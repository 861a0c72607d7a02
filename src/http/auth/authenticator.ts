/**
 * Finds out who sent a request, before anything else of it is read. Host and Origin have been checked.
 *
 *     Authorization: Bearer … ─▶ `verify`, or `jwt` ─▶ scopes, expiry ─▶ AuthInfo
 *     a header of a proxy     ─▶ peer address       ─▶ AuthInfo
 *     none, with `anonymous`  ─▶ `undefined`: an anonymous caller
 *     otherwise               ─▶ 401 and 403 with a challenge, 503 while the keys cannot be fetched,
 *                                500 for a hook that failed
 *
 * A token is never logged and never part of an error.
 */
import {
  type AuthInfo,
  checkResourceAllowed,
  OAuthError,
  OAuthErrorCode,
  verifyBearerToken,
} from '@modelcontextprotocol/server';
import {
  authUnavailable,
  insufficientScope,
  internal,
  noToken,
  SojournError,
  unauthorized,
} from '../../base/errors.ts';
import type { Identification, ResolvedAuth } from '../../base/options/resolve-auth.ts';
import {
  type AuthContext,
  type Authenticator,
  type CallerHeaders,
  challengeOf,
  type Identity,
} from './context.ts';
import { loadJose } from './issuer-keys.ts';
import { createJwtVerifier, forOther, refusedToken, type RefusedToken } from './jwt.ts';
import { type PathAudience, PathAudiences } from './path-audiences.ts';
import { createProxyUsers } from './proxy-users.ts';
import { VerifiedTokens } from './verified-tokens.ts';
import { thrownWithoutToken, withoutToken } from './without-token.ts';

export function createAuthenticator(auth: ResolvedAuth, context: AuthContext): Authenticator {
  const { identification } = auth;
  if (identification.by === 'proxy')
    return createProxyUsers(identification, auth.anonymous !== false, context.logger);
  return new BearerTokens(auth, identification, context);
}

/** RFC 6750 section 2.1. Two credentials in one field are refused, because two servers may read different ones. */
const BEARER = /^bearer +([\w.~+/-]+=*)$/i;
/** Node.js takes 16 KiB of headers; other servers behind `fetch` may take more. */
const LONGEST_TOKEN = 16_384;
const SCHEME = /^bearer(?: |$)/i;
/** RFC 6750 `error_description`, which is sent in a header. */
const DESCRIPTION = /^[\x20-\x21\x23-\x5b\x5d-\x7e]{1,200}$/;

type TokenIdentification = Exclude<Identification, { by: 'proxy' }>;

class BearerTokens implements Authenticator {
  readonly ready: Promise<unknown> | undefined = undefined;
  readonly #context: AuthContext;
  readonly #verify: (
    token: string,
    caller: CallerHeaders,
    at: PathAudience,
  ) => Promise<AuthInfo | undefined>;
  /** Only for JWTs, which no server revokes before they expire. */
  readonly #verified: VerifiedTokens | undefined = undefined;
  readonly #audiences: PathAudiences;
  /** Whether a request without credentials is served, as that of an anonymous caller. */
  readonly #takesAnonymous: boolean;

  constructor(auth: ResolvedAuth, identification: TokenIdentification, context: AuthContext) {
    this.#context = context;
    this.#takesAnonymous = auth.anonymous !== false;
    this.#audiences = new PathAudiences(auth);
    if (identification.by === 'jwt') {
      this.ready = loadJose();
      this.ready.catch((err: unknown) =>
        context.logger.fatal(
          { err },
          'Every access token is refused with 500: the option auth cannot be used',
        ),
      );
      const verify = createJwtVerifier(identification.jwt, context);
      this.#verify = (token, _, at) => verify(token, at);
      this.#verified = new VerifiedTokens(context.timeProvider);
    } else {
      this.#verify = async (token, { request }) => identification.verify(token, request);
    }
  }

  authenticate(caller: CallerHeaders): Identity | Promise<Identity> {
    const header = caller.header('authorization');
    // An empty field is a client's mistake, and no anonymous caller.
    if (header === undefined && this.#takesAnonymous) return undefined;
    const at = this.#audiences.at(caller.served);
    if (header === undefined || header === '') return missing(at, 'Missing Authorization header');
    const token = header.length <= LONGEST_TOKEN ? BEARER.exec(header)?.[1] : undefined;
    if (token === undefined) {
      const description = "Invalid Authorization header format, expected 'Bearer TOKEN'";
      return SCHEME.test(header)
        ? this.#refuse(refusedToken(description), at)
        : missing(at, description);
    }
    return this.#verified?.get(token, at.key) ?? this.#check(token, caller, at);
  }

  async #check(
    token: string,
    caller: CallerHeaders,
    at: PathAudience,
  ): Promise<AuthInfo | SojournError> {
    try {
      const info = await verifyBearerToken(`Bearer ${token}`, {
        verifier: { verifyAccessToken: () => this.#verifyAccessToken(token, caller, at) },
        ...at.needs,
      });
      // The SDK compares with the system's clock.
      if ((info.expiresAt ?? 0) * 1_000 <= this.#context.timeProvider.now())
        throw refusedToken('Token has expired');
      this.#verified?.keep(token, at.key, info);
      return info;
    } catch (cause) {
      return this.#refuse(cause, at, token);
    }
  }

  async #verifyAccessToken(
    token: string,
    caller: CallerHeaders,
    at: PathAudience,
  ): Promise<AuthInfo> {
    const info: unknown = await this.#verify(token, caller, at);
    if (info === undefined || info === null) throw refusedToken('Token is not valid');
    if (!isAuthInfo(info))
      throw new TypeError('auth.verify takes a token to an AuthInfo (token, clientId, scopes, …)');
    const { resource } = info;
    if (resource !== undefined && at.resource !== undefined && !isFor(resource, at.resource))
      throw refusedToken(
        'Token was not issued for this resource',
        forOther(resource.href, 'auth.metadata.resource', [at.resource.href]),
      );
    return info;
  }

  #refuse(cause: unknown, at: PathAudience, token = ''): SojournError {
    if (cause instanceof SojournError) return cause;
    const error = oauthError(cause);
    const { logger } = this.#context;
    switch (error?.code) {
      case OAuthErrorCode.InvalidToken:
      case OAuthErrorCode.InsufficientScope:
        return challenge(error, at, token);
      case OAuthErrorCode.TemporarilyUnavailable:
        return authUnavailable();
      default: {
        logger.warn(
          { err: thrownWithoutToken(cause, token) },
          'A request is refused with 500: auth.verify threw',
        );
        return internal();
      }
    }
  }
}

/** The request has no token, or one for another scheme. */
const missing = ({ needs }: PathAudience, description: string): SojournError =>
  noToken(challengeOf(needs), description);

function challenge(
  { code, message, logged }: RefusedToken,
  { needs }: PathAudience,
  token: string,
): SojournError {
  const description = DESCRIPTION.test(message) ? message : 'Token is not valid';
  const sent = challengeOf(needs, new OAuthError(code, description));
  if (code === (OAuthErrorCode.InsufficientScope as string))
    return insufficientScope(sent, description);
  const more = logged === undefined ? '' : `: ${logged}`;
  return unauthorized(sent, description, withoutToken(`${description}${more}`, token));
}

/** Recognised by its shape, because an application may have another copy of the SDK. */
function oauthError(cause: unknown): RefusedToken | undefined {
  if (!(cause instanceof Error) || cause.name !== 'OAuthError') return undefined;
  return typeof (cause as Partial<OAuthError>).code === 'string'
    ? (cause as RefusedToken)
    : undefined;
}

function isAuthInfo(value: unknown): value is AuthInfo {
  if (typeof value !== 'object' || value === null) return false;
  const { scopes, resource } = value as Partial<AuthInfo>;
  return Array.isArray(scopes) && (resource === undefined || resource instanceof URL);
}

/** A token for a resource is good for what lies below that resource. */
function isFor(tokenResource: URL, resource: URL): boolean {
  return checkResourceAllowed({ requestedResource: resource, configuredResource: tokenResource });
}
