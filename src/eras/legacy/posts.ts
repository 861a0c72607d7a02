/**
 * Serves a POST of a session that is live here, after the checks of user and version. `../ladder.ts` has its steps.
 * Until what must be stored is stored nothing was sent, so another owner can still serve the POST.
 *
 *     all of it may run twice ─▶ dispatched at once; its messages wait for the store
 *     else                    ─▶ stored, then dispatched
 *     it is a retry ─▶ the outcome of the first attempt (`retry.ts`)
 */
import { batchNotAllowed, beforeItRan, ownerLost, sessionIsLeaving, SojournError, storeAway } from '../../errors.ts';
import { afterStoring, type FirstAttempt, isFull } from '../../inbound/retries.ts';
import type { CallerRequest } from '../../http/exchange.ts';
import type { RequestLimits } from '../../limits/request-limits.ts';
import type { Sink, ResponsePolicy, SessionResponse } from '../../http/sink.ts';
import type { ResolvedOptions } from '../../options/endpoint-options.ts';
import type { AdmittedPost } from '../../session/calls/entering-post.ts';
import type { Registry } from '../../session/registry.ts';
import { attachToFirstAttempt, isRetry } from '../../session/calls/retry.ts';
import { isStoreAway } from '../../session/record/pause.ts';
import type { LiveSession } from '../../session/session.ts';
import type { Stream } from '../../session/streams/stream.ts';
import type { AppendExtra, WriteResult } from '../../session/streams/event-log.ts';
import { allowsBatches } from '../../protocol/versions.ts';
import { type Inbound, isAbandoned, type NextAttempt, type InboundPost } from '../../inbound/inbound.ts';
import type { MaybePromise } from '../../stores/store.ts';
import { climb, SessionEntry, type Stop, STREAMABLE_HTTP } from '../ladder.ts';
import type { StartTurns } from './start-turns.ts';

/** Counts work that a drain waits for. */
interface TrackedWork {
  track<T>(caller: CallerRequest, work: Promise<T>): Promise<T>;
}

export interface LegacyPostsOptions {
  readonly options: ResolvedOptions;
  readonly registry: Registry;
  readonly gate: RequestLimits;
  readonly responses: LegacyResponses;
}

/** What the responses of each kind have in common. */
export type LegacyResponses = Readonly<Record<SessionResponse, ResponsePolicy>>;

/** What POSTs share. */
export interface PostHost extends LegacyPostsOptions {
  readonly tracker: TrackedWork;
  readonly starts: StartTurns;
}

export function servePost(host: PostHost, session: LiveSession, inbound: InboundPost): MaybePromise<NextAttempt> {
  if (inbound.post.batch && !allowsBatches(session.version))
    return nextOf(inbound, batchNotAllowed(`batches are not part of protocol revision ${session.version}`));
  if (session.host.lifecycle.keepsCallsForOthers && isNewCall(inbound)) throw sessionIsLeaving();
  const entry = new PostEntry(host, session, inbound);
  const stop = climb(STREAMABLE_HTTP, entry);
  if (!(stop instanceof Promise)) return nextOf(inbound, stop);
  const next = stop.then((late) => nextOf(inbound, late));
  return entry.admitted === undefined ? host.tracker.track(inbound.caller, next) : next;
}

/** Throws where the POST must wait for a place in its session. */
/** Answers, notifications and pings are for calls that run here. */
function isNewCall({ mayHaveRun, post }: InboundPost): boolean {
  return mayHaveRun !== true && post.messages.some((one) => one.kind === 'request' && one.message.method !== 'ping');
}

function nextOf({ sink, requestId }: Inbound, stop: Stop): NextAttempt {
  if (!(stop instanceof SojournError)) return stop === 'done' ? undefined : stop;
  if (isFull(stop)) throw stop;
  sink.refuse(beforeItRan(stop), requestId);
  return undefined;
}

class PostEntry extends SessionEntry<PostHost> {
  readonly #inbound: InboundPost;

  constructor(host: PostHost, session: LiveSession, inbound: InboundPost) {
    super(host, session, inbound.caller, inbound.post.messages, host.options.responseMode === 'json');
    this.#inbound = inbound;
  }

  override get attempt(): number {
    return this.#inbound.mayHaveRun === true ? 2 : 1;
  }

  /** While a hook runs, the session may leave, or the link to the relaying instance may fail. */
  stopIfLeft(): Stop {
    return this.admitted !== undefined || this.#stays ? undefined : this.#inbound;
  }

