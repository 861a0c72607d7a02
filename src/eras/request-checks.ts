/**
 * Every check before a request belongs to an era, in one order. The first check that refuses answers the request.
 * Before them, `eras/caller-checks.ts` checks the host, the origin and the token. After the body, the rest of the
 * order depends on the era: `sessions/legacy-era.ts`, and in `sessionless/` `modern-era.ts` and `stateless-era.ts`.
 * `VALIDATION_ORDER` of `test/behaviour/validation-faults.ts` names the checks of a message.
 */
import { isJsonContentType, type RequestId } from '@modelcontextprotocol/server';
import {
  batchNotAllowed,
  beforeItRan,
  bodyTooLarge,
  headerMismatch,
  methodNotAllowed,
  notAcceptable,
  type SojournError,
  unsupportedEncoding,
  unsupportedMediaType,
  unsupportedVersion,
} from '../base/errors.ts';
import { accepted } from '../http/head-checks.ts';
import { answerable, namesSession, refuse } from '../http/answer.ts';
import { ID_SOUGHT, type RefusedBody } from '../http/body.ts';
import type { Exchange } from '../http/exchange.ts';
import { type Checked, claimedVersion, handshakeVersion } from '../base/protocol/jsonrpc.ts';
import { roleOf } from '../base/protocol/methods.ts';
import type { ResolvedOptions } from '../base/options/endpoint-options.ts';
import { quoted } from '../base/shown.ts';
import { isModern, servedVersions } from '../base/protocol/versions.ts';
import type { PostBody } from '../session/inbound/inbound.ts';
import type { LegacyEra } from './sessions/legacy-era.ts';
import type { StatelessEra } from './sessionless/stateless-era.ts';
import type { ModernEra } from './sessionless/modern-era.ts';
import type { Lifecycle } from '../session/lifecycle.ts';
import { parseCallEventId } from '../session/streams/event-id.ts';
import { readMessages } from './message-checks.ts';

/** The eras, as checked requests enter them. */
export interface CheckedEras {
  readonly modern: ModernEra;
  /** POSTs of clients that do not speak 2026-07-28. */
  readonly posts: LegacyEra | StatelessEra;
  readonly sessions: LegacyEra;
}

/** The versions that a POST names. */
interface NamedVersions {
  /** In the header, where it is a choice. */
  readonly header: string | undefined;
  /** The revision that an `initialize` names. */
  readonly requested: string | undefined;
  /** In the envelope of a message of 2026-07-28. */
  readonly claim: unknown;
}

/** Only `'POST'`, where the endpoint keeps no sessions or the client speaks 2026-07-28. */
const POST_ONLY = 'POST';
const WITH_SESSIONS = 'GET, POST, DELETE';

export class RequestChecks {
  readonly #options: ResolvedOptions;
  readonly #eras: CheckedEras;
  readonly #lifecycle: Pick<Lifecycle, 'refusal'>;
  /** Newest first. */
  readonly #versions: readonly string[];
  readonly #servesModern: boolean;
  readonly #servesLegacy: boolean;

  constructor(options: ResolvedOptions, lifecycle: Pick<Lifecycle, 'refusal'>, eras: CheckedEras) {
    this.#options = options;
    this.#lifecycle = lifecycle;
    this.#eras = eras;
    this.#versions = servedVersions(options.sessionMode, options.supportedProtocolVersions);
    this.#servesModern = this.#versions.some(isModern);
    this.#servesLegacy = !this.#versions.every(isModern);
  }

