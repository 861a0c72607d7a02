/**
 * Places an inbound request: each attempt locates its session and serves it there. An attempt that does not finish it
 * returns the request for the next attempt:
 *
 *     live here       → served here: answered, or (its owner changed, its store was away) the next attempt
 *     live elsewhere  → relayed: answered,
 *                         or refused there: the same request, because it never ran,
 *                         or lost with its owner before an event id was sent: the same request, marked `mayHaveRun`,
 *                         or lost after that: a GET that resumes the stream in the same response,
 *                         or messages to a living owner do not pass: its error
 *     ended, unknown  → 404
 *
 * A call that another instance relayed is served here, or refused to that instance. It is never relayed again.
 */
import type { FoundSession } from '../../cluster/finder.ts';
import {
  batchNotAllowed,
  otherUser,
  ownerUnreachable,
  restoreFailed,
  sessionIdInvalid,
  sessionIsLeaving,
  storeUnavailable,
  versionChanged,
} from '../../base/errors.ts';
import { answerable, lostForm } from '../../http/answer.ts';
import { guarded } from '../../http/exchange.ts';
import { BoundedMap } from '../../base/bounded-map.ts';
import { backoffMs, elapse } from '../../base/system.ts';
import {
  counts,
  endsSession,
  type Inbound,
  type NextAttempt,
  type PostBody,
  reads,
} from '../../session/inbound/inbound.ts';
import {
  abandonedWhileWaiting,
  afterFailure,
  afterRelay,
  errorAfter,
  isNotFound,
  relayLost,
} from '../../session/inbound/retries.ts';
import { allowsBatches } from '../../base/protocol/versions.ts';
import { isRetry } from '../../session/life/repeated-calls.ts';
import type { LiveSession } from '../../session/session.ts';
import { decodeHead } from '../../session/record/session-record.ts';
import type { MaybePromise, StoredRecord } from '../../stores/store.ts';
import type { EndReason } from '../../base/types.ts';
import { answerToResume, openHead, refuseResume, serveGet } from './get.ts';
import { openSession } from './opening.ts';
import { type LegacyParts, track } from './era-parts.ts';
import { servePost } from './posts.ts';
import { type Attempted, type WaitingHost, WaitingRequests } from './waiting.ts';
import { roleOf } from '../../base/protocol/methods.ts';

/** The id of a call that opens a session. */
const NO_SESSION = '';
const SESSION_ID = /^[\x21-\x7e]+$/;
/** The outcome of an attempt that finished the call. */
const DONE: Attempted = { outcome: undefined };
/** About 350 ms in all: as long as two instances may take to agree on the owner of a session. */
const TRIES = 9;
const PAUSE_MS = 5;
const LONGEST_PAUSE_MS = 100;
/**
 * A GET whose session takes longer to restore gets its head. Official clients give a stream up after two requests without
 * an answer, and count anew after each that began.
 */
const HEAD_MS = 500;
/** Past this number of sessions the oldest owner is forgotten. */
const KNOWN_OWNERS = 10_000;

export class Router implements WaitingHost {
  readonly #parts: LegacyParts;
  /**
   * The instances to which calls of other instances' sessions were sent last, and the users of those sessions. Saves a
   * read of the store per call: an owner that has just sent a message knows better than the record whether it still
   * owns the session, and refuses the call if not.
   */
  readonly #owners = new BoundedMap<
    string,
    { readonly there: string; readonly user: string | undefined }
  >(KNOWN_OWNERS);
  readonly waiting: WaitingRequests;

  constructor(parts: LegacyParts) {
    this.#parts = parts;
    this.waiting = new WaitingRequests(parts, this);
  }