  get #stays(): boolean {
    const { left, ownership } = this.session;
    return !left && ownership.leaseValid && this.caller.relayOrigin?.linkFailed !== true;
  }

  get #marked(): InboundPost {
    return { ...this.#inbound, mayHaveRun: true };
  }

  repeat(): MaybePromise<Stop> {
    const { session, requests, caller } = this;
    const mayBeRetry = this.#inbound.mayHaveRun === true || session.calls.earlier.any;
    return mayBeRetry && isRetry(session, requests, caller.authInfo, this.#inbound) ? this.#repeat() : undefined;
  }

  /** Answers a call that an earlier attempt began with the answer of that attempt, or with `owner_lost`. */
  async #repeat(): Promise<Stop> {
    const { session, requests } = this;
    const { options, responses } = this.host;
    const { sink, mayHaveRun } = this.#inbound;
    const open = (): Sink => {
      sink.begin(this.answersOnly ? this.#jsonPolicy : responses.post);
      return sink;
    };
    let first: FirstAttempt = 'lost';
    try {
      first = await attachToFirstAttempt(session, requests, open);
    } catch (err) {
      // The call waits for the store, which may have its answer.
      if (mayHaveRun === true && isStoreAway(err)) throw err;
      options.logger.error(
        { err, sessionId: session.id },
        'Whether a call has run before could not be read: it counts as a call that may have run',
      );
    }
    if (first === 'attached') return 'done';
    if (!this.#stays) return this.#marked;
    if (first === 'run') return undefined;
    open();
    for (const request of requests) sink.message(session.lostCallJson(request, ownerLost(true)));
    sink.end();
    return 'done';
  }

  delivered(): MaybePromise<Stop> {
    const { session, host } = this;
    host.registry.touch(session);
    // Once a notification is accepted, its change of the session must survive a crash.
    if (session.record.saving) return this.#saved();
    this.#inbound.sink.done(202);
    return 'done';
  }

  /** Past `waitMs` the POST is accepted anyway: the record keeper retries until the store has the change. */
  async #saved(): Promise<Stop> {
    const failure = await this.session.record.saved();
    if (failure !== undefined && this.session.left) return this.#inbound;
    this.#inbound.sink.done(202);
    return 'done';
  }

  store(admitted: AdmittedPost): MaybePromise<Stop> {
    const { calls } = this.session;
    const ahead = calls.ahead(admitted);
    if (ahead !== undefined) return this.#runAhead(admitted, ahead);
    const stored = calls.storeFirst(admitted);
    if (!(stored instanceof Promise)) return stored === 'written' ? undefined : this.#notRun(admitted, stored);
    const starting = stored.then((result) => this.#stored(admitted, result));
    for (const call of admitted.calls) call.startsAfter(starting);
    return starting;
  }

  /**
   * Calls that may run twice do not wait for the store, but their messages do. So the priming event and an immediate
   * answer are stored together (docs/adr/calls-that-may-run-twice.md).
   */
  #runAhead(admitted: AdmittedPost, extra: AppendExtra): Promise<Stop> {
    const sink = this.#beginSink(admitted.stream);
    return new Promise((resolve, reject) => {
      this.session.calls.beginAhead(admitted, sink, extra, (result) => {
        try {
          resolve(this.#storedLate(admitted, result));
        } catch (cause) {
          reject(cause);
        }
      });
      this.dispatch();
    });
  }

  #storedLate(admitted: AdmittedPost, result: WriteResult): Stop {
    const { session } = this;
    // The priming event was stored, but the session has a new owner, which runs the call again.
    const moved = admitted.calls.some(({ phase }) => phase === 'handedOver');
    if (result === 'written' && !moved) return 'done';
    const next = afterStoring(result, { left: session.left, moved });
    session.calls.withdrawRunning(admitted);
    this.#inbound.sink.withdraw();
    if (next === 'refuse') return storeAway('writing before an answer');
    if (next === 'again') return this.#inbound;
    if (this.caller.relayOrigin === undefined) return this.#marked;
    // Its calls have run here: the relaying instance takes them to the next owner marked, as those of a lost owner.
    this.#inbound.sink.handOver(true);
    return 'done';
  }

  /**
   * The lease may have run out while the store was asked. Until it is back no call begins: another instance may own the
   * session, and may have told the client that the call is lost.
   */
  async #stored(admitted: AdmittedPost, result: WriteResult): Promise<Stop> {
    const { ownership } = this.session;
    if (result !== 'written') return this.#notRun(admitted, result);
    if (!ownership.leaseValid) {
      admitted.stream.noteDelay();
      await ownership.untilLeaseValid();
    }
    await this.host.starts.turn();
    return undefined;
  }

  /** Nothing has run or was sent. The session has another owner now, or has ended: the next attempt finds out which. */
  #notRun(admitted: AdmittedPost, stored: WriteResult): Stop {
    const { session } = this;
    const next = afterStoring(stored, { left: session.left, moved: false });
    if (stored === 'fenced') session.ownership.fenced();
    session.calls.withdraw(admitted);
    if (next === 'refuse') return storeAway('writing before a call');
    if (next === 'mayHaveRun') return this.#marked;
    return stored === 'written' ? { ...this.#inbound, storedAs: admitted.stream.key } : this.#inbound;
  }

  begin(admitted: AdmittedPost): Stop {
    const { session, caller } = this;
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
    else session.calls.begin(stream, this.#beginSink(stream));
    return undefined;
  }

  #beginSink(stream: Stream): Sink {
    const { post, resumed } = this.host.responses;
    const { sink } = this.#inbound;
    sink.begin(stream.answersOnly ? this.#jsonPolicy : stream.clientResumes ? resumed : post);
    return sink;
  }

  get #jsonPolicy(): ResponsePolicy {
    const { batch, json } = this.host.responses;
    return this.#inbound.post.batch ? batch : json;
  }
}
