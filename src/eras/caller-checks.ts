/**
 * Where the requests of both HTTP faces enter: who may send them, who did, and by which transport.
 *
 *     CORS ──▶ host, Origin ──▶ token ──▶ user ──▶ Streamable HTTP (`eras/request-checks.ts`)
 *                                          ╰────▶ the 2024-11-05 transport (`eras/sessions/sse-era.ts`)
 *
 * `eras/request-checks.ts` has the checks of a message, `eras/ladder.ts` those after it.
 */
import type { AuthInfo } from '@modelcontextprotocol/server';
import { type Authenticator, type Identity, userNamedBy } from '../http/auth/context.ts';
import type { RequestChecks } from './request-checks.ts';
import { type LegacySseEra, legacySsePath } from './sessions/sse-era.ts';
import { thrownWithoutToken } from '../http/auth/without-token.ts';
import {
  closedEndpoint,
  internal,
  methodNotAllowed,
  overMemory,
  SojournError,
} from '../base/errors.ts';
import { asSojournError, refuse } from '../http/answer.ts';
import { type Exchange, guarded } from '../http/exchange.ts';
import { answersCors, checkFields, checkHost, checkOrigin } from '../http/head-checks.ts';
import type { ResolvedOptions } from '../base/options/endpoint-options.ts';
import { inHookTime } from '../base/hook-time.ts';
import type { Lifecycle } from '../session/lifecycle.ts';

/** The user of callers with a token for whom `sessionUser` names none. Anonymous callers have no user. */
const UNNAMED = JSON.stringify(['authenticated']);

export type UserOf = (authInfo: AuthInfo | undefined) => string | undefined;

export interface CallerChecksOptions {
  readonly options: ResolvedOptions;
  readonly lifecycle: Lifecycle;
  /** `undefined`: without the option `auth`. */
  readonly authenticator: Authenticator | undefined;
  readonly userOf: UserOf;
  readonly checks: RequestChecks;
  /** `undefined`: without the option `legacySse`. */
  readonly sse: LegacySseEra | undefined;
}

export class CallerChecks {
  readonly #given: CallerChecksOptions;

  constructor(given: CallerChecksOptions) {
    this.#given = given;
  }

  /** `allowedHosts`: from the listener, where the option leaves it to the listener's address. */
  enter(exchange: Exchange, allowedHosts = this.#given.options.allowedHosts): void {
    const { options, lifecycle, authenticator } = this.#given;
    if (answersCors(exchange, options.allowedOrigins)) return;
    if (lifecycle.closed) return refuse(exchange, closedEndpoint(), null);
    // A client opens a stream again whose connection is closed; 503 ends some clients for good.
    if (lifecycle.refusal !== undefined && exchange.method === 'GET') return exchange.cut();
    const refusal =
      checkFields(exchange) ??
      (allowedHosts === undefined ? undefined : checkHost(exchange.authority, allowedHosts)) ??
      checkOrigin(exchange.header('origin'), options.allowedOrigins);
    if (refusal !== undefined) return refuse(exchange, refusal, null);
    if (authenticator === undefined) return this.#identify(exchange);
    const found = authenticator.authenticate(exchange);
    if (!(found instanceof Promise)) return this.#authenticated(exchange, found);
    const hook = { hook: 'the verification of a token', sessionId: undefined };
    const inTime = inHookTime(options, hook, found).catch(asSojournError);
    guarded(exchange, () => inTime.then((info) => this.#authenticated(exchange, info)));
  }

  #authenticated(exchange: Exchange, found: Identity): void {
    if (found instanceof SojournError) return refuse(exchange, found, null);
    if (exchange.closed) return;
    if (this.#given.lifecycle.closed) return refuse(exchange, closedEndpoint(), null);
    exchange.authInfo = found;
    this.#identify(exchange);
  }

  #identify(exchange: Exchange): void {
    try {
      exchange.userKey = this.#given.userOf(exchange.authInfo);
    } catch (cause) {
      const err = thrownWithoutToken(cause, exchange.authInfo?.token);
      const why = err instanceof Error ? err.message : String(err);
      const text = `A request is refused with 500, because its user is unknown: ${why}`;
      this.#given.options.logger.warn({ err }, text);
      return refuse(exchange, internal(cause), null);
    }
    // The body of a POST is charged with its fields. A stream keeps its own as long as it is open.
    if (exchange.method === 'GET' && !exchange.holdsFields())
      return refuse(exchange, overMemory(), null);
    // The caller is known; the path chooses the transport.
    const { lifecycle, checks, sse } = this.#given;
    const path =
      sse === undefined || lifecycle.refusal !== undefined
        ? undefined
        : legacySsePath(exchange.url);
    if (path === undefined || sse === undefined) return checks.enter(exchange);
    if (exchange.method === 'OPTIONS')
      return refuse(exchange, methodNotAllowed('OPTIONS', 'GET, POST'), null);
    sse.serve(exchange, path);
  }
}

/**
 * Derives the user that a session is bound to (B179).
 * The result of `sessionUser`, else the token's issuer and subject. A JSON array, so that no user can spell another
 * user's key. Never the token itself, because a refreshed token keeps the session. A token without a subject is an
 * error: its `clientId` is the same for every user of one client application.
 */
export function createUserOf({
  sessionUser,
  auth,
}: Pick<ResolvedOptions, 'sessionUser' | 'auth'>): UserOf {
  const unnamed = auth === undefined || auth.anonymous === false ? undefined : UNNAMED;
  const claim = auth?.identification.by === 'jwt' ? auth.identification.jwt.userClaim : 'sub';
  return (authInfo) => {
    if (authInfo === undefined) return undefined;
    if (sessionUser !== undefined) {
      const user: unknown = sessionUser(authInfo);
      if (user === undefined) return unnamed;
      // A promise would make the same key for every user.
      if (typeof user !== 'string')
        throw new TypeError(`sessionUser returned ${typeof user}, takes a string or undefined`);
      return JSON.stringify(['user', user]);
    }
    const { extra = {} } = authInfo;
    const { iss } = extra;
    return JSON.stringify([
      'sub',
      typeof iss === 'string' ? iss : '',
      subjectOf(claim, extra[claim]),
    ]);
  };
}

function subjectOf(claim: string, value: unknown): string {
  const found = userNamedBy(value);
  if (found !== undefined) return found;
  throw new TypeError(
    `authInfo.extra.${claim} names no user (${value === '' ? 'it is empty' : `it is ${value === null ? 'null' : typeof value}`}): ` +
      'in the code that verifies tokens, set it to the subject of the token, or give the option sessionUser',
  );
}
