/**
 * The requests of one session, from the moment each takes its id until its answer is on its stream; the notifications
 * and answers of its client; and what this library asks the server.
 *
 *     admitted ──stored──▶ dispatched ──the server answers──▶ answered
 *        ├──withdrawn: no attempt of it ran here          ├──cancelled by the client: its stream ends without an answer
 *        └──abandoned: its client left first              └──the session leaves: an error, or the next owner runs it
 *
 * A request that may run twice is dispatched while its priming event is being stored
 * (docs/adr/calls-that-may-run-twice.md). If storing fails, it is taken back.
 */
import type { RequestId } from '@modelcontextprotocol/server';
import { rpcError, type SojournError, tooManyRequests } from '../../base/errors.ts';
import { isLarge } from '../../http/frames.ts';
import { noteLarge } from '../../http/large-answers.ts';
import { answerJson, errorAnswer, lostCallJson } from '../../http/answer.ts';
import type { CallerRequest } from '../../http/caller-request.ts';
import type { Admission } from '../../http/limits/request-limits.ts';
import type { Sink } from '../../http/sink.ts';
import {
  cancelledMessage,
  type Checked,
  type RpcNotification,
  type RpcRequest,
  type RpcResponse,
} from '../../base/protocol/jsonrpc.ts';
import { listsTools, roleOf } from '../../base/protocol/methods.ts';
import { shownId } from '../../base/shown.ts';
import { staysResumable, endError, forLeaving } from '../inbound/retries.ts';
import type { LeaveReason } from '../../base/types.ts';
import { attemptKey, isOfProxy } from './attempts.ts';
import type { AttemptId } from '../inbound/inbound.ts';
import { liveTools, noteAttempt, placed } from './live-tools.ts';
import type { SessionParts } from '../session-parts.ts';
import type { AdmittedPost, Call, CallEnd, Caller } from './call.ts';
import { inHookTime } from '../../base/hook-time.ts';
import { HANDSHAKE_STREAM } from '../streams/event-id.ts';
import { afterTurn } from '../../base/system.ts';
import { initializedMessage, keeperOf } from './replayed-messages.ts';
import { RunningCalls } from './running-calls.ts';
import type { Stream } from '../streams/stream.ts';
import type { AppendExtra, WriteResult } from '../streams/event-log.ts';

/** A POST on its way into a session. */
interface UnadmittedPost {
  readonly caller: CallerRequest;
  readonly requests: readonly RpcRequest[];
  /** Those that `authorize` lets their caller send. */
  readonly allowed: readonly RpcRequest[];
  /** How often its requests run, this run included. */
  readonly attempt: number;
  readonly attemptId: AttemptId | undefined;
}

export class SessionCalls {
  readonly running: RunningCalls;
  readonly #session: SessionParts;
  /** Notifications of the client whose handlers run. */
  #notified = 0;

  constructor(session: SessionParts) {
    this.#session = session;
    this.running = new RunningCalls(session.ownership.epoch);
  }

  /**
   * Takes the ids, and opens the stream. Streams of several requests are not logged: a re-run or an error would end only
   * the first of them. `admissions`: for each request, where limits of users or tools are set.
   */
  admitPost(post: UnadmittedPost, admissions: readonly Admission[]): AdmittedPost {
    const { caller, requests, attempt, attemptId, allowed } = post;
    const stream = this.running.openStream(
      requests,
      requests.length === 1 ? this.#session.streamLog : undefined,
    );
    const calls = requests.map((request) =>
      this.#admit(request, caller, stream, attempt, allowed.includes(request)),
    );
    if (attemptId !== undefined)
      for (const [n, request] of requests.entries())
        (calls[n] as Call).attemptKey = attemptKey(request, attemptId);
    for (const call of calls) caller.heldBy(call);
    for (const [n, admission] of admissions.entries()) calls[n]?.holds(admission);
    return { caller, stream, calls, attempt };
  }