  enter(exchange: Exchange): void {
    const wrong = this.#method(exchange) ?? this.#accept(exchange);
    if (exchange.method === 'POST')
      return this.#receive(
        exchange,
        wrong ?? this.#contentType(exchange) ?? this.#declaredLength(exchange),
      );
    const refusal = wrong ?? this.#version(exchange.header('mcp-protocol-version'), undefined);
    if (refusal !== undefined) return refuse(exchange, refusal, null);
    if (this.#resumesCall(exchange)) this.#eras.modern.resumeGet(exchange);
    else if (exchange.method === 'DELETE' && this.#lifecycle.refusal !== undefined)
      refuse(exchange, this.#lifecycle.refusal, null);
    else this.#eras.sessions.getOrDelete(exchange);
  }

  /** A GET that asks for what followed on the stream of a 2026-07-28 request. */
  #resumesCall(exchange: Exchange): boolean {
    if (exchange.method !== 'GET' || !this.#servesModern) return false;
    return parseCallEventId(exchange.header('last-event-id')) !== undefined;
  }

  #method(exchange: Exchange): SojournError | undefined {
    const { method } = exchange;
    if (method === 'POST' || this.#resumesCall(exchange)) return undefined;
    const header = exchange.header('mcp-protocol-version');
    const modern =
      this.#servesModern &&
      header !== undefined &&
      isModern(header) &&
      this.#versions.includes(header);
    const sessions = this.#servesLegacy && this.#options.sessionMode !== 'stateless';
    // Clients that look for a stream before they initialize take a 405 in silence, and report a 400 as an error.
    const early =
      this.#servesModern && method === 'GET' && exchange.header('mcp-session-id') === undefined;
    const allow = modern || early || !sessions ? POST_ONLY : WITH_SESSIONS;
    return allow === WITH_SESSIONS && (method === 'GET' || method === 'DELETE')
      ? undefined
      : methodNotAllowed(method, allow);
  }

  /**
   * Whether the body of a POST that is refused for its head is read: on a session and in 2026-07-28 for its id, and where
   * it is too long because its client may write all of it before it reads the answer.
   */
  #readsOn(exchange: Exchange, { code }: SojournError): boolean {
    const most = ID_SOUGHT * this.#options.limits.bodyBytes;
    if (Number(exchange.header('content-length')) > most) return false;
    const version = exchange.header('mcp-protocol-version');
    const isOfModern = version !== undefined && isModern(version) && this.#servesModern;
    return code === 'BODY_TOO_LARGE' || isOfModern || namesSession(exchange);
  }

  #receive(exchange: Exchange, wrongHead: SojournError | undefined): void {
    const { bodyBytes, bodyKeys } = this.#options.limits;
    const idWithin = ID_SOUGHT * bodyBytes;
    if (wrongHead !== undefined && !this.#readsOn(exchange, wrongHead))
      return refuse(exchange, wrongHead, null);
    const received = (read: string | RefusedBody): void => {
      try {
        this.#post(exchange, read, wrongHead);
      } catch (cause) {
        this.#failed(exchange, cause, null);
      }
    };
    exchange.readBody(
      { bytes: wrongHead === undefined ? bodyBytes : 0, keys: bodyKeys, idWithin },
      received,
    );
  }

  #accept(exchange: Exchange): SojournError | undefined {
    if (exchange.method === 'DELETE') return undefined;
    const { json, stream } = accepted(exchange.header('accept'));
    if (exchange.method !== 'POST') return stream ? undefined : notAcceptable('text/event-stream');
    if (this.#options.responseMode === 'json')
      return json ? undefined : notAcceptable('application/json');
    return json && stream ? undefined : notAcceptable('application/json and text/event-stream');
  }

  #contentType(exchange: Exchange): SojournError | undefined {
    const type = exchange.header('content-type');
    const encoding = exchange.header('content-encoding');
    // A framework that has parsed the body has decoded it.
    if (
      encoding !== undefined &&
      encoding.toLowerCase() !== 'identity' &&
      exchange.parsedBody === undefined
    )
      return unsupportedEncoding(encoding);
    return type === 'application/json' || isJsonContentType(type)
      ? undefined
      : unsupportedMediaType(type);
  }

