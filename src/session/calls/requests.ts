/**
 * The requests of one session, from the moment each takes its id until its answer is on its stream.
 *
 *     admitted ──stored──▶ dispatched ──the server answers──▶ answered
 *        ├──withdrawn: no attempt of it ran here          ├──cancelled by the client: its stream ends without an answer
 *        └──abandoned: its client left first              └──the session leaves: an error, or the next owner runs it
 *
 * A request that may run twice is dispatched while its priming event is being stored (docs/adr/0009). If storing fails,
 * it is taken back.
 */
import type { RequestId } from '@modelcontextprotocol/server';
import { rpcError, type SojournError } from '../../errors.ts';
import { answerJson, errorAnswer } from '../../http/answer.ts';
import type { Caller } from '../../http/exchange.ts';
import { isLarge } from '../../http/large-answers.ts';
import type { Admission } from '../../limits/request-limits.ts';
import type { Reader } from '../../http/reader.ts';
import { cancelledMessage, type RpcNotification, type RpcRequest, type RpcResponse } from '../../protocol/jsonrpc.ts';
import { shownId } from '../../shown.ts';
import type { MaybePromise } from '../../stores/store.ts';
import { continuesElsewhere, endError, forLeaving } from '../../call/retries.ts';
import type { LeaveReason } from '../../types.ts';
import { mayBeSentAgain } from './call-guard.ts';
import type { AdmittedPost, MessageContext, MessageSource } from './context.ts';
import { answerOnGet } from '../streams/get-messages.ts';
import { EarlierRuns, type EarlierRun } from './earlier-runs.ts';
import type { RequestsSession } from './requests-session.ts';
import { REPLAYED_MESSAGES } from '../server/replayed-messages.ts';
import { RunningCalls } from './running.ts';
import type { KnownPage } from '../server/shared-lists.ts';
import type { Stream } from '../streams/stream.ts';
import type { AppendExtra, WriteResult } from '../streams/event-log.ts';

export class SessionRequests {
  readonly running: RunningCalls;
  readonly #session: RequestsSession;
  #earlier: EarlierRuns | undefined = undefined;

  constructor(session: RequestsSession) {
    this.#session = session;
    this.running = new RunningCalls(session.ownership.epoch);
  }

  /** Takes the ids. `admissions`: for each request, where limits of users or tools are set. */
  admitPost(
    caller: Caller,
    requests: readonly RpcRequest[],
    answersOnly: boolean,
    admissions: readonly Admission[],
  ): AdmittedPost {
    const stream = this.open(requests, answersOnly);
    const contexts = requests.map((request) => this.admit(request, caller, stream));
    for (const { work } of contexts) caller.heldBy(work);
    for (const [n, admission] of admissions.entries()) contexts[n]?.work.holds(admission);
    return { caller, requests, stream, contexts };
  }

  /**
   * Opens the stream of a POST. Streams of several requests are not logged: a re-run or an error would end only the
   * first of them.
   */
  open(requests: readonly RpcRequest[], answersOnly: boolean): Stream {
    const { length } = requests;
    const call = length === 1 ? requests[0] : undefined;
    const log = call === undefined ? undefined : this.#session.streamLog;
    return this.running.openStream({ requests: length, answersOnly, call }, log);
  }

  /** Takes the id of a request, which counts as running from here on. */
  admit(message: RpcRequest, source: MessageSource | undefined, stream: Stream | undefined): MessageContext {
    const { record } = this.#session;
    const context = this.#session.transport.contextOf(message, source, stream);
    const keep = REPLAYED_MESSAGES[message.method];
    if (keep !== undefined) context.onAnswer({ takes: 'result', run: () => keep(record, message) });
    else this.#learn(message, context);
    // The client uses the id for another request.
    this.forgetRun(message.id);
    this.#add(message.id, context);
    return context;
  }

