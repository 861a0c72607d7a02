/**
 * The 2025 era with sessions (2025-03-26 to 2025-11-25, streamable HTTP): POST, GET and DELETE of a session on any
 * instance. Order of the checks after `request-checks.ts`: session id → lookup → user → version of the session
 * (`router.ts`), then those of a POST (`../ladder.ts`).
 */
import type { RequestItem } from '../../cluster/messages.ts';
import {
  answerOverLimit,
  batchNotAllowed,
  sessionIdMissing,
  sessionNotFound,
} from '../../base/errors.ts';
import { BODY_WEIGHT, holdText } from '../../http/body.ts';
import type { Exchange } from '../../http/exchange.ts';
import type {
  Continuation,
  ResponsePolicy,
  ResponseSink,
  SessionResponse,
} from '../../http/sink.ts';
import { HeardAnswer } from '../../http/heard-answer.ts';
import { HttpResponse } from '../../http/response.ts';
import { checkMessage, claimedVersion, toolOf } from '../../base/protocol/jsonrpc.ts';
import { roleOf } from '../../base/protocol/methods.ts';
import { type Inbound, type PostBody, postOf } from '../../session/inbound/inbound.ts';
import { attemptIdOf } from '../../session/calls/attempts.ts';
import { answerToResume, refuseResume, replayPlaces } from './get.ts';
import type { LegacyOptions, LegacyParts, LegacyResponses } from './era-parts.ts';
import { Relay, type RelayedServer } from '../../cluster/relay/relay.ts';
import type { LinkSink } from '../../cluster/relay/link-sink.ts';
import { SentRequest } from '../../cluster/relay/sent-request.ts';
import { Router } from './router.ts';
import type { WaitingRequests } from './waiting.ts';

/**
 * An event that is being stored is often the answer: then both leave in one write. A store on the same network answers
 * sooner, even under load.
 */
const STORED_HEAD_MS = 5;

export class LegacyEra implements RelayedServer, Continuation {
  readonly parts: LegacyParts;
  readonly #router: Router;
  /** Calls that wait for a lease or the store. */
  readonly waiting: WaitingRequests;
  readonly relay: Relay;

  constructor(given: LegacyOptions) {
    const { options, registry } = given;
    const all = { form: 'events', continuation: this, headMs: STORED_HEAD_MS } as const;
    const largeAsJson = options.responseMode === 'auto';
    const post: ResponsePolicy = { ...all, onSession: 'post', headNeedsId: true, largeAsJson };
    const responses: LegacyResponses = {
      post,
      resumed: { ...post, onSession: 'resumed', endsWithToken: true },
      get: { ...all, onSession: 'get', endsWithHost: true, endsWithToken: true },
      json: { ...post, onSession: 'json', form: 'json' },
      batch: { ...post, onSession: 'batch', form: 'batch' },
    };
    this.relay = new Relay({ ...given, responses, server: this, memory: registry.held.requests });
    const parts = { responses, relay: this.relay, replays: replayPlaces(options) };
    this.parts = { ...given, ...parts, tracked: new Set() };
    this.#router = new Router(this.parts);
    this.waiting = this.#router.waiting;
  }

  /** POSTs and DELETEs that no live session counts: opening a session, looking for it, or at another instance. */
  get running(): number {
    return this.parts.tracked.size;
  }

