/** The option `auth`, which `resolve-auth.ts` checks. */
import type { AuthInfo, OAuthProtectedResourceMetadata } from '@modelcontextprotocol/server';
import type { McpHttpRequest } from '../types.ts';

/** Who may call, and what. */
export interface AuthOptions {
  /**
   * Verifies an access token: resolves with its `AuthInfo` (`expiresAt` is required), or with
   * `undefined`. Errors but an `OAuthError` are a 500.
   */
  verify?: VerifyToken | undefined;
  /**
   * Verifies JWTs: `{ issuer, audience, jwksUri?, userClaim?, clockToleranceMs? }`. `userClaim` names the user, default
   * `sub`; `clockToleranceMs` is how far clocks may differ, default 60,000.
   */
  jwt?: JwtOptions | undefined;
  /** Takes the user from a header of a proxy, instead of a token: `{ header, from }`, with CIDR ranges. */
  trustedProxyUser?: TrustedProxyUser | undefined;
  /** Scopes that a token must have for any request. */
  requiredScopes?: readonly string[] | undefined;
  /**
   * The protected-resource metadata (RFC 9728). `resource` is the public URL of this endpoint; default: each
   * `jwt.audience` that is a URL, for the path that it ends with (docs/guide/auth.md#several-paths).
   */
  metadata?: Partial<OAuthProtectedResourceMetadata> | undefined;
  /** Whether a caller may use a tool, a prompt, a resource, or a method that MCP does not have. */
  authorize?: Authorize | undefined;
  /**
   * Serves requests without credentials too, as an anonymous caller: `true`, or a function
   * `(kind, name)` that says what they may use, needed beside `authorize`. Default `false`.
   */
  anonymous?: boolean | Anonymous | undefined;
}

/** JWT access tokens, verified with the keys of their authorization server. */
export interface JwtOptions {
  /** The `iss` that tokens must have: an https URL, or http on loopback. */
  issuer: string;
  /** One of these must be in the `aud` of a token: usually the public URL of this endpoint, one for each path. */
  audience: string | readonly string[];
  /** Where the issuer's keys are. Default: as the issuer's metadata says (RFC 8414, OpenID Connect Discovery). */
  jwksUri?: string | undefined;
  /** The claim that names the user. Default: `sub`. Set it where tokens have none. `sessionUser` goes before it. */
  userClaim?: string | undefined;
  /** How far the clocks of the issuer and of this machine may differ: 0 to 600,000 ms. Default: 60,000. */
  clockToleranceMs?: number | undefined;
}

/** The user that a proxy in front has authenticated, such as oauth2-proxy or a service mesh. */
export interface TrustedProxyUser {
  /** The header in which the proxy names the user. The proxy must overwrite what clients send in it. */
  header: string;
  /** Addresses of the proxy: CIDR ranges, compared with the peer address of the socket. */
  from: readonly string[];
}

/** Throw, or return a promise that rejects, to refuse. */
export type VerifyToken = (
  token: string,
  request: McpHttpRequest,
) => AuthInfo | undefined | Promise<AuthInfo | undefined>;

/** `method`: a request whose method is none of MCP's, such as one of the application's own. */
export type AuthorizeKind = 'tool' | 'prompt' | 'resource' | 'method';

/**
 * `name`: of a tool, a prompt or a method; of a resource its URI, or the URI template in lists and
 * completions. A URI that is not in normal form is asked about twice: as sent, and as `new
 * URL(uri).href`. Both must be allowed.
 */
export type Authorize = (
  kind: AuthorizeKind,
  name: string,
  authInfo: AuthInfo,
) => boolean | Promise<boolean>;

/** What callers without a token may use. */
export type Anonymous = (kind: AuthorizeKind, name: string) => boolean | Promise<boolean>;