  /** Learns from the answer to a list, and keeps it for other callers where the list is shared. */
  #learn(message: RpcRequest, context: MessageContext): void {
    const { record, guard, lists } = this.#session;
    const page = lists?.page(message, record.version);
    const isLearnt = guard !== undefined && message.method === 'tools/list';
    if (page === undefined && !isLearnt) return;
    const run = (answer: RpcResponse): void => {
      if (isLearnt) guard.learn(answer);
      page?.keep(answer);
    };
    context.onAnswer({ takes: 'result', run, page });
  }

  #add(id: RequestId, context: MessageContext): void {
    this.running.add(id, context);
    this.#session.enter();
  }

  /** Undoes `admitPost` for requests that never ran. They get no answer here. */
  withdraw({ contexts, stream }: AdmittedPost): void {
    for (const context of contexts) {
      if (!context.answered) this.#settle(context);
      this.#session.guard?.unmark(context);
      if (context.id !== undefined) this.forgetRun(context.id, stream.key);
    }
    this.running.forgetStream(stream.key);
  }

  /** For requests that never ran and whose client disconnected: their stream completes without an answer. */
  abandon({ contexts }: AdmittedPost): void {
    for (const context of contexts) {
      if (!context.answered) this.#settle(context);
      this.#endSilent(context);
    }
  }

  #endSilent(context: MessageContext): void {
    if (context.stream !== undefined) this.running.reply(context.stream, undefined, markedRequest(context));
    this.#session.guard?.unmark(context);
  }

  /** Withdraws requests that may run already, and cancels those. The client may retry under the same ids. */
  takeBack(post: AdmittedPost): void {
    const running = post.contexts.filter(({ answered }) => !answered);
    this.withdraw(post);
    for (const context of post.contexts) context.phase = 'takenBack';
    for (const { id } of running) this.#abort(id, 'Its stream could not be stored');
  }

  #abort(requestId: RequestId | undefined, reason: string): void {
    const cancelled = cancelledMessage(requestId, reason);
    this.#session.transport.deliverSilent(cancelled, undefined, cancelled.method);
  }

  /** The time of a request is over. Its answer waits for the lease, as the answer of its handler would. */
  async #expire(context: MessageContext, error: SojournError): Promise<void> {
    const { ownership } = this.#session;
    if (!ownership.leaseValid) await ownership.untilLeaseValid();
    if (context.answered) return;
    this.#settle(context);
    this.#reply(context, this.#session.lostJson(context, error));
    this.#abort(context.id, error.message);
  }

  /** Stores what must be stored before the requests of a POST are dispatched. Nothing has been sent yet. */
  prime(post: AdmittedPost): MaybePromise<WriteResult> {
    const { guard } = this.#session;
    return guard === undefined ? post.stream.storePoint(true) : guard.before(post);
  }

  /** Begins the response of a POST whose requests are about to be dispatched. */
  begin(stream: Stream, reader: Reader): void {
    const { hasGetReader, listChanges } = this.#session;
    stream.begin(reader);
    if (!stream.answersOnly && !hasGetReader) listChanges.sendOn(stream);
  }

  /**
   * What to store with the priming event of requests that may all run twice; `undefined`: they must wait for the store.
   */
  early(post: AdmittedPost): AppendExtra | undefined {
    return post.stream.logged ? this.#session.guard?.early(post) : undefined;
  }

  /** Begins the response of such a POST. Each of its events is stored before it is sent. */
  beginEarly(
    { stream, contexts, caller }: AdmittedPost,
    reader: Reader,
    extra: AppendExtra,
    primed: (result: WriteResult) => void,
  ): void {
    const { hasGetReader, listChanges } = this.#session;
    this.#keepRuns(contexts, caller);
    stream.beginEarly(reader, extra, primed);
    if (!hasGetReader) listChanges.sendOn(stream);
  }

  dispatch(message: RpcRequest, context: MessageContext): void {
    if (context.stream !== undefined)
      this.#session.callTimes.start(context.work, message, (error) => void this.#expire(context, error));
    const error = this.#session.transport.deliver(message, context);
    if (error === undefined || context.answered) return;
    this.answer({ jsonrpc: '2.0', id: message.id, error: rpcError(error) });
  }

  /** Runs the call of a lost owner again, on its old stream. */
  rerun(message: RpcRequest, source: MessageSource | undefined, stream: Stream): void {
    const context = this.admit(message, source, stream);
    this.#runs.add(message, { stream: stream.key, reran: true });
    this.dispatch(message, context);
  }

  /** Remembers requests without a marker, on a logged stream, until the instance that relays them has the answer. */
  #keepRuns(contexts: readonly MessageContext[], { relayOrigin }: Caller): void {
    if (relayOrigin === undefined) return;
    for (const { id, method, stream } of contexts) {
      if (id === undefined || method === undefined || stream === undefined) continue;
      this.#runs.add({ id, method }, { stream: stream.key, reran: false });
      relayOrigin.onAcknowledged(() => this.forgetRun(id, stream.key));
    }
  }

  get #runs(): EarlierRuns {
    return (this.#earlier ??= new EarlierRuns());
  }

  /** Whether calls ran on this copy that may arrive once more. */
  get remembersRuns(): boolean {
    return this.#earlier !== undefined;
  }

  earlierRun(request: RpcRequest): EarlierRun | undefined {
    return this.#earlier?.of(request);
  }

  /** A retry of this call may run. `stream`: only if it ran on this stream. */
  forgetRun(id: RequestId, stream?: string): void {
    this.#earlier?.forget(id, stream);
    // Idle sessions are many, and hold nothing that they need not.
    if (this.#earlier?.size === 0) this.#earlier = undefined;
  }

  /** Dispatches a request of this library. `answered` gets the answer instead of a client. */
  ask(message: RpcRequest, source: MessageSource | undefined, answered: (answer: RpcResponse) => void): void {
    const context = this.#session.transport.contextOf(message, source, undefined);
    context.onAnswer({ takes: 'answer', run: answered });
    this.#add(message.id, context);
    this.dispatch(message, context);
  }

  /** A client's `notifications/cancelled`: the server will not answer, so the stream ends without an answer. */
  cancel(message: RpcNotification): void {
    const id = message.params?.['requestId'];
    const context = typeof id === 'string' || typeof id === 'number' ? this.running.get(id) : undefined;
    if (context?.stream === undefined) return;
    this.#settle(context);
    this.#endSilent(context);
  }

  /** Takes the answer of the server. */
  answer(message: RpcResponse): void {
    const { logger, ownership } = this.#session;
    const context = message.id === undefined ? undefined : this.running.get(message.id);
    if (context === undefined) {
      // A handler may still answer while its session leaves. The client has an error by then.
      logger[ownership.left ? 'debug' : 'warn'](
        { sessionId: ownership.sessionId, id: shownId(message.id) },
        'The server answered a request that is not running (any more); the answer is dropped',
      );
      return;
    }
    this.#settle(context);
    const { hook } = context;
    if (hook?.takes === 'answer') return hook.run(message);
    if (message.error === undefined) hook?.run(message);
    this.#reply(context, answerJson(message, context.id ?? null, logger));
  }

  /** Answers a list with a known page, without the server. */
  answerWith(page: KnownPage, context: MessageContext): void {
    this.#settle(context);
    if (page.hints !== undefined) this.#session.guard?.learn(page.hints);
    this.#reply(context, page.answerTo(context.id));
  }

  #reply(context: MessageContext, json: string): void {
    if (isLarge(json)) this.#session.noteLarge(context.target ?? context.method ?? '');
    const { stream } = context;
    const isUnread = stream?.logged === true && !stream.read;
    if (stream !== undefined) this.running.reply(stream, json, markedRequest(context));
    if (isUnread) answerOnGet(this.#session, json);
    this.#session.guard?.unmark(context);
  }

  #settle(context: MessageContext): void {
    this.running.settle(context);
    this.#session.exit();
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
    for (const context of running) {
      const next = forLeaving(reason, {
        isStoring: context.stream?.runsAhead === true,
        isDurable: this.#session.guard !== undefined && context.hook?.takes !== 'answer',
        // The call has no marker, and the log keeps its stream open, as after a crash.
        mayRunTwice: context.marker === undefined && context.stream?.canHandOn === true,
      });
      context.phase = next === 'passOn' ? 'passedOn' : 'answered';
      if (next === 'passOn' || (next === 'move' && context.stream?.continueElsewhere() === true)) continue;
      if (next === 'handOff') {
        context.stream?.resuming.handOn(othersServe);
        continue;
      }
      if (!continuesElsewhere(reason)) context.stream?.abandonLog();
      if (context.hook?.takes === 'answer') context.hook.run(errorAnswer(context.id, error));
      else if (context.stream !== undefined)
        this.running.reply(context.stream, this.#session.lostJson(context, error), markedRequest(context));
    }
  }
}

/** The request whose marker goes with the last event of its stream. */
function markedRequest({ marker }: MessageContext): string | undefined {
  return marker === undefined || mayBeSentAgain(marker) ? undefined : marker.mark.name;
}
