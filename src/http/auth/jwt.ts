/** Access tokens that are JWTs (RFC 9068 and the like), verified by `jose` with the keys of their issuer. */
import type { AuthInfo } from '@modelcontextprotocol/server';
import { OAuthError, OAuthErrorCode } from '@modelcontextprotocol/server';
import type { JWTPayload, JWTVerifyOptions, JWTVerifyResult } from 'jose';
import { orUndefined } from '../../base/or-undefined.ts';
import { authUnavailable, SojournError } from '../../base/errors.ts';
import type { ResolvedJwt } from '../../base/options/resolve-auth.ts';
import { quoted } from '../../base/shown.ts';
import { type AuthContext, userNamedBy } from './context.ts';
import { IssuerKeys, type Keys, loadJose } from './issuer-keys.ts';
import type { PathAudience } from './path-audiences.ts';

/** The asymmetric algorithms of `jose`: a key is never a shared secret. */
const ALGORITHMS = 'RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA Ed25519'.split(' ');
/** Keys of one set that are tried for a token without `kid`: a forged one costs a signature for each. */
const MOST_TRIALS = 8;

/** Rejects with an `OAuthError` for a token that is not valid, with AUTH_UNAVAILABLE while its keys cannot be fetched. */
export type JwtVerifier = (
  token: string,
  at: Pick<PathAudience, 'audience' | 'resource'>,
) => Promise<AuthInfo>;

export function createJwtVerifier(jwt: ResolvedJwt, context: AuthContext): JwtVerifier {
  const { issuer, userClaim } = jwt;
  const toleranceS = jwt.clockToleranceMs / 1_000;
  const keys = new IssuerKeys(jwt, context);
  return async (token, { audience, resource }) => {
    await checkReadable(token);
    const verified = verifyWith(keys, token, {
      issuer,
      audience: withRootSlash(audience),
      algorithms: ALGORITHMS,
      clockTolerance: toleranceS,
      currentDate: new Date(context.timeProvider.now()),
      requiredClaims: ['exp'],
    });
    const { payload } = await verified.catch((cause: unknown) => {
      if (cause instanceof SojournError) throw cause;
      if (isJoseError(cause))
        throw refusedToken(why(cause), differing(cause, jwt.issuer, audience));
      // The platform does not import the key that it names: it is broken, or too short.
      throw refusedToken('Token is not valid: its key cannot be used', String(cause));
    });
    if (context.sessionUser === undefined && userNamedBy(payload[userClaim]) === undefined)
      throw refusedToken(
        `Token is not valid: its claim ${userClaim} names no user`,
        'set auth.jwt.userClaim (--auth-jwt-user-claim) to a claim that does, or sessionUser',
      );
    const { exp = 0, client_id: client, azp } = payload;
    return {
      token,
      clientId: text(client) ?? text(azp) ?? '',
      scopes: scopesOf(payload),
      // Until then it is accepted.
      expiresAt: exp + toleranceS,
      ...(resource !== undefined && { resource }),
      extra: { ...payload },
    };
  };
}

/** Refuses what is no JWT of an algorithm here without the keys, so also while they cannot be fetched. */
async function checkReadable(token: string): Promise<void> {
  const { decodeJwt, decodeProtectedHeader } = await loadJose();
  const alg = orUndefined(() => decodeJwt(token) && decodeProtectedHeader(token).alg);
  if (alg === undefined) throw refusedToken('Token is not valid');
  if (!ALGORITHMS.includes(alg)) throw refusedToken(WRONG_ALGORITHM);
}

/** A token that no known key fits is tried once more where its issuer has other keys by now. */
async function verifyWith(
  keys: IssuerKeys,
  token: string,
  options: JWTVerifyOptions,
): Promise<JWTVerifyResult> {
  const known = await keys.current();
  try {
    return await verifyWithSet(known, token, options);
  } catch (cause) {
    const isUnknown = codeOf(cause) === 'ERR_JWKS_NO_MATCHING_KEY';
    if (!isUnknown && codeOf(cause) !== WRONG_SIGNATURE) throw cause;
    const newer = await keys.newerThan(known);
    if (newer !== undefined) return verifyWithSet(newer, token, options);
    throw isUnknown && keys.away ? authUnavailable() : cause;
  }
}