  /** The request counts as running from here on. `isAllowed`: `authorize` lets its caller use what it names. */
  #admit(
    message: RpcRequest,
    caller: Caller | undefined,
    stream: Stream,
    attempt: number,
    isAllowed: boolean,
  ): Call {
    const { record, markers } = this.#session;
    const call = this.#session.transport.callOf(message, caller, stream, attempt);
    if (attempt > 1) noteAttempt(call, attempt);
    const keep = keeperOf(message.method);
    call.isRefused = !isAllowed;
    if (keep !== undefined && isAllowed)
      call.listener = {
        learn: ({ error }) => void (error === undefined && keep(record, message.params)),
      };
    else if (listsTools(message.method)) call.listener = markers;
    this.#add(message.id, call);
    return call;
  }

  #add(id: RequestId, call: Call): void {
    this.running.add(id, call);
    this.#session.enter();
  }

  /** Undoes `admitPost` for requests that never ran. They get no answer here. */
  withdraw({ calls, stream }: AdmittedPost): void {
    for (const call of calls) {
      this.#settle(call, 'withdrawn');
      this.#session.markers?.unmark(call);
      if (this.running.anyEarlier) this.running.forget(keyOf(call), stream.key);
    }
    this.running.forgetStream(stream.key);
  }

  /** For requests that never ran and whose client disconnected: their stream completes without an answer. */
  completeUnrun({ calls }: AdmittedPost): void {
    for (const call of calls) this.#end(call, undefined, 'cancelled');
  }

  /** Withdraws requests that may run already, and cancels those. The client may retry under the same ids. */
  withdrawRunning(post: AdmittedPost): void {
    const running = post.calls.filter(({ isOver }) => !isOver);
    this.withdraw(post);
    for (const { id } of running) this.#abort(id, 'Its stream could not be stored');
  }

  #abort(requestId: RequestId | undefined, reason: string): void {
    const cancelled = cancelledMessage(requestId, reason);
    const { transport } = this.#session;
    transport.deliver(cancelled, transport.callOf(cancelled, undefined));
  }

  /** The time of a request is over, or its live object is. Its answer waits for the lease, as the answer of its handler would. */
  async expire(call: Call, error: SojournError): Promise<void> {
    const { ownership } = this.#session;
    if (!call.isOver && !ownership.leaseValid) await ownership.untilLeaseValid();
    if (call.isOver) return call.expireHeld();
    call.refusal = error;
    call.around?.over(error);
    this.#end(call, lostCallJson(this.#session.host.options, call, error), 'timedOut');
    this.#abort(call.id, error.message);
  }

  /** Begins the response of a POST whose requests are about to be dispatched. */
  begin(stream: Stream, sink: Sink): void {
    stream.begin(sink);
    if (stream.carriesAll) this.#session.sendMissed(stream);
  }

  /** Begins the response of a POST whose requests may all run twice. Each of its events is stored before it is sent. */
  beginAhead(
    { stream, calls, caller: { relayOrigin } }: AdmittedPost,
    sink: Sink,
    extra: AppendExtra,
    stored: (result: WriteResult) => void,
  ): void {
    if (relayOrigin !== undefined)
      for (const key of calls.map(keyOf)) {
        this.running.remember(key, stream.key);
        relayOrigin.onAcknowledged(() => this.running.forget(key, stream.key));
      }
    stream.beginAhead(sink, extra, stored);
    this.#session.sendMissed(stream);
  }

  /** `isPlaced`: it may begin here. */
  dispatch(message: RpcRequest, call: Call, isPlaced = false): void {
    if (call.stream !== undefined && !isPlaced) {
      this.#session.host.services.startTime?.(
        call,
        message,
        (error) => void this.expire(call, error),
      );
      if (!this.#session.record.head.initialized && this.#standsForInitialized(message))
        this.#replayInitialized(call.caller);
    }
    const { server, transport } = this.#session;
    const placing = liveTools.any && !isPlaced && placed(call, message, server, transport);
    if (placing)
      return void placing.then(
        (isHere) => isHere && !call.isOver && this.dispatch(message, call, true),
      );
    const error = transport.deliver(message, call);
    if (error !== undefined && !call.isOver) this.refuse(message, error);
  }

  /** Answers a request that does not run. */
  refuse({ id }: RpcRequest, error: SojournError): void {
    this.answer({ jsonrpc: '2.0', id, error: rpcError(error) });
  }

  /** Runs the call of a lost owner again, on its old stream. The number of the run is stored. */
  rerun(
    message: RpcRequest,
    caller: Caller | undefined,
    stream: Stream,
    {
      isAllowed,
      attempt,
      key,
    }: { readonly isAllowed: boolean; readonly attempt: number; readonly key: string },
  ): void {
    const call = this.#admit(message, caller, stream, attempt, isAllowed);
    call.attemptKey = key;
    this.running.remember(key, stream.key);
    const answers = this.#session.usedQuestions?.firstAnswers(stream);
    if (answers === undefined) this.dispatch(message, call);
    else void answers.then(() => call.isOver || this.dispatch(message, call));
  }

  /**
   * Asks the server on behalf of this library: the client does not get the answer. Rejects with HOOK_TIMEOUT when the
   * answer takes too long. `saw`: the request is a client's own, and this gets what the server answers.
   */
  ask(
    message: RpcRequest,
    caller: Caller | undefined,
    saw?: (answer: RpcResponse) => void,
  ): Promise<RpcResponse> {
    const { host, id: sessionId, ownership, transport } = this.#session;
    const answer = new Promise<RpcResponse>((run) => {
      if (ownership.leaveReason !== undefined)
        return run(errorAnswer(message.id, endError(ownership.leaveReason, false)));
      const call = transport.callOf(message, caller, undefined, saw && 1);
      call.listener = { learn: saw, take: run };
      this.#add(message.id, call);
      this.dispatch(message, call);
    });
    return inHookTime(host.options, { hook: `${message.method} of the server`, sessionId }, answer);
  }

  // ——— what is no request ———

  /** Why these must wait. As many handlers of notifications may run as requests; a cancellation never waits. */
  refusal(messages: readonly Checked[], limit: number): SojournError | undefined {
    const waits = (one: Checked): boolean =>
      one.kind === 'notification' && roleOf(one.message.method) !== 'cancel';
    return this.#notified >= limit && messages.some(waits) ? tooManyRequests(limit) : undefined;
  }

  /** It counts as running, and its bytes are charged, until its handler has settled. */
  notification(message: RpcNotification, caller: CallerRequest): void {
    const session = this.#session;
    const { method } = message;
    const call = session.transport.callOf(message, caller);
    this.#notified += 1;
    call.holds({ release: () => (this.#notified -= 1) });
    caller.heldBy(call);
    if (roleOf(method) === 'initialized') this.#initialized();
    const { message: delivered, far } =
      roleOf(method) === 'progress' ? session.questions.progress(message) : { message };
    if (far === undefined) session.transport.deliver(delivered, call);
    else far.replied(delivered);
    if (roleOf(method) === 'cancel') this.#cancel(message);
    // The SDK starts a handler in a microtask.
    afterTurn(() => call.endAs('answered'));
  }

  #initialized(): void {
    const { record, usedQuestions, streamLog } = this.#session;
    record.change({ initialized: true });
    usedQuestions?.send();
    // The client has read the answer to its `initialize`, so no client resumes the stream of that answer any more.
    streamLog?.forget(HANDSHAKE_STREAM);
  }

  /**
   * An earlier owner may have accepted `notifications/initialized` while the store was away, and lost it with its copy.
   * A client that calls is initialized. The first owner still waits for the notification, which may follow the call.
   */
  #standsForInitialized({ method }: RpcRequest): boolean {
    return this.#session.ownership.epoch > 1 && roleOf(method) !== 'ping';
  }

  #replayInitialized(caller: Caller | undefined): void {
    const { transport } = this.#session;
    this.#initialized();
    const message = initializedMessage();
    const call = transport.callOf(message, caller);
    transport.deliver(message, call);
    afterTurn(() => call.endAs('answered'));
  }

  /** The server will not answer the request, so its stream ends without an answer. */
  #cancel(message: RpcNotification): void {
    const id = message.params?.['requestId'];
    const call =
      typeof id === 'string' || typeof id === 'number' ? this.running.get(id) : undefined;
    if (call?.stream !== undefined) this.#end(call, undefined, 'cancelled');
  }

  /** The client's answer to a server→client request. */
  response(message: RpcResponse, caller: Caller | undefined): void {
    const { id: sessionId, logger, questions, transport } = this.#session;
    const answer = questions.answer(message);
    if (answer === undefined)
      logger.info(
        { sessionId, id: shownId(message.id) },
        'A client answered a request that is not pending; the answer is dropped',
      );
    else if (answer.far !== undefined) answer.far.replied(answer.message);
    else transport.deliver(answer.message, transport.callOf(answer.message, caller));
  }

  // ——— answers and the end ———

  /** Takes the answer of the server. */
  answer(answer: RpcResponse): void {
    const { logger, ownership } = this.#session;
    const call = answer.id === undefined ? undefined : this.running.get(answer.id);
    if (call === undefined) {
      // A handler may still answer while its session leaves. The client has an error by then.
      logger[ownership.left ? 'debug' : 'warn'](
        { sessionId: ownership.sessionId, id: shownId(answer.id) },
        'The server answered a request that is not running (any more); the answer is dropped',
      );
      return;
    }
    const message = call.notFound === undefined ? answer : call.withThrownCode(answer);
    const { refusal, listener, around } = call;
    // `middleware` may have changed it.
    const served = around === undefined ? message : around.servedIn(message);
    if (served !== undefined && refusal === undefined) listener?.learn?.(served);
    if (listener?.take === undefined) {
      const json = refusal && lostCallJson(this.#session.host.options, call, refusal);
      this.#end(call, json ?? answerJson(message, call.id ?? null, logger), 'answered');
    } else {
      this.#settle(call, 'answered');
      listener.take(message);
    }
  }

  /** `json`: its answer; `undefined`: it gets none. */
  #end(call: Call, json: string | undefined, how: CallEnd): void {
    const { host, markers } = this.#session;
    const { stream } = call;
    this.#settle(call, how);
    if (json !== undefined && isLarge(json)) noteLarge(call, host.options);
    const isUnread = stream?.logged === true && !stream.hasOpenSink;
    if (stream !== undefined) {
      this.running.reply(stream, json, markers?.removedBy(call));
      if (call.marker === undefined && isOfProxy(call.attemptKey))
        this.running.answered(keyOf(call), stream.key);
    }
    if (isUnread && json !== undefined) this.#session.pushAnswer(json);
    markers?.ended(call);
  }

  /** When a call is over, only how it ended may change. */
  #settle(call: Call, how: CallEnd): void {
    if (call.isOver) return call.endAs(how);
    this.running.end(call, how);
    this.#session.exit();
  }

  /** The next owner ends a call that has a marker and no stored stream. */
  #mustNotRunAgain({ marker, sent, stream }: Call): boolean {
    if (marker === undefined) return false;
    return (
      stream?.logged !== true ||
      sent === undefined ||
      this.#session.markers?.repeatable(sent) !== true
    );
  }

  /** A running call with a marker: the next owner may run it again if the server says that its tool may run twice. */
  get markedCall(): Call | undefined {
    return this.running
      .values()
      .find((call) => call.stream?.canHandOver === true && this.#mustNotRunAgain(call));
  }

  /**
   * The session leaves: each running request gets an error, or is left to the next owner. After a fence that owner has
   * ended the request or runs it again, so its outcome is the true one.
   */
  leave(reason: LeaveReason, othersServe: boolean): void {
    const running = this.running.takeAll();
    // An error takes longer to make than the rest of the end of an idle session.
    if (running.length === 0) return;
    const error = endError(reason, true);
    for (const call of running) {
      const next = forLeaving(reason, {
        isStoring: call.stream?.runsAhead === true,
        isDurable: this.#session.markers !== undefined,
        // The log keeps its stream open, as after a crash.
        mayRunTwice: call.stream?.canHandOver === true && !this.#mustNotRunAgain(call),
      });
      if (next === 'handOverUnsent') call.endAs('handedOver');
      if (
        next === 'handOverUnsent' ||
        (next === 'handOver' && call.stream?.reader?.handOver() === true)
      )
        continue;
      if (next === 'handOverAtPoint') {
        call.stream?.handOverFlushed(othersServe);
        continue;
      }
      if (!staysResumable(reason)) call.stream?.stopLogging();
      if (call.listener?.take !== undefined) call.listener.take(errorAnswer(call.id, error));
      else if (call.stream !== undefined)
        this.running.reply(
          call.stream,
          lostCallJson(this.#session.host.options, call, error),
          this.#session.markers?.removedBy(call),
        );
    }
  }
}

/** What a retry of the call is known by. */
export function keyOf({ attemptKey: key, sent }: Call): string {
  return key ?? (sent === undefined ? '' : attemptKey(sent));
}
