/**
 * A live session: one client's server object with everything around it.
 *
 *     opening ──▶ live ──▶ leaving ──▶ left
 *
 * opening: the factory runs and the handshake is dispatched (or replayed); nobody else can reach it. live: it is in the
 * registry. leaving: it is out of the registry; running requests get their error, readers end, `signal` aborts, `run()`
 * resolves, the server is closed, in this order. What a crash leaves is the record and the logs.
 */
import type { McpServer, Server } from '@modelcontextprotocol/server';
import { internal, rpcError, type SojournError } from '../errors.ts';
import { lostJson } from '../http/answer.ts';
import { isLarge } from '../http/large-answers.ts';
import type { RpcMessage, RpcNotification, RpcRequest, RpcResponse } from '../protocol/jsonrpc.ts';
import type { Sink } from '../http/sink.ts';
import type { MaybePromise, Handshake, SessionRecord } from '../stores/store.ts';
import type { ConnectableServer, LeaveReason, Logger, McpSession } from '../types.ts';
import { hasEventIds, hasPriming } from '../protocol/versions.ts';
import { shownId } from '../shown.ts';
import { knownClient, type Quirk } from '../clients/known.ts';
import type { Authorizer } from './authorizer.ts';
import { contexts, MessageContext, type MessageSource, targetOf } from './context.ts';
import { endError, errorAnswer, goesOn } from './end-answers.ts';
import { GET_STREAM } from './event-id.ts';
import { SessionEventLog } from './event-log.ts';
import { GRACE_MS, inTime } from './grace.ts';
import { inHookTime, isHookTimeout } from './hook-time.ts';
import { CallGuard } from './call-guard.ts';
import type { Idle } from './idle-list.ts';
import { PostStreams } from './post-streams.ts';
import { Questions } from './questions.ts';
import { RecordKeeper } from './record-keeper.ts';
import { REMEMBERED } from './replayed-messages.ts';
import type { SessionRun } from './run.ts';
import { RunningRequests } from './running.ts';
import type { SessionHost } from './session-host.ts';
import { Stream } from './stream.ts';
import type { AppendExtra, StreamLog, WriteResult } from './stream-writer.ts';
import { SessionTransport } from './transport.ts';
import { UntoldNews } from './pending-list-changes.ts';
import { createSessionView } from './view.ts';

export type AnyServer = McpServer | Server | ConnectableServer;

export interface SessionStart {
  readonly id: string;
  readonly epoch: number;
  readonly owner: string;
  readonly user: string | undefined;
  readonly handshake: Handshake;
  readonly createdAt: number;
  /** Of a session that is restored. */
  readonly record?: SessionRecord;
  /** Its streams carry no event ids, whatever was negotiated (the 2024-11-05 transport). */
  readonly unlogged?: boolean;
  /** The GET stream's length so far. */
  readonly getNext?: number;
}

export class LiveSession implements Idle {
  readonly id: string;
  #eventLog: SessionEventLog | undefined = undefined;
  epoch: number;
  owner: string;
  readonly user: string | undefined;
  readonly handshake: Handshake;
  readonly createdAt: number;
  readonly record: RecordKeeper;
  /** On a store that other processes share. */
  readonly guard: CallGuard | undefined;
  readonly running = new RunningRequests();
  readonly posts: PostStreams;
  #questions: Questions | undefined = undefined;
  #finishedAsked: { readonly lastEventId: string; times: number } | undefined = undefined;
  readonly transport: SessionTransport;
  readonly view: McpSession;
  run: SessionRun | undefined = undefined;
  server: AnyServer | undefined = undefined;
  /** Requested until `initialize` is answered, then negotiated. */
  version: string;
  getStream: Stream;
  /** When the last request ended, by the monotonic clock; the registry's, as are its neighbours among the idle. */
  idleSince = 0;
  idleBefore: Idle | undefined = undefined;
  idleAfter: Idle | undefined = undefined;
  listed = false;
  readonly #host: SessionHost;
  readonly #unlogged: boolean;
  #active = 0;
  readonly news: UntoldNews;
  #controller: AbortController | undefined = undefined;
  #left: LeaveReason | undefined = undefined;
  /** Sends of its server, and requests, that wait until it is served again. */
  readonly #held: Array<(goesOn: boolean) => void> = [];
  #leaving: Promise<void> | undefined = undefined;