/** Where several keys fit, the set rejects with an iterator over them, which leaves broken ones out. */
async function verifyWithSet(
  set: Keys,
  token: string,
  options: JWTVerifyOptions,
): Promise<JWTVerifyResult> {
  const { errors, jwtVerify } = await loadJose();
  try {
    return await jwtVerify(token, set, options);
  } catch (cause) {
    if (!(cause instanceof errors.JWKSMultipleMatchingKeys)) throw cause;
    let failure: unknown = cause;
    let trials = 0;
    for await (const key of cause) {
      try {
        return await jwtVerify(token, key, options);
      } catch (found) {
        const isWrongKey = codeOf(found) === WRONG_SIGNATURE;
        if (isWrongKey) failure = found;
        // A refused claim comes after a valid signature. The platform may refuse to use a weak key.
        else if (isJoseError(found)) throw found;
      }
      if ((trials += 1) === MOST_TRIALS) break;
    }
    throw failure;
  }
}

/** `logged`: what the log says more than the client may read. */
export interface RefusedToken extends OAuthError {
  readonly logged?: string | undefined;
}

export function refusedToken(description: string, logged?: string): RefusedToken {
  return Object.assign(new OAuthError(OAuthErrorCode.InvalidToken, description), { logged });
}

/** What a token is for beside what is expected. */
export function forOther(found: unknown, option: string, expected: readonly string[]): string {
  const values = [found ?? []].flat().map(quoted);
  return `it is for ${values.join(', ') || 'no audience'}, and ${option} is ${expected.map(quoted).join(', ')}`;
}

/** Clients write `https://mcp.example` as `https://mcp.example/`. */
function withRootSlash(audience: readonly string[]): string[] {
  const spelled = audience.flatMap((one) =>
    /^https?:\/\/[^/?#]+\/?$/.test(one)
      ? [one.replace(/\/$/, ''), `${one.replace(/\/$/, '')}/`]
      : [one],
  );
  return [...new Set(spelled)];
}

/** `scope` (RFC 8693, RFC 9068), or the `scp` of Entra ID and Okta; a text or a list. */
function scopesOf({ scope, scp }: JWTPayload): string[] {
  const given: unknown = scope ?? scp;
  const scopes: unknown[] =
    typeof given === 'string' ? given.split(' ') : Array.isArray(given) ? given : [];
  return scopes.filter((one) => typeof one === 'string' && one !== '') as string[];
}

const text = (value: unknown): string | undefined =>
  typeof value === 'string' ? value : undefined;

interface JoseError extends Error {
  readonly code: string;
  readonly claim?: unknown;
  /** The claims, once the signature was found valid. */
  readonly payload?: JWTPayload;
}

const WRONG_SIGNATURE = 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED';

const codeOf = (cause: unknown): unknown =>
  cause instanceof Error && 'code' in cause ? cause.code : undefined;

function isJoseError(cause: unknown): cause is JoseError {
  const code = codeOf(cause);
  return typeof code === 'string' && /^ERR_(?:JWT|JWS|JOSE|JWK)/.test(code);
}

const WRONG_ALGORITHM = 'Token is not valid: its algorithm is not accepted';

const CLAIMS: ReadonlySet<unknown> = new Set(['iss', 'aud', 'nbf', 'exp', 'iat']);

/** The claim of a token beside what is expected of it. */
function differing(
  { claim, payload }: JoseError,
  issuer: string,
  audience: readonly string[],
): string | undefined {
  if (claim === 'aud') return forOther(payload?.aud, 'auth.jwt.audience', audience);
  return claim === 'iss'
    ? `it is ${quoted(payload?.iss)}, and auth.jwt.issuer is ${quoted(issuer)}`
    : undefined;
}

/** Says which check failed, and nothing that the token holds. */
function why({ code, claim }: JoseError): string {
  if (code === 'ERR_JWT_EXPIRED') return 'Token has expired';
  if (claim === 'aud') return 'Token was not issued for this resource';
  if (CLAIMS.has(claim)) return `Token is not valid: its claim ${String(claim)} is not accepted`;
  if (code === 'ERR_JOSE_ALG_NOT_ALLOWED') return WRONG_ALGORITHM;
  if (code === 'ERR_JWKS_NO_MATCHING_KEY') return 'Token is not valid: its key is unknown';
  return 'Token is not valid';
}
