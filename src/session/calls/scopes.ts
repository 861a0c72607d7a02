/**
 * The scopes that a server asks for (`scopeChallenge`, `requireScopes`). The SDK's `McpServer.connect` hands its
 * resolver to the transport and leaves the rest to it: a transport without `setScopeChallengeResolver` skips every
 * check. So each `ServerTransport` has it, and each request passes `checkScopes` before it is dispatched.
 */
import {
  type AuthInfo,
  getOAuthProtectedResourceMetadataUrl,
  OAuthError,
  OAuthErrorCode,
  requireScopes,
  type ScopeChallenge,
  type ScopeChallengeHandler,
} from '@modelcontextprotocol/server';
import type { ResolvedOptions } from '../../base/options/endpoint-options.ts';
import { challengeOf, isAnonymous } from '../../http/auth/context.ts';
import { insufficientScope, internal, noToken, type SojournError } from '../../base/errors.ts';
import type { RpcRequest } from '../../base/protocol/jsonrpc.ts';
import type { MaybePromise } from '../../stores/store.ts';
import type { Logger } from '../../base/types.ts';

/** The transport of the server that a request leads to. */
export interface ScopeCheck {
  checkScopes(
    requests: readonly RpcRequest[],
    authInfo: AuthInfo | undefined,
  ): MaybePromise<SojournError | undefined>;
}

type ScopeOptions = Pick<ResolvedOptions, 'auth' | 'logger'>;

/**
 * The error to refuse these requests with; `undefined`: the caller may send all of them. Synchronous where every
 * resolver is. A resolver that throws, or returns an invalid scope, refuses the call.
 */
export function checkScopes(
  resolver: ScopeChallengeHandler,
  requests: readonly RpcRequest[],
  authInfo: AuthInfo | undefined,
  options: ScopeOptions,
): MaybePromise<SojournError | undefined> {
  let next = 0;
  for (const request of requests) {
    next += 1;
    try {
      const challenge = resolver({ request, ...(authInfo !== undefined && { authInfo }) });
      if (challenge === undefined) continue;
      if (!('then' in challenge)) return refusal(challenge, authInfo, options);
      const later = requests.slice(next);
      return Promise.resolve(challenge)
        .then((found) =>
          found === undefined
            ? checkScopes(resolver, later, authInfo, options)
            : refusal(found, authInfo, options),
        )
        .catch((cause: unknown) => failed(cause, request, options.logger));
    } catch (cause) {
      return failed(cause, request, options.logger);
    }
  }
  return undefined;
}

function failed(cause: unknown, { method }: RpcRequest, logger: Logger): SojournError {
  logger.warn({ err: cause, method }, 'The scope check of a request threw: the request is refused');
  return internal(cause);
}

/** RFC 6750 `error_description`, as the SDK checks it: it goes into a header. */
const DESCRIPTION = /^[\x20-\x21\x23-\x5b\x5d-\x7e]+$/;

/**
 * The error that the SDK's own transports send for such a challenge. It names the scopes of every request too: clients
 * of SDK 1 ask for the scopes of a challenge alone, and would lose those.
 */
function refusal(
  { scopes, errorDescription }: ScopeChallenge,
  authInfo: AuthInfo | undefined,
  { auth }: ScopeOptions,
): SojournError {
  // Called for its check of the grammar, which the SDK does not export.
  requireScopes(...scopes);
  const description = errorDescription ?? 'Insufficient scope';
  if (typeof description !== 'string' || !DESCRIPTION.test(description)) {
    throw new TypeError('a scope challenge has an errorDescription that no header can carry');
  }
  const resourceMetadataUrl = metadataUrlOf(authInfo);
  const requiredScopes = [...new Set([...(auth?.requiredScopes ?? []), ...scopes])];
  const needs = {
    requiredScopes,
    ...(resourceMetadataUrl !== undefined && { resourceMetadataUrl }),
  };
  // A token may help.
  if (isAnonymous(authInfo)) return noToken(challengeOf(needs), 'Missing Authorization header');
  const error = new OAuthError(OAuthErrorCode.InsufficientScope, description);
  return insufficientScope(challengeOf(needs, error), description);
}

/** Where the challenge sends a client to find the authorization server. */
function metadataUrlOf(authInfo: AuthInfo | undefined): string | undefined {
  if (authInfo?.resourceMetadataUrl !== undefined) return authInfo.resourceMetadataUrl;
  const resource = authInfo?.resource;
  return resource?.protocol === 'https:' || resource?.protocol === 'http:'
    ? getOAuthProtectedResourceMetadataUrl(resource)
    : undefined;
}
