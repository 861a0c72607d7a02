/**
 * Serves a POST of a session that is live here, after the checks of user and version: `STEPS`, as `../ladder.ts` takes
 * them. Until what must be stored is stored nothing was sent, so another owner can still serve the POST.
 *
 *     all of it may run twice ─▶ dispatched at once; its messages wait for the store
 *     else                    ─▶ stored, then dispatched
 *     it is a retry ─▶ the outcome of the first attempt (`session/life/repeated-calls.ts`)
 */
import {
  beforeItRan,
  overMemory,
  ownerLost,
  ranTooOften,
  SojournError,
  storeUnavailable,
} from '../../base/errors.ts';
import { lostCallJson } from '../../http/answer.ts';
import { afterTurn } from '../../base/system.ts';
import {
  afterStoring,
  type FirstAttempt,
  isFull,
  ranOften,
} from '../../session/inbound/retries.ts';
import type { CallerRequest } from '../../http/caller-request.ts';
import type { Sink } from '../../http/sink.ts';
import type { RpcRequest } from '../../base/protocol/jsonrpc.ts';
import type { Authorizer } from '../../http/auth/hook-authorizer.ts';
import type { AdmittedPost } from '../../session/calls/call.ts';
import { attachToFirstAttempt, isRetry } from '../../session/life/repeated-calls.ts';
import { isStoreAway } from '../../session/record/pause.ts';
import type { SessionTransport } from '../../session/server/session-transport.ts';
import type { LiveSession } from '../../session/session.ts';
import type { AppendExtra, WriteResult } from '../../session/streams/event-log.ts';
import {
  type AttemptId,
  attemptOf,
  counts,
  type Inbound,
  isAbandoned,
  type NextAttempt,
  type PostBody,
} from '../../session/inbound/inbound.ts';
import type { MaybePromise } from '../../stores/store.ts';
import {
  authorize,
  climb,
  type EnteringMessages,
  type LadderSteps,
  scopes,
  type Stop,
} from '../ladder.ts';
import { type LegacyParts, track } from './era-parts.ts';

const STEPS: LadderSteps<EnteringPost> = [
  authorize,
  scopes,
  // Before the limits, because a first attempt that runs has the places.
  (entry) => entry.repeat(),
  (entry) => entry.sessionLimits(),
  (entry) => entry.silent(),
  (entry) => entry.userLimits(),
  (entry) => entry.admitted && entry.store(entry.admitted),
  (entry) => entry.admitted && entry.begin(entry.admitted),
  (entry) => entry.admitted && entry.firstAnswers(entry.admitted),
  (entry) => entry.dispatch(),
];

/** Throws where the POST must wait for a place in its session. */
export function servePost(
  parts: LegacyParts,
  session: LiveSession,
  inbound: Inbound,
  post: PostBody,
): MaybePromise<NextAttempt> {
  const entry = new EnteringPost(parts, session, inbound, post);
  const stop = climb(STEPS, entry);
  if (!(stop instanceof Promise)) return nextOf(inbound, stop);
  const next = stop.then((late) => nextOf(inbound, late));
  return entry.admitted === undefined ? track(parts, inbound.caller, next) : next;
}

function nextOf({ sink, requestId }: Inbound, stop: Stop): NextAttempt {
  if (!(stop instanceof SojournError)) return stop === 'done' ? undefined : stop;
  if (isFull(stop)) throw stop;
  sink.refuse(beforeItRan(stop), requestId);
  return undefined;
}

/** An arrival of requests that have arrived before. Their session may know of more runs than their sender. */
function counted({ markers }: LiveSession, inbound: Inbound, { requests }: PostBody): Inbound {
  const { mayHaveRun = 0, attemptId } = inbound;
  if (mayHaveRun === 0 && attemptId?.ofProxy !== true) return inbound;
  const runs = markers?.ranBefore(requests, attemptId) ?? 0;
  return runs > mayHaveRun ? { ...inbound, mayHaveRun: runs } : inbound;
}

/** The messages of a POST on their way into a session that is live here. */
class EnteringPost implements EnteringMessages {
  readonly caller: CallerRequest;
  readonly authorizer: Authorizer | undefined;
  readonly transport: SessionTransport;
  readonly requests: readonly RpcRequest[];
  readonly attempt: number;
  readonly attemptId: AttemptId | undefined;
  allowed: readonly RpcRequest[];
  /** Set when the requests have their ids. From then on the session counts them. */
  admitted: AdmittedPost | undefined = undefined;
  readonly #parts: LegacyParts;
  readonly #session: LiveSession;
  readonly #inbound: Inbound;
  readonly #post: PostBody;

  constructor(parts: LegacyParts, session: LiveSession, arrived: Inbound, post: PostBody) {
    const inbound = counted(session, arrived, post);
    this.caller = inbound.caller;
    this.authorizer = session.host.services.authorizer;
    this.transport = session.transport;
    this.attempt = attemptOf(inbound);
    this.attemptId = inbound.attemptId;
    this.requests = this.allowed = post.requests;
    this.#post = post;
    this.#parts = parts;
    this.#session = session;
    this.#inbound = inbound;
  }

