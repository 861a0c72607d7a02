/**
 * Serves a POST of a session that is live here, after the checks of user and version: scopes → id in flight → running
 * requests → store what must be stored first → dispatch. Before that is stored nothing was sent, so another owner can
 * still serve the POST.
 *
 *     all of it may run twice ─▶ dispatched at once; its messages wait for the store
 *     else                    ─▶ stored, then dispatched
 *     it is a retry ─▶ the outcome of the first attempt (`retry.ts`)
 */
import { batchNotAllowed, beforeItRan, ownerLost, SojournError, storeAway } from '../../errors.ts';
import { afterStoring, type FirstAttempt } from '../../call/retries.ts';
import type { Caller } from '../../http/exchange.ts';
import type { RequestLimits } from '../../limits/request-limits.ts';
import type { Reader, ResponsePolicy, SessionResponse } from '../../http/reader.ts';
import type { Checked, RpcRequest } from '../../protocol/jsonrpc.ts';
import type { ResolvedOptions } from '../../options/endpoint-options.ts';
import { admitAll } from '../../session/calls/authorizer.ts';
import type { AdmittedPost } from '../../session/calls/call.ts';
import type { Registry } from '../../session/registry.ts';
import { attachToFirstAttempt, isRetry } from '../../session/calls/retry.ts';
import { isStoreAway } from '../../session/record/pause.ts';
import type { LiveSession } from '../../session/session.ts';
import type { Stream } from '../../session/streams/stream.ts';
import type { AppendExtra, WriteResult } from '../../session/streams/event-log.ts';
import { allowsBatches } from '../../protocol/versions.ts';
import { type Inbound, isAbandoned, type NextAttempt, type InboundPost } from '../../call/inbound.ts';
import type { MaybePromise } from '../../stores/store.ts';
import { StartsPerTurn } from '../../http/starts-per-turn.ts';

/** Counts work that a drain waits for. */
interface TrackedWork {
  track<T>(exchange: Caller, work: Promise<T>): Promise<T>;
}

export interface LegacyPostsOptions {
  readonly options: ResolvedOptions;
  readonly registry: Registry;
  readonly gate: RequestLimits;
  readonly responses: LegacyResponses;
}

/** What the responses of each kind have in common. */
export type LegacyResponses = Readonly<Record<SessionResponse, ResponsePolicy>>;

/** What a store answers in one turn is of many users. */
const ALL_USERS = '';

export class LegacyPosts {
  readonly #given: LegacyPostsOptions;
  readonly #loop: TrackedWork;
  readonly #starts = new StartsPerTurn();

  constructor(given: LegacyPostsOptions, loop: TrackedWork) {
    this.#given = given;
    this.#loop = loop;
  }

  serve(session: LiveSession, inbound: InboundPost): MaybePromise<NextAttempt> {
    const { exchange, post } = inbound;
    if (post.batch && !allowsBatches(session.version))
      return refused(inbound, batchNotAllowed(`batches are not part of protocol revision ${session.version}`));
    const { authorizer } = session.host;
    const sent = requestsOf(post.messages);
    if (authorizer === undefined) return this.#serveAdmitted(session, inbound, sent);
    const admitted = admitAll(authorizer, sent, exchange.authInfo);
    if (!(admitted instanceof Promise)) return this.#serveAdmitted(session, inbound, admitted);
    const served = admitted.then((requests) =>
      stays(session, inbound) ? this.#serveAdmitted(session, inbound, requests) : inbound,
    );
    return this.#loop.track(exchange, served);
  }