  constructor(host: SessionHost, start: SessionStart) {
    const { record } = start;
    this.#host = host;
    this.#unlogged = start.unlogged ?? false;
    this.id = start.id;
    this.epoch = start.epoch;
    this.owner = start.owner;
    this.user = start.user;
    this.handshake = start.handshake;
    this.createdAt = start.createdAt;
    this.version = record?.version ?? start.handshake.protocolVersion;
    this.record = new RecordKeeper(host, this, record);
    this.guard = host.guarded ? new CallGuard(host, start.id, this.record) : undefined;
    this.news = new UntoldNews(this.record);
    this.posts = new PostStreams(start.epoch);
    this.transport = new SessionTransport(this);
    this.getStream = new Stream(GET_STREAM, this.#log, start.getNext ?? 0);
    this.view = createSessionView(this);
  }

  get logger(): Logger {
    return this.#host.logger;
  }

  get authorizer(): Authorizer | undefined {
    return this.#host.authorizer;
  }

  /** Why it left this instance; undefined while it is here. */
  get left(): LeaveReason | undefined {
    return this.#left;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#left !== undefined) this.#controller.abort(this.#left);
    }
    return this.#controller.signal;
  }

  /** Event ids and resuming, where something is kept. */
  get #log(): StreamLog | undefined {
    const { eventRetention, responseMode } = this.#host.options;
    const kept = eventRetention !== false && responseMode !== 'json';
    return kept && !this.#unlogged && hasEventIds(this.version) ? this.log : undefined;
  }

  /** The handshake is answered: from here on the negotiated version decides whether streams are logged. */
  negotiated(version: string, answerJson: string): void {
    this.version = version;
    this.record.answerJson = answerJson;
    this.getStream = new Stream(GET_STREAM, this.#log);
  }

  // ——— activity: running requests and open readers ———

  get idle(): boolean {
    return this.#active === 0;
  }

  /** Something is under way that a drain waits for. */
  get busy(): boolean {
    return this.running.size > 0 || (this.#questions !== undefined && this.#questions.size > 0);
  }

  /** How often in a row its client has asked for this finished stream. */
  asksForFinished(lastEventId: string): number {
    if (this.#finishedAsked?.lastEventId !== lastEventId) this.#finishedAsked = { lastEventId, times: 0 };
    return (this.#finishedAsked.times += 1);
  }

  get questions(): Questions {
    return (this.#questions ??= new Questions(this.epoch));
  }

  /** Its part of the event log; made for sessions that keep one. */
  get log(): SessionEventLog {
    return (this.#eventLog ??= new SessionEventLog(this.#host, this));
  }

  enter(): void {
    if (this.#active++ === 0) this.#host.becameActive(this);
  }

  readonly exit = (): void => {
    if (--this.#active === 0 && this.#left === undefined) this.#host.becameIdle(this);
  };

  // ——— the way in ———

  /** Streams of several requests are not logged: a re-run or an error would end only the first. */
  openPost(requests: readonly RpcRequest[], answersOnly: boolean): Stream {
    const { length } = requests;
    const call = length === 1 ? requests[0] : undefined;
    return this.posts.open(length, answersOnly, call === undefined ? undefined : this.#log, call);
  }

  /** Takes the id of a request: from here on it runs, though nothing of it has been dispatched. */
  admit(message: RpcRequest, source: MessageSource | undefined, stream: Stream | undefined): MessageContext {
    const context = this.#context(message, source, stream);
    const remember = REMEMBERED[message.method];
    if (remember !== undefined) context.onResult = () => this.record.save(remember(this.record, message));
    else if (message.method === 'tools/list') context.onResult = (answer) => this.guard?.learn(answer);
    this.running.add(message.id, context);
    this.enter();
    return context;
  }

  /** What was admitted never ran, and nobody is told. */
  withdraw(contexts: readonly MessageContext[]): void {
    for (const context of contexts) {
      if (!context.answered) this.#settle(context);
      this.guard?.unmark(context);
      if (context.stream !== undefined) this.posts.forget(context.stream.key);
    }
  }

  /** The client of these requests is gone, and none of them ran: their stream completes without an answer. */
  abandon(stream: Stream, admitted: readonly MessageContext[]): void {
    for (const context of admitted) {
      if (!context.answered) this.#settle(context);
      this.posts.cancel(context);
      this.guard?.unmark(context);
    }
  }

  /** The same of what runs by now: it is told to stop. Its client may try again under the same id. */
  takeBack(contexts: readonly MessageContext[]): void {
    const running = contexts.filter(({ answered }) => !answered);
    for (const context of contexts) context.takenBack = true;
    this.withdraw(contexts);
    for (const { id: requestId } of running) {
      const params = { requestId, reason: 'Its stream could not be stored' };
      this.tell({ jsonrpc: '2.0', method: 'notifications/cancelled', params }, undefined);
    }
  }

  /** Stores what must be stored before the requests of a POST are dispatched; nothing was sent yet. */
  prime(
    stream: Stream,
    requests: readonly RpcRequest[],
    admitted: readonly MessageContext[],
  ): MaybePromise<WriteResult> {
    return this.guard === undefined ? stream.prime() : this.guard.before(stream, requests, admitted);
  }

  /** The response of a POST whose requests are about to be dispatched. */
  begin(stream: Stream, sink: Sink): void {
    stream.begin(sink);
    if (!stream.answersOnly && !this.getStream.read) this.news.tell(stream);
  }

  /** Requests may run before the priming event of their stream is stored if all of them may run twice. */
  mayRunUnprimed(
    stream: Stream,
    requests: readonly RpcRequest[],
    admitted: readonly MessageContext[],
  ): AppendExtra | undefined {
    return stream.logged ? this.guard?.early(requests, admitted) : undefined;
  }

  /** The response of such a POST: nothing of it is sent before it is stored. */
  beginUnprimed(
    stream: Stream,
    sink: Sink,
    contexts: readonly MessageContext[],
    extra: AppendExtra,
    primed: (result: WriteResult) => void,
  ): void {
    for (const context of contexts) context.unprimed = true;
    stream.beginUnprimed(sink, extra, primed);
    if (!this.getStream.read) this.news.tell(stream);
  }

  primed(contexts: readonly MessageContext[]): void {
    for (const context of contexts) context.unprimed = false;
  }

  dispatch(message: RpcRequest, context: MessageContext): void {
    this.#deliver(message, context);
  }

  /** Admits and dispatches; for whoever has stored what must be stored. */
  request(message: RpcRequest, source: MessageSource | undefined, stream: Stream | undefined): void {
    this.#deliver(message, this.admit(message, source, stream));
  }

  /** Runs the call of a lost owner again, on its old stream. */
  rerun(message: RpcRequest, source: MessageSource | undefined, stream: Stream): void {
    const context = this.admit(message, source, stream);
    context.orphan = true;
    this.#deliver(message, context);
  }

  /** Dispatches a request whose answer is not the client's (or not yet). Rejects with HOOK_TIMEOUT when that takes too long. */
  ask(message: RpcRequest, source: MessageSource | undefined): Promise<RpcResponse> {
    const answered = new Promise<RpcResponse>((resolve) => {
      if (this.#left !== undefined) return resolve(errorAnswer(message.id, endError(this.#left, false)));
      const context = this.admit(message, source, undefined);
      context.onResult = undefined;
      context.intercept = (answer) => resolve(answer as RpcResponse);
      this.#deliver(message, context);
    });
    return this.inHookTime(`${message.method} of the server`, answered);
  }

  /** Settles as `work` does, or rejects with HOOK_TIMEOUT. */
  inHookTime<T>(hook: string, work: Promise<T>): Promise<T> {
    return inHookTime(this.#host.options, { hook, sessionId: this.id }, work);
  }

  /** A notification that is told again: nothing is recorded. */
  tell(message: RpcNotification, source: MessageSource | undefined): void {
    this.#deliver(message, this.#plainContext(message.method, source));
  }

  notification(message: RpcNotification, source: MessageSource | undefined): void {
    const context = this.#plainContext(message.method, source);
    switch (message.method) {
      case 'notifications/initialized':
        if (!this.record.initialized) {
          this.record.initialized = true;
          this.record.save({ initialized: true });
        }
        this.#deliver(message, context);
        break;
      case 'notifications/progress':
        this.#deliver(this.questions.progress(message), context);
        break;
      case 'notifications/cancelled':
        this.#deliver(message, context);
        this.#cancel(message);
        break;
      default:
        this.#deliver(message, context);
    }
  }

  /** The client's answer to a server→client request. */
  response(message: RpcResponse, source: MessageSource | undefined): void {
    const answer = this.questions.answer(message);
    if (answer === undefined) {
      this.logger.warn(
        { sessionId: this.id, id: shownId(message.id) },
        'An answer came that nobody waits for; it is dropped',
      );
      return;
    }
    this.#deliver(answer, this.#plainContext(undefined, source));
  }

  /** A client's `notifications/cancelled`: the server answers no more, so its stream ends without an answer. */
  #cancel(message: RpcNotification): void {
    const id = message.params?.['requestId'];
    const context = typeof id === 'string' || typeof id === 'number' ? this.running.get(id) : undefined;
    if (context?.stream === undefined || context.intercept !== undefined) return;
    this.#settle(context);
    this.posts.cancel(context);
    this.guard?.unmark(context);
  }

  #plainContext(method: string | undefined, source: MessageSource | undefined): MessageContext {
    return new MessageContext(source, this.view, this.#hidesRequest, undefined, method, undefined);
  }

  #context(message: RpcRequest, source: MessageSource | undefined, stream: Stream | undefined): MessageContext {
    const context = new MessageContext(source, this.view, this.#hidesRequest, message.id, message.method, stream);
    context.target = targetOf(message.params);
    // Clients of earlier revisions do not come back after a stream that ended.
    if (stream?.logged === true && hasPriming(this.version)) {
      context.closeSSEStream = () => stream.closeEarly();
      context.closeStandaloneSSEStream = () => this.getStream.closeEarly();
    }
    return context;
  }

  get #hidesRequest(): boolean {
    return this.run?.enter !== undefined;
  }

  #deliver(message: RpcMessage | RpcRequest | RpcNotification | RpcResponse, context: MessageContext): void {
    const enter = this.run?.enter;
    try {
      if (enter === undefined) contexts.run(context, deliver, this.transport, message, context);
      else enter(() => contexts.run(context, deliver, this.transport, message, context));
    } catch (cause) {
      this.logger.error({ err: cause, sessionId: this.id }, 'The server threw while it took a message');
      if (context.id !== undefined && !context.answered) {
        this.answer({ jsonrpc: '2.0', id: context.id, error: rpcError(internal(cause)) });
      }
    }
  }

  // ——— the way out ———

  /** A server's answer. */
  answer(message: RpcResponse): void {
    const context = message.id === undefined ? undefined : this.running.get(message.id);
    if (context === undefined) {
      // A handler may still answer while its session leaves: the client has been told already.
      this.logger[this.#left === undefined ? 'warn' : 'debug'](
        { sessionId: this.id, id: shownId(message.id) },
        'The server answered a request that is not running (any more); the answer is dropped',
      );
      return;
    }
    this.#settle(context);
    if (context.intercept !== undefined) return context.intercept(message);
    if (context.onResult !== undefined && message.error === undefined) context.onResult(message);
    const json = toJson(message);
    if (isLarge(json)) this.#host.largeAnswers.note(context.target ?? context.method ?? '');
    const isUnread = context.stream?.isUnread === true;
    this.posts.reply(context, json);
    if (isUnread) this.answerOnGet(json);
    if (context.marked) this.guard?.unmark(context);
  }

  /** Whether this client has a bug for which it is treated differently. `userAgent`: of the present request. */
  hasQuirk(quirk: Quirk, userAgent?: string): boolean {
    if (!this.#host.options.knownClients) return false;
    const { clientInfo } = this.handshake;
    const known = knownClient(quirk, { userAgent, clientInfo, protocol: this.version });
    if (known === undefined) return false;
    this.logger.debug({ sessionId: this.id, client: known.name, quirk }, 'A known client is treated differently');
    return true;
  }

  /** The answer of a call whose reader left, for a client that will not resume its stream. */
  answerOnGet(json: string): void {
    const { getStream, record } = this;
    if ((getStream.read || record.getPrimed) && this.hasQuirk('answer-on-get')) getStream.send(json);
  }

  /** The answer to a request that ends without its result. */
  lostJson(request: Pick<MessageContext, 'id' | 'method'>, error: SojournError): string {
    return lostJson(this.#host.options, request, error);
  }

  #settle(context: MessageContext): void {
    this.running.settle(context);
    this.exit();
  }

  /** A message about the session, to its GET stream. */
  push(message: RpcNotification): void {
    const { getStream, record } = this;
    const { method } = message;
    if (!record.initialized && method !== 'notifications/message') {
      this.logger.debug({ sessionId: this.id, method }, 'Dropped: the client has not sent notifications/initialized');
    } else if (getStream.read || record.getPrimed) {
      getStream.send(JSON.stringify(message));
    } else {
      this.logger.debug({ sessionId: this.id, method }, 'Dropped: the client has no GET stream');
    }
  }

  // ——— the lease ———

  /** This instance lost its lease and claimed the session again, before anybody else did: everything here goes on. */
  reclaimed(epoch: number, owner: string): void {
    this.epoch = epoch;
    this.owner = owner;
    this.#questions?.continueIn(epoch);
  }

  /**
   * Of a write that was refused under an epoch: whether only our own next claim overtook it, so that it may be written again
   * under that one.
   */
  claimedSince(epoch: number): MaybePromise<boolean> {
    if (this.#left !== undefined) return false;
    const settled = this.#host.claimsSettled(this);
    if (settled === undefined) return this.epoch !== epoch;
    const again = (): MaybePromise<boolean> => this.claimedSince(epoch);
    return settled.then(again, again);
  }

  /** It is served again. */
  goOn(): void {
    for (const goOn of this.#held.splice(0)) goOn(true);
  }

  /** Whether what is said here holds: this instance has a lease, and the session is claimed under it. */
  get serves(): boolean {
    return this.#host.serves(this);
  }

  /** Resolves when the session is served here (`true`) or has left (`false`). It is claimed before those nobody waits for. */
  served(): Promise<boolean> {
    if (this.#left !== undefined) return Promise.resolve(false);
    return new Promise((resolve) => {
      this.#held.push(resolve);
      this.#host.holdsBack(this);
    });
  }

  // ——— the end ———

  /** The server closed itself (or we closed it: then it has left already). */
  serverClosed(): void {
    if (this.#left === undefined) this.#host.serverClosed(this);
  }

  /** Tears the copy down; idempotent. The caller has taken it out of the registry and written the record. */
  leave(reason: LeaveReason): Promise<void> {
    return (this.#leaving ??= this.#leave(reason));
  }

  /** It could not be made live. After a hook that hangs nothing waits for the teardown, which may hang as well. */
  async giveUp(reason: LeaveReason, cause: unknown): Promise<void> {
    const left = this.leave(reason);
    if (!isHookTimeout(cause)) return left;
    left.catch((err: unknown) => this.logger.error({ err, sessionId: this.id }, 'A session could not be torn down'));
  }

  async #leave(reason: LeaveReason): Promise<void> {
    this.#left = reason;
    for (const drop of this.#held.splice(0)) drop(false);
    const kept = goesOn(reason);
    const error = endError(reason, true);
    for (const context of this.running.takeAll()) {
      // Its request goes to the new owner: the client has seen nothing of it.
      if (context.unprimed && reason === 'fenced') {
        context.passedOn = true;
        continue;
      }
      if (reason === 'released' && this.#canHandOn(context)) {
        context.stream?.handOn(this.#host.othersServe);
        continue;
      }
      if (!kept) context.stream?.abandonLog();
      if (context.intercept !== undefined) context.intercept(errorAnswer(context.id, error));
      else this.posts.reply(context, this.lostJson(context, error));
    }
    if (kept) this.getStream.handOver(reason === 'released' && this.#host.othersServe);
    else this.getStream.detach();
    this.#controller?.abort(reason);
    this.run?.leave(reason);
    await this.run?.heard();
    await Promise.all([this.#closeServer(), this.run?.done(), kept ? this.#flushed() : undefined]);
  }

  /**
   * A drain ran out of time under this call, and it may run twice (it has no marker): the log keeps its stream open, and the
   * next owner runs it again, as after a crash.
   */
  #canHandOn({ intercept, marked, stream }: MessageContext): boolean {
    if (this.guard === undefined || intercept !== undefined || marked || stream === undefined) return false;
    // Clients of earlier revisions do not come back after a stream that ended.
    return stream.canHandOn(hasPriming(this.version));
  }

  /** What waits behind an append of its stream would come after the session was given back, and be refused. */
  async #flushed(): Promise<void> {
    await this.posts.flushed();
    await this.getStream.flushed();
  }

  async #closeServer(): Promise<void> {
    const { logger, server } = this;
    try {
      if (server !== undefined && !(await inTime(this.#host.options.timeProvider, server.close())))
        logger.warn({ sessionId: this.id, graceMs: GRACE_MS }, 'The server is still closing after its session left');
    } catch (cause) {
      logger.error({ err: cause, sessionId: this.id }, 'The server could not be closed');
    }
    await this.transport.close();
  }
}

function deliver(transport: SessionTransport, message: unknown, context: MessageContext): void {
  transport.onmessage?.(message as never, context as never);
}

/** A result that is not JSON (a cycle, a BigInt) must not leave its request without an end. */
function toJson(message: RpcResponse): string {
  try {
    return JSON.stringify(message);
  } catch (cause) {
    return JSON.stringify({ jsonrpc: '2.0', id: message.id, error: rpcError(internal(cause)) });
  }
}