  /** While a hook runs, the session may leave, or the link to the relaying instance may fail. */
  stopIfLeft(): Stop {
    return this.admitted !== undefined || this.#stays ? undefined : this.#inbound;
  }

  get #stays(): boolean {
    const { left, ownership } = this.#session;
    return !left && ownership.leaseValid && this.caller.relayOrigin?.linkFailed !== true;
  }

  /** `runs`: how often this attempt may have run it. */
  #marked(runs: 0 | 1): Inbound {
    const { mayHaveRun = 0 } = this.#inbound;
    return { ...this.#inbound, mayHaveRun: Math.max(1, mayHaveRun + runs) };
  }

  repeat(): MaybePromise<Stop> {
    const session = this.#session;
    const { requests } = this;
    if (isRetry(session, requests, this.#inbound)) return this.#repeat();
    return requests.length > 0 && ranOften(this.#inbound)
      ? this.#lost(ranTooOften(this.attempt - 1))
      : undefined;
  }

  #lost(error: SojournError): Stop {
    const sink = this.#beginSink(false);
    for (const request of this.requests)
      sink.message(lostCallJson(this.#parts.options, request, error));
    sink.end();
    return 'done';
  }

  /** Answers a call that an earlier attempt began with the answer of that attempt, or with `owner_lost`. */
  async #repeat(): Promise<Stop> {
    const session = this.#session;
    const { requests } = this;
    const { logger } = this.#parts.options;
    const { mayHaveRun } = this.#inbound;
    let first: FirstAttempt = 'lost';
    try {
      first = await attachToFirstAttempt(session, requests, this.#inbound, () =>
        this.#beginSink(false),
      );
    } catch (err) {
      // The call waits for the store, which may have its answer.
      if (mayHaveRun !== undefined && isStoreAway(err)) throw err;
      logger.error(
        { err, sessionId: session.id },
        'Whether a call has run before could not be read: it counts as a call that may have run',
      );
    }
    if (first === 'attached') return 'done';
    if (!this.#stays) return this.#marked(0);
    return first === 'run' ? undefined : this.#lost(ownerLost(true));
  }

  /** Ids that are in flight, and how many requests and notifications of the session run. */
  sessionLimits(): SojournError | undefined {
    const { calls, record } = this.#session;
    const { requestsPerSession } = this.#parts.options.limits;
    const refusal = calls.running.refusal(record, this.requests, requestsPerSession);
    return refusal ?? calls.refusal(this.#post.messages, requestsPerSession);
  }

  /** Messages without a request need no place and no response. */
  silent(): MaybePromise<Stop> {
    if (this.requests.length > 0) return undefined;
    this.dispatch();
    const session = this.#session;
    // A POST without requests is a use of the session, too.
    session.enter();
    session.exit();
    // Once a notification is accepted, its change of the session must survive a crash.
    if (session.record.writes.saving) return this.#saved();
    this.#inbound.sink.done(202);
    return 'done';
  }

  /** Past `maxWaitMs` the POST is accepted anyway: the record keeper retries until the store has the change. */
  async #saved(): Promise<Stop> {
    const failure = await this.#session.record.writes.saved();
    if (failure !== undefined && this.#session.left) return this.#inbound;
    this.#inbound.sink.done(202);
    return 'done';
  }

  /** Takes places in the limits of the user and of the tools, and then the ids. */
  userLimits(): SojournError | undefined {
    const { gate } = this.#parts;
    const admissions = gate.limitsSessions
      ? gate.enterAll(this.caller, this.requests, this.allowed)
      : [];
    if (admissions instanceof SojournError) return admissions;
    this.admitted = this.#session.calls.admitPost(this, admissions);
    return undefined;
  }

  /** Stores what must be stored before the requests run. */
  store(admitted: AdmittedPost): MaybePromise<Stop> {
    const { markers } = this.#session;
    const { stream } = admitted;
    // `undefined`: no other process can own the session. Without a `mark`, the request may run twice.
    const extra = stream.logged ? markers?.firstEvent(admitted) : undefined;
    if (extra !== undefined && extra.mark === undefined) return this.#runAhead(admitted, extra);
    const stored = stream.logged
      ? stream.storePoint(extra)
      : (markers?.markAll(admitted) ?? 'written');
    if (!(stored instanceof Promise))
      return stored === 'written' ? undefined : this.#notRun(admitted, stored);
    const starting = stored.then((result) => this.#stored(admitted, result));
    for (const call of admitted.calls) call.starting = starting;
    return starting;
  }

  /**
   * Calls that may run twice do not wait for the store, but their messages do. So the priming event and an immediate
   * answer are stored together (docs/adr/calls-that-may-run-twice.md).
   */
  #runAhead(admitted: AdmittedPost, extra: AppendExtra): Promise<Stop> {
    const sink = this.#beginSink(admitted.stream.clientResumes);
    return new Promise((resolve, reject) => {
      this.#session.calls.beginAhead(admitted, sink, extra, (result) => {
        try {
          resolve(this.#storedLate(admitted, result));
        } catch (cause) {
          reject(cause);
        }
      });
      const answers = this.firstAnswers(admitted);
      if (answers === undefined) this.dispatch();
      else void answers.then((stop) => stop ?? this.dispatch());
    });
  }

  #storedLate(admitted: AdmittedPost, result: WriteResult): Stop {
    const session = this.#session;
    // The priming event was stored, but the session has a new owner, which runs the call again.
    const moved = admitted.calls.some(({ end }) => end === 'handedOver');
    if (result === 'written' && !moved) return 'done';
    const next = afterStoring(result, { left: session.left, ran: true });
    session.calls.withdrawRunning(admitted);
    this.#inbound.sink.withdraw();
    if (next === 'refuse') return storeUnavailable('writing before an answer');
    if (this.caller.relayOrigin === undefined) return this.#marked(1);
    // Its calls have run here: the relaying instance takes them to the next owner marked, as those of a lost owner.
    this.#inbound.sink.handOver(true);
    return 'done';
  }

  /**
   * The lease may have run out while the store was asked. Until it is back no call begins: another instance may own the
   * session, and may have told the client that the call is lost.
   */
  async #stored(admitted: AdmittedPost, result: WriteResult): Promise<Stop> {
    const { ownership } = this.#session;
    if (result !== 'written') return this.#notRun(admitted, result);
    do {
      if (!ownership.leaseValid) {
        admitted.stream.noteDelay();
        await ownership.untilLeaseValid();
      }
      // A store answers the writes of many calls in one turn. The answer of each is charged before the next call
      // starts: 60 results of 8 MB, all made before, end a process with a heap of 512 MB. The turn may be a long one.
      await new Promise<void>(afterTurn);
    } while (!ownership.leaseValid && !ownership.left);
    return undefined;
  }

  /** Nothing has run or was sent. The session has another owner now, or has ended: the next attempt finds out which. */
  #notRun(admitted: AdmittedPost, stored: WriteResult): Stop {
    const session = this.#session;
    const next = afterStoring(stored, { left: session.left, ran: false });
    if (stored === 'fenced') session.ownership.fenced();
    session.calls.withdraw(admitted);
    if (next === 'refuse') return storeUnavailable('writing before a call');
    if (next === 'mayHaveRun') return this.#marked(0);
    return { ...this.#inbound, storedAs: admitted.stream.key };
  }

  /** Begins the response to the requests. */
  begin(admitted: AdmittedPost): Stop {
    const session = this.#session;
    const { caller } = this;
    const { stream } = admitted;
    if (session.left) return this.#notRun(admitted, 'written');
    // The client disconnected while the POST waited for the store, and has no event id to resume from.
    const waited = stream.delayed || this.#inbound.waitUntil !== undefined;
    if (waited && isAbandoned(this.#inbound) && caller.relayOrigin === undefined) {
      session.calls.completeUnrun(admitted);
      return 'done';
    }
    session.markers?.keep(admitted);
    // A retry may have attached to the stream while it was being stored. This sink is older than the retry's.
    if (stream.hasOpenSink) this.#inbound.sink.cut();
    else session.calls.begin(stream, this.#beginSink(stream.clientResumes));
    return undefined;
  }

  /** Waits for what a restored server asked first. A ping need not, and a batch with an answer must not. */
  firstAnswers({ stream }: AdmittedPost): Promise<Stop> | undefined {
    const { usedQuestions: questions, ownership } = this.#session;
    if (questions === undefined) return undefined;
    const waits =
      counts(this.#inbound) && !this.#post.messages.some(({ kind }) => kind === 'response');
    if (!waits) questions.carryFirst(stream);
    const answers = waits ? questions.firstAnswers(stream) : undefined;
    return answers?.then(async () => {
      if (!ownership.leaseValid) await ownership.untilLeaseValid();
      return ownership.left ? 'done' : undefined;
    });
  }

  /** Delivers the messages, in their order. */
  dispatch(): undefined {
    const { calls, host, share } = this.#session;
    const { budget } = host.held.answers;
    let next = 0;
    for (const checked of this.#post.messages) {
      if (checked.kind === 'notification') calls.notification(checked.message, this.caller);
      else if (checked.kind === 'response') calls.response(checked.message, this.caller);
      if (checked.kind !== 'request') continue;
      const call = this.admitted?.calls[next];
      next += 1;
      // A request may have been cancelled while it waited for the store.
      if (call?.isOver !== false) continue;
      if (!budget.isShort(share)) calls.dispatch(checked.message, call);
      else calls.refuse(checked.message, beforeItRan(overMemory()));
    }
  }

  #beginSink(isResumed: boolean): Sink {
    const { responses, options } = this.#parts;
    const { post, resumed, batch, json } = responses;
    const { sink } = this.#inbound;
    sink.begin(
      options.responseMode === 'json'
        ? this.#post.batch
          ? batch
          : json
        : isResumed
          ? resumed
          : post,
    );
    return sink;
  }
}