  /** `requests`: those of the POST, in which names that the caller may not use are replaced by unknown ones. */
  #serveAdmitted(
    session: LiveSession,
    inbound: InboundPost,
    requests: readonly RpcRequest[],
  ): MaybePromise<NextAttempt> {
    const { exchange } = inbound;
    const checked = session.transport.checkScopes(requests, exchange.authInfo);
    if (checked instanceof Promise)
      return this.#loop.track(exchange, this.#serveChecked(session, inbound, requests, checked));
    return checked === undefined ? this.#serveAllowed(session, inbound, requests) : refused(inbound, checked);
  }

  /** While a resolver runs, the session may leave, or the link to the relaying instance may fail. */
  async #serveChecked(
    session: LiveSession,
    inbound: InboundPost,
    requests: readonly RpcRequest[],
    checked: Promise<SojournError | undefined>,
  ): Promise<NextAttempt> {
    const refusal = await checked;
    if (refusal !== undefined) return refused(inbound, refusal);
    return stays(session, inbound) ? this.#serveAllowed(session, inbound, requests) : inbound;
  }

  /** Serves a POST whose caller has the scopes. */
  #serveAllowed(
    session: LiveSession,
    inbound: InboundPost,
    requests: readonly RpcRequest[],
  ): MaybePromise<NextAttempt> {
    const { exchange, reader, post, mayHaveRun = false } = inbound;
    const { messages } = post;
    const { authInfo } = exchange;
    const mayBeRetry = mayHaveRun || session.calls.remembersRuns;
    if (mayBeRetry && isRetry(session, requests, authInfo, mayHaveRun))
      return this.#loop.track(exchange, this.#answerRetry(session, inbound, requests));
    const { limits } = this.#given.options;
    const others = requests.length < messages.length;
    const refusal =
      session.calls.running.refusal(session.record, requests, limits) ??
      (others ? session.inbound.refusal(messages, limits.requestsPerSession) : undefined);
    if (refusal?.code === 'TOO_MANY_REQUESTS') throw refusal;
    if (refusal !== undefined) return refused(inbound, refusal);
    if (requests.length === 0) {
      this.#given.registry.touch(session);
      this.#dispatchSilent(session, exchange, messages);
      // Once a notification is accepted, its change of the session must survive a crash.
      if (session.record.saving) return this.#loop.track(exchange, this.#respondSaved(session, inbound));
      reader.done(202);
      return undefined;
    }
    const admissions = this.#given.gate.limitsSessions ? this.#given.gate.enterAll(exchange, requests) : [];
    if (admissions instanceof SojournError) return refused(inbound, admissions);
    const admitted = session.calls.admitPost(
      exchange,
      requests,
      this.#given.options.responseMode === 'json',
      admissions,
    );
    const ahead = session.calls.ahead(admitted);
    if (ahead !== undefined) return this.#startAhead(session, inbound, admitted, ahead);
    const stored = session.calls.storeFirst(admitted);
    if (!(stored instanceof Promise)) return this.#start(session, inbound, admitted, stored);
    const starting = stored.then((result) => this.#startStored(session, inbound, admitted, result));
    for (const call of admitted.calls) call.startsAfter(starting);
    return starting;
  }

  /**
   * Calls that may run twice do not wait for the store, but their messages do. So the priming event and an immediate
   * answer are stored together (docs/adr/0009).
   */
  #startAhead(
    session: LiveSession,
    inbound: InboundPost,
    admitted: AdmittedPost,
    extra: AppendExtra,
  ): Promise<NextAttempt> {
    const reader = this.#begin(inbound, admitted.stream);
    return new Promise((resolve, reject) => {
      session.calls.beginAhead(admitted, reader, extra, (result) => {
        try {
          resolve(this.#storedEarly(session, inbound, admitted, result));
        } catch (cause) {
          reject(cause);
        }
      });
      this.#dispatchAll(session, inbound, admitted);
    });
  }

  #storedEarly(session: LiveSession, inbound: InboundPost, admitted: AdmittedPost, result: WriteResult): NextAttempt {
    // The priming event was stored, but the session has a new owner, which runs the call again.
    const moved = admitted.calls.some(({ phase }) => phase === 'moved');
    if (result === 'written' && !moved) return undefined;
    const next = afterStoring(result, { left: session.left, moved });
    session.calls.withdrawRunning(admitted);
    inbound.reader.withdraw();
    if (next !== 'refuse') return next === 'again' ? inbound : { ...inbound, mayHaveRun: true };
    inbound.reader.refuse(storeAway('writing before an answer'), inbound.requestId);
    return undefined;
  }

  /** Past `waitMs` the POST is accepted anyway: the record keeper retries until the store has the change. */
  async #respondSaved(session: LiveSession, inbound: InboundPost): Promise<NextAttempt> {
    const saved = await session.record.saved();
    if (!saved && session.left) return inbound;
    inbound.reader.done(202);
    return undefined;
  }

  /** Answers a call that an earlier attempt began with the answer of that attempt, or with `owner_lost`. */
  async #answerRetry(
    session: LiveSession,
    inbound: InboundPost,
    requests: readonly RpcRequest[],
  ): Promise<NextAttempt> {
    const { reader } = inbound;
    const open = (): Reader => {
      reader.begin(this.#given.options.responseMode === 'json' ? this.#jsonOf(inbound) : this.#given.responses.post);
      return reader;
    };
    let first: FirstAttempt = 'lost';
    try {
      first = await attachToFirstAttempt(session, requests, open);
    } catch (err) {
      // The call waits for the store, which may have its answer.
      if (inbound.mayHaveRun === true && isStoreAway(err)) throw err;
      this.#given.options.logger.error({ err, sessionId: session.id }, 'The outcome of a call could not be read');
    }
    if (first === 'attached') return undefined;
    if (!stays(session, inbound)) return { ...inbound, mayHaveRun: true };
    if (first === 'run') return this.serve(session, inbound);
    open();
    for (const request of requests) reader.message(session.lostJson(request, ownerLost(true)));
    reader.end();
    return undefined;
  }

  /**
   * The lease may have run out while the store was asked. Until it is back no call begins: another instance may own the
   * session, and may have told the client that the call is lost.
   */
  async #startStored(
    session: LiveSession,
    inbound: InboundPost,
    admitted: AdmittedPost,
    stored: WriteResult,
  ): Promise<NextAttempt> {
    if (stored === 'written' && !session.ownership.leaseValid) {
      admitted.stream.noteDelay();
      await session.ownership.untilLeaseValid();
    }
    return this.#starts.run(ALL_USERS, () => this.#start(session, inbound, admitted, stored));
  }

  /**
   * Continues when everything that must be stored first is stored or refused. Nothing has run or was sent so far.
   */
  #start(session: LiveSession, inbound: InboundPost, admitted: AdmittedPost, stored: WriteResult): NextAttempt {
    const { stream } = admitted;
    if (stored !== 'written' || session.left) {
      const next = afterStoring(stored, { left: session.left, moved: false });
      // The session has another owner now, or has ended. The next attempt finds out which.
      if (stored === 'fenced') session.ownership.fenced();
      session.calls.withdraw(admitted);
      if (next === 'refuse') return refused(inbound, storeAway('writing before a call'));
      return next === 'again' ? inbound : { ...inbound, mayHaveRun: true };
    }
    // The client disconnected while the POST waited for the store, and has no event id to resume from.
    const waited = stream.delayed || inbound.waitUntil !== undefined;
    if (waited && isAbandoned(inbound) && inbound.exchange.relayOrigin === undefined) {
      session.calls.abandon(admitted);
      return undefined;
    }
    session.markers?.keep(admitted);
    // A retry may have attached to the stream while it was being stored. This reader is older than the retry's.
    if (stream.read) inbound.reader.cut();
    else session.calls.begin(stream, this.#begin(inbound, stream));
    this.#dispatchAll(session, inbound, admitted);
    return undefined;
  }

  #begin(inbound: InboundPost, stream: Stream): Reader {
    const { post, resumed } = this.#given.responses;
    inbound.reader.begin(stream.answersOnly ? this.#jsonOf(inbound) : stream.clientResumes ? resumed : post);
    return inbound.reader;
  }

  #jsonOf({ post }: InboundPost): ResponsePolicy {
    return post.batch ? this.#given.responses.batch : this.#given.responses.json;
  }

  #dispatchAll(session: LiveSession, { exchange, post }: InboundPost, { calls, requests }: AdmittedPost): void {
    let next = 0;
    for (const checked of post.messages) {
      if (checked.kind !== 'request') {
        this.#dispatchSilent(session, exchange, [checked]);
        continue;
      }
      const [request, call] = [requests[next], calls[next]];
      next += 1;
      // A request may have been cancelled while it waited for the store.
      if (request !== undefined && call?.answered === false) session.calls.dispatch(request, call);
    }
  }

  #dispatchSilent(session: LiveSession, exchange: Caller, messages: readonly Checked[]): void {
    for (const checked of messages) {
      if (checked.kind === 'notification') session.inbound.notification(checked.message, exchange);
      else if (checked.kind === 'response') session.inbound.response(checked.message, exchange);
    }
  }
}

/** After a hook of the application: the session is served here, and its client can be answered. */
function stays(session: LiveSession, { exchange }: InboundPost): boolean {
  return !session.left && session.ownership.leaseValid && exchange.relayOrigin?.linkFailed !== true;
}

/** Before it ran. */
function refused({ reader, requestId }: Inbound, error: SojournError): undefined {
  reader.refuse(beforeItRan(error), requestId);
}

function requestsOf(messages: readonly Checked[]): RpcRequest[] {
  const requests: RpcRequest[] = [];
  for (const checked of messages) if (checked.kind === 'request') requests.push(checked.message);
  return requests;
}