  /**
   * Answers a call in every case. A call on a session that is live here is dispatched before this returns.
   */
  run(id: string, inbound: Inbound): void {
    const { caller } = inbound;
    const { options, instance, registry } = this.#parts;
    const limit = options.sessionIdLength;
    if (id.length > limit || !SESSION_ID.test(id))
      return this.fail(inbound, sessionIdInvalid(limit));
    const waiting = this.waiting.has(id, inbound.kind);
    if (waiting && this.#cancelsWaiting(id, inbound)) return inbound.sink.done(202);
    const live = registry.get(id);
    const isOurs = live?.ownership.leaseValid === true;
    // An instance that has no lease cannot know whether the sessions in its memory are still its own.
    if (!isOurs && !instance.lease.valid) return this.#wait(id, inbound, instance.missing);
    // A running call may wait for answers and notifications, so those may overtake.
    if (waiting && (!isOurs || counts(inbound)))
      return this.#wait(id, inbound, storeUnavailable('waiting behind an earlier request'));
    if (!isOurs) return this.#start(id, inbound);
    try {
      const next = this.#serve(live, inbound);
      if (next instanceof Promise) guarded(caller, () => this.follow(id, inbound, next));
      else if (next !== undefined) this.#start(id, next);
    } catch (cause) {
      this.#wait(id, inbound, cause);
    }
  }

  /** The same for an `initialize`. */
  open(inbound: Inbound): void {
    this.#start(NO_SESSION, inbound);
  }

  async #open(inbound: Inbound): Promise<undefined> {
    try {
      await openSession(this.#parts, inbound);
    } catch (cause) {
      this.fail(inbound, cause);
    }
  }

  #wait(id: string, inbound: Inbound, cause: unknown): void {
    guarded(inbound.caller, () => this.#failed(id, inbound, cause));
  }

  async follow(id: string, inbound: Inbound, outcome: MaybePromise<NextAttempt>): Promise<void> {
    try {
      const next = await outcome;
      if (next !== undefined) await this.#drive(id, next);
    } catch (cause) {
      await this.#failed(id, inbound, cause);
    }
  }

  #start(id: string, inbound: Inbound): void {
    guarded(inbound.caller, () => {
      const driving = this.#drive(id, inbound);
      return reads(inbound) ? driving : track(this.#parts, inbound.caller, driving);
    });
  }

  /** Attempts until the call is answered, or waits. Pauses between attempts let two instances agree on an owner. */
  async #drive(id: string, first: Inbound): Promise<void> {
    const { options, random } = this.#parts;
    const time = options.timeProvider;
    let inbound = first;
    for (let tries = 0; tries < TRIES; tries++) {
      try {
        if (tries > 1) await elapse(time, backoffMs(tries - 2, PAUSE_MS, LONGEST_PAUSE_MS, random));
        const placing = this.attempt(id, inbound);
        const placed = await (reads(inbound) ? this.#reading(inbound, placing) : placing);
        if (placed === undefined) continue;
        const next = await placed.outcome;
        if (next === undefined) return;
        inbound = next;
      } catch (cause) {
        return this.#failed(id, inbound, cause);
      }
    }
    return this.#failed(id, inbound, restoreFailed());
  }

  /** A drain waits for no stream, but for its beginning. */
  async #reading<T>(inbound: Inbound, placing: Promise<T>): Promise<T> {
    const { timeProvider: time } = this.#parts.options;
    const head = (): void => {
      if (inbound.caller.relayOrigin === undefined) openHead(this.#parts, inbound);
    };
    const timer = time.setTimeout(head, HEAD_MS);
    try {
      return await track(this.#parts, inbound.caller, placing);
    } finally {
      time.clearTimeout(timer);
    }
  }

  /** The call waits for the lease or the store, or its client gets an error. */
  async #failed(id: string, inbound: Inbound, cause: unknown): Promise<void> {
    const { caller } = inbound;
    const next = afterFailure(inbound, cause);
    if (next === 'handOver') return inbound.sink.handOver(false);
    if (next === 'wait') {
      const waiting = this.waiting.add(id, inbound, cause);
      if (waiting !== undefined)
        return reads(inbound) ? waiting : track(this.#parts, caller, waiting);
      if (
        reads(inbound) &&
        this.#parts.lifecycle.refusal === undefined &&
        answerToResume(this.#parts, inbound)
      )
        return;
    }
    this.refuse(inbound, cause);
  }

  refuse(inbound: Inbound, cause: unknown): void {
    if (reads(inbound) && isNotFound(cause) && refuseResume(this.#parts, inbound)) return;
    const error = errorAfter(inbound, cause);
    // The owner that was to end the session did so before it crashed.
    if (error === undefined) inbound.sink.done(200);
    else this.fail(inbound, error);
  }

  /** A `notifications/cancelled` about a request that waits needs no store: that request is dropped. */
  #cancelsWaiting(id: string, { post, caller }: Inbound): boolean {
    const [first] = post?.messages ?? [];
    if (post?.batch === true || first?.kind !== 'notification') return false;
    const { method, params } = first.message;
    const requestId = params?.['requestId'];
    if (roleOf(method) !== 'cancel') return false;
    if (typeof requestId !== 'string' && typeof requestId !== 'number') return false;
    return this.waiting.cancel(id, requestId, caller.userKey);
  }

  async attempt(id: string, inbound: Inbound): Promise<Attempted | undefined> {
    const { registry, instance } = this.#parts;
    const { caller } = inbound;
    if (relayLost(inbound)) return DONE;
    if (!instance.lease.valid) throw instance.missing;
    if (id === NO_SESSION) return { outcome: this.#open(inbound) };
    const found = await this.#locate(id, inbound);
    if (found === undefined) return undefined;
    if ('record' in found) return (await this.#endRecord(found.record, inbound)) ? DONE : undefined;
    if ('here' in found) {
      if (relayLost(inbound)) return DONE;
      if (!instance.lease.valid) throw instance.missing;
      // The session may have left between the find and this turn, or the lease may have run out and come back.
      const serves = registry.get(id) === found.here && found.here.ownership.leaseValid;
      if (abandonedWhileWaiting(inbound)) return DONE;
      return serves ? { outcome: this.#serve(found.here, inbound) } : undefined;
    }
    if (caller.relayOrigin !== undefined) {
      inbound.sink.handOver(false);
      return DONE;
    }
    if (instance.links.isStuck(found.there)) throw ownerUnreachable();
    // That instance owns the session of this user, or will claim it. Calls behind this one need not read the record.
    if (!('user' in found)) this.#owners.set(id, { there: found.there, user: caller.userKey });
    return { outcome: this.#relay(id, found.there, inbound) };
  }

  async #relay(id: string, owner: string, given: Inbound): Promise<NextAttempt> {
    const { options, relay } = this.#parts;
    // What an attempt here may have stored bears no name.
    const { kind, attemptId, mayHaveRun, storedAs } = given;
    const isNamed = kind !== 'post' || (attemptId ?? mayHaveRun ?? storedAs) !== undefined;
    const inbound = isNamed ? given : { ...given, attemptId: relay.newAttempt() };
    const outcome = await relay.send(owner, inbound);
    if (outcome !== 'done') this.#owners.delete(id);
    const next = afterRelay(inbound, outcome);
    if (next === undefined) return undefined;
    if (outcome === 'unreachable') {
      this.refuse(next, ownerUnreachable());
      return undefined;
    }
    if (next.mayHaveRun === undefined || inbound.mayHaveRun !== undefined) return next;
    // The client must not get an error that invites a retry. The call waits at least until this instance can have
    // learnt its outcome.
    const { maxWaitMs, leaseMs, timeProvider } = options;
    return { ...next, waitUntil: timeProvider.monotonic() + Math.max(maxWaitMs, leaseMs) };
  }

  #locate(id: string, inbound: Inbound): MaybePromise<FoundSession | undefined> {
    const { caller } = inbound;
    const { finder, instance } = this.#parts;
    const known = caller.relayOrigin === undefined ? this.#owners.get(id) : undefined;
    if (
      known?.user === caller.userKey &&
      known !== undefined &&
      instance.links.heardRecently(known.there)
    )
      return known;
    return finder.find(id, inbound);
  }

  fail(inbound: Inbound, cause: unknown): undefined {
    const error = answerable(cause, this.#parts.options.logger, 'A request could not be served');
    inbound.sink.refuse(
      error,
      inbound.requestId,
      lostForm(this.#parts.options, inbound.post?.only?.method),
    );
  }

  /** Serves a call whose session is live here. Throws the reason when it cannot be served. */
  #serve(session: LiveSession, inbound: Inbound): MaybePromise<NextAttempt> {
    const { caller } = inbound;
    if (inbound.kind !== 'terminate' && session.userKey !== caller.userKey)
      return this.fail(inbound, otherUser());
    const header = caller.header('mcp-protocol-version');
    if (header !== undefined && header !== session.version)
      return this.fail(inbound, versionChanged(header, session.version));
    if (!endsSession(inbound)) inbound.sink.sessionId = session.id;
    if (inbound.post !== undefined) return this.#post(session, inbound, inbound.post);
    if (endsSession(inbound)) return track(this.#parts, caller, this.#end(session, inbound));
    return serveGet(this.#parts, session, inbound, () => this.waiting.wake());
  }

  #post(session: LiveSession, inbound: Inbound, post: PostBody): MaybePromise<NextAttempt> {
    if (post.batch && !allowsBatches(session.version)) {
      inbound.sink.refuse(
        batchNotAllowed(`batches are not part of protocol revision ${session.version}`),
        null,
      );
      return undefined;
    }
    // Answers, notifications and pings are for calls that run here.
    const { lifecycle } = this.#parts;
    const isNewCall = inbound.mayHaveRun === undefined && counts(inbound);
    if (isNewCall && lifecycle.keepsCallsForOthers && !isRetry(session, post.requests, inbound))
      throw sessionIsLeaving();
    return servePost(this.#parts, session, inbound, post);
  }

  async #end(session: LiveSession, inbound: Inbound): Promise<NextAttempt> {
    if (!(await this.#parts.registry.leaving.end(session, endReason(inbound)))) return inbound;
    inbound.sink.done(200);
    return undefined;
  }

  /** Ends a session that is live nowhere; `false`: another instance claimed it first. */
  async #endRecord(record: StoredRecord, inbound: Inbound): Promise<boolean> {
    const { caller, sink } = inbound;
    const header = caller.header('mcp-protocol-version');
    const { version } = decodeHead(record.head);
    if (header !== undefined && header !== version) throw versionChanged(header, version);
    if (!(await this.#parts.registry.leaving.endRecord(record.id, record, endReason(inbound))))
      return false;
    sink.done(200);
    return true;
  }
}

function endReason({ kind }: Inbound): EndReason {
  return kind === 'terminate' ? 'terminated' : 'deleted';
}