  #declaredLength(exchange: Exchange): SojournError | undefined {
    const { bodyBytes } = this.#options.limits;
    return Number(exchange.header('content-length')) > bodyBytes
      ? bodyTooLarge(bodyBytes)
      : undefined;
  }

  /**
   * `claim`: the version in an envelope. Its client speaks the modern era, so the error lists only the versions that
   * `server/discover` lists. A header that differs from a modern claim is a mismatch, which that era refuses.
   */
  #version(header: string | undefined, claim: unknown): SojournError | undefined {
    if (header === undefined || this.#versions.includes(header)) return undefined;
    if (this.#servesModern && typeof claim === 'string' && isModern(claim) && claim !== header)
      return undefined;
    const modern = claim === undefined ? [] : this.#versions.filter(isModern);
    return unsupportedVersion(header, modern.length > 0 ? modern : this.#versions);
  }

  /** With `responseMode: 'json'` a client may accept JSON alone, and this answer is a stream. */
  #listens(exchange: Exchange, [first]: readonly Checked[]): SojournError | undefined {
    const isListen = first?.kind === 'request' && roleOf(first.message.method) === 'listen';
    if (!isListen || accepted(exchange.header('accept')).stream) return undefined;
    return notAcceptable('text/event-stream');
  }

  /**
   * Some clients, such as the Java SDK, send the version that they offer in `initialize` as the header too. That is no
   * choice of a version, so the endpoint offers another one, as it does without the header (B153).
   */
  #versionsOf(exchange: Exchange, { messages: [first] }: PostBody): NamedVersions {
    const header = exchange.header('mcp-protocol-version');
    const requested = first && handshakeVersion(first);
    const claim = claimedVersion(first);
    const isOffer = header !== undefined && header === requested && claim === undefined;
    const isNone = isOffer && this.#servesLegacy && !this.#versions.includes(header);
    return { header: isNone ? undefined : header, requested, claim };
  }

  #post(exchange: Exchange, read: string | RefusedBody, wrongHead: SojournError | undefined): void {
    if (wrongHead !== undefined)
      return refuse(exchange, wrongHead, typeof read === 'string' ? null : read.id);
    const post = typeof read === 'string' ? readMessages(exchange, read) : read;
    if ('error' in post) return refuse(exchange, post.error, post.id);
    const id = post.only?.id ?? null;
    const named = this.#versionsOf(exchange, post);
    const refusal =
      this.#version(named.header, named.claim) ?? this.#listens(exchange, post.messages);
    if (refusal !== undefined) return refuse(exchange, refusal, id);
    // Requests still arrive on open connections after a drain. Some clients end at a 503, so a request of a session gets
    // an error with its id.
    const closing = this.#lifecycle.refusal;
    if (closing !== undefined) return refuse(exchange, beforeItRan(closing), id);
    try {
      this.#era(exchange, post, named, id);
    } catch (cause) {
      this.#failed(exchange, cause, id);
    }
  }

  #era(exchange: Exchange, post: PostBody, named: NamedVersions, id: RequestId | null): void {
    const { header, claim, requested } = named;
    const headerIsModern = header !== undefined && isModern(header);
    if (post.batch) {
      if (headerIsModern) {
        return refuse(
          exchange,
          batchNotAllowed('batches are not part of protocol revision 2026-07-28'),
          null,
        );
      }
      return this.#eras.posts.post(exchange, post);
    }
    if (headerIsModern || claim !== undefined) {
      if (this.#servesModern) return this.#serveModern(exchange, post, header);
      const wanted = typeof claim === 'string' ? claim : (header ?? 'unknown');
      if (isModern(wanted)) return refuse(exchange, unsupportedVersion(wanted, this.#versions), id);
    }
    if (!this.#servesLegacy) return this.#refuseLegacy(exchange, post, requested, id);
    if (header !== undefined && requested !== undefined && requested !== header) {
      const asked = `initialize asks for ${quoted(requested)}`;
      return refuse(exchange, headerMismatch('MCP-Protocol-Version', header, asked), id);
    }
    this.#eras.posts.post(exchange, post);
  }

  #serveModern(exchange: Exchange, post: PostBody, header: string | undefined): void {
    if (!this.#eras.modern.post(exchange, post, header)) this.#eras.posts.post(exchange, post);
  }

  /**
   * Legacy clients cannot switch to the modern era. The list of served versions may be all that their users can read.
   */
  #refuseLegacy(
    exchange: Exchange,
    post: PostBody,
    requested: string | undefined,
    id: RequestId | null,
  ): void {
    // The modern era refuses responses, and accepts and drops notifications, which no rule covers.
    if (post.messages[0]?.kind !== 'request') return this.#serveModern(exchange, post, undefined);
    const served = `this endpoint serves ${this.#versions.join(', ')} alone`;
    const error =
      requested === undefined
        ? headerMismatch('MCP-Protocol-Version', undefined, served)
        : unsupportedVersion(requested, this.#versions);
    refuse(exchange, error, id);
  }

  #failed(exchange: Exchange, cause: unknown, id: RequestId | null): void {
    refuse(exchange, answerable(cause, this.#options.logger, 'A request could not be served'), id);
  }
}