  post(exchange: Exchange, post: PostBody): void {
    const sink = new HttpResponse(exchange, this.parts.responses.post);
    const requestId = post.only?.id ?? null;
    if (!this.#accepts(exchange)) return sink.refuse(sessionNotFound(), requestId);
    const attemptId = attemptIdOf(exchange, this.parts.options.attemptHeader);
    this.enter({ kind: 'post', caller: exchange, sink, post, requestId, attemptId });
  }

  getOrDelete(exchange: Exchange): void {
    const isGet = exchange.method === 'GET';
    const after = isGet ? exchange.header('last-event-id') : undefined;
    const sink = new HttpResponse(exchange, this.parts.responses.post);
    const inbound: Inbound = {
      kind: isGet ? 'get' : 'delete',
      caller: exchange,
      sink,
      requestId: null,
      after,
    };
    if (!this.#accepts(exchange)) return sink.refuse(sessionNotFound(), null);
    const refusal = this.parts.gate.count(exchange);
    if (refusal === undefined) return this.enter(inbound);
    const { parts } = this;
    if (answerToResume(parts, inbound) || refuseResume(parts, inbound, answerOverLimit())) return;
    inbound.sink.refuse(refusal, null);
  }

  /** Where the client is connected: the generator of the ids may know another path as theirs. */
  #accepts(exchange: Exchange): boolean {
    const accepts = this.parts.options.sessionIdGenerator?.accepts;
    if (accepts === undefined) return true;
    const id = exchange.header('mcp-session-id');
    return id === undefined || accepts(id, exchange.request);
  }

  enter(inbound: Inbound): void {
    const { caller, sink, post, requestId } = inbound;
    const id = caller.header('mcp-session-id');
    if (id !== undefined) return this.#router.run(id, inbound);
    if (post?.batch === true)
      return sink.refuse(
        batchNotAllowed('a batch belongs to a session negotiated at 2025-03-26'),
        null,
      );
    const [first] = post?.messages ?? [];
    if (first?.kind !== 'request' || roleOf(first.message.method) !== 'handshake')
      return sink.refuse(sessionIdMissing(caller.method), requestId);
    const refusal = this.parts.gate.count(caller);
    if (refusal !== undefined) return sink.refuse(refusal, requestId);
    this.#router.open(inbound);
  }

  /**
   * Serves a call that another instance relayed: its session lives here, or opens here because that instance drains.
   */
  serveRelayed(item: RequestItem, caller: SentRequest, sink: LinkSink): void {
    const { call: kind, mayHaveRun, runs = 1, attemptId, storedAs, after, text = '' } = item;
    const runsBefore = mayHaveRun ? runs : 0;
    const before = mayHaveRun ? { mayHaveRun: runs } : undefined;
    const inbound: Inbound = { kind, caller, sink, requestId: null, after, ...before };
    if (kind !== 'post' && kind !== 'handle') return this.enter(inbound);
    // What the owner keeps counts in its memory too.
    const refused = holdText(
      sink,
      text,
      this.parts.options.limits.bodyKeys,
      text.length * BODY_WEIGHT,
    );
    if (refused !== undefined) return sink.refuse(refused.error, refused.id);
    const body: unknown = JSON.parse(text);
    const batch = Array.isArray(body);
    // The other instance has checked the request. Messages are classified again, because their kinds are not relayed.
    const messages = (batch ? (body as unknown[]) : [body]).map(checkMessage);
    if (kind === 'handle') {
      const [first] = messages;
      if (first?.kind !== 'request') return sink.handOver(false);
      sink.tool = toolOf(first.message);
      const { modernGuests, guests } = this.parts;
      const { session } = item;
      sink.attempt = 1 + runsBefore;
      const modern = session === undefined ? claimedVersion(first) : undefined;
      const version = session?.version ?? modern ?? caller.header('mcp-protocol-version') ?? '';
      const era = modern === undefined ? guests : modernGuests;
      return era.serveGuest(first, String(version), session, caller, sink);
    }
    const post = postOf(messages, batch, text);
    const requestId = post.only?.id ?? null;
    sink.tool = post.only && toolOf(post.only);
    this.enter({
      ...inbound,
      post,
      requestId,
      attemptId,
      ...(storedAs !== undefined && { storedAs }),
    });
  }

  /** The response of a client that reads here continues with what the next owner of its session sends. */
  continueResponse(exchange: Exchange, sink: ResponseSink, response: SessionResponse): void {
    const id = exchange.header('mcp-session-id');
    if (id === undefined) return sink.end();
    const kind = response === 'get' ? 'get' : 'resume';
    this.#router.run(id, {
      kind,
      caller: exchange,
      sink,
      requestId: null,
      after: sink.lastId,
      mayHaveRun: 1,
    });
  }

  /** A DELETE that no client sends now, so none leaves while it waits for a store that is away. `from`: who ends it. */
  end(kind: 'delete' | 'terminate', id: string, from?: Exchange): HeardAnswer {
    const sink = new HeardAnswer();
    const { userKey: user, clientAddress: address, authInfo } = from ?? {};
    const fields = {
      method: 'DELETE',
      url: '',
      absoluteUrl: '',
      headers: { 'mcp-session-id': id },
      user,
      address,
    };
    this.enter({ kind, caller: new SentRequest(fields, authInfo, sink), sink, requestId: null });
    return sink;
  }

  /** Ends a session wherever it lives, as a DELETE of its client does; `false`: there is no such session. */
  async terminate(id: string): Promise<boolean> {
    const sink = this.end('terminate', id);
    await sink.answered;
    const { refused } = sink;
    if (refused === undefined) return true;
    if (refused.code === 'SESSION_NOT_FOUND' || refused.code === 'SESSION_ID_INVALID') return false;
    throw refused;
  }
}
