/**
 * A live session: one client's server object with everything around it.
 *
 *     opening ──▶ live ──▶ leaving ──▶ left
 *
 * opening: the factory runs and the handshake is dispatched (or replayed); nobody else can reach it. live: it is in the
 * registry. leaving: it is out of the registry; running requests get their error, readers end, `signal` aborts, `run()`
 * resolves, the server is closed, in this order. What a crash leaves is the record and the logs.
 */
import type { ClientCapabilities, Implementation, McpServer, RequestId, Server } from '@modelcontextprotocol/server';
import {
  ownerLost,
  requestClosed,
  requestDrained,
  rpcError,
  sessionEnded,
  sessionGone,
  internal,
  type SojournError,
} from '../errors.ts';
import type { RpcMessage, RpcNotification, RpcRequest, RpcResponse } from '../jsonrpc.ts';
import type {
  Await,
  Fence,
  Handshake,
  RecordPatch,
  ReplayOutcome,
  SessionRecord,
  WriteOutcome,
} from '../stores/store.ts';
import { RECORD_VERSION } from '../stores/store.ts';
import type { ConnectableServer, LeaveReason, Logger, McpSession } from '../types.ts';
import { hasPriming } from '../versions.ts';
import { contexts, MessageContext, type MessageSource } from './context.ts';
import { formatEventId, GET_STREAM, postStreamKey, sessionTag } from './event-id.ts';
import { Questions } from './questions.ts';
import { REMEMBERED } from './remembered.ts';
import type { SessionRun } from './run.ts';
import type { SessionHost } from './session-host.ts';
import type { Sink } from '../sink.ts';
import { DurableState } from './state.ts';
import { Stream, type StreamLog } from './stream.ts';
import { SessionTransport } from './transport.ts';
import { createSessionView } from './view.ts';

export type AnyServer = McpServer | Server | ConnectableServer;

/** How many cancelled streams a session remembers, to refuse resuming them. */
const CANCELLED_KEPT = 64;

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

export class LiveSession implements StreamLog {
  readonly id: string;
  readonly tag: string;
  readonly epoch: number;
  owner: string;
  readonly user: string | undefined;
  readonly handshake: Handshake;
  readonly createdAt: number;
  readonly state: DurableState;
  readonly questions: Questions;
  readonly transport: SessionTransport;
  readonly view: McpSession;
  run: SessionRun | undefined;
  server: AnyServer | undefined;
  /** Requested until `initialize` is answered, then negotiated. */
  version: string;
  initialized: boolean;
  logLevel: string | null;
  subscriptions: Set<string> | undefined;
  /** JSON of the server's `initialize` result. */
  answerJson = '';
  /** Whether records and logs may be written: from the moment the record exists. */
  recorded: boolean;
  getStream: Stream;
  /** When the last request ended; the registry's. */
  idleSince = 0;
  /** When `activeAt` was last written. */
  activeSaved: number;
  readonly #host: SessionHost;
  readonly #unlogged: boolean;
  readonly #running = new Map<RequestId, MessageContext>();
  #counted = 0;
  #active = 0;
  #posts = 0;
  #streams: Map<string, Stream> | undefined;
  #cancelled: Set<string> | undefined;
  /** `list_changed` methods the client has not been sent since the server changed. */
  #untold: readonly string[] | undefined;
  #getPrimed: boolean;
  #controller: AbortController | undefined;
  #left: LeaveReason | undefined;
  #leaving: Promise<void> | undefined;

  constructor(host: SessionHost, start: SessionStart) {
    const { record } = start;
    this.#host = host;
    this.#unlogged = start.unlogged ?? false;
    this.id = start.id;
    this.tag = sessionTag(start.id);
    this.epoch = start.epoch;
    this.owner = start.owner;
    this.user = start.user;
    this.handshake = start.handshake;
    this.createdAt = start.createdAt;
    this.activeSaved = record?.activeAt ?? start.createdAt;
    this.version = record?.version ?? start.handshake.protocolVersion;
    this.initialized = record?.initialized ?? false;
    this.logLevel = record?.logLevel ?? null;
    this.answerJson = record?.answer ?? '';
    this.subscriptions = record?.subscriptions.length ? new Set(record.subscriptions) : undefined;
    this.recorded = record !== undefined;
    this.#getPrimed = record?.getStream ?? false;
    this.state = new DurableState(record?.state ?? {}, host.options.limits.stateBytes, (patch) =>
      this.recorded ? this.#saveOrThrow({ state: patch }) : undefined,
    );
    this.questions = new Questions(start.epoch);
    this.transport = new SessionTransport(this);
    this.getStream = new Stream(GET_STREAM, this.#logged ? this : undefined, start.getNext ?? 0);
    this.view = createSessionView(this);
  }

  get logger(): Logger {
    return this.#host.logger;
  }

  get fence(): Fence {
    return { epoch: this.epoch, owner: this.owner };
  }

  /** Why it left this instance; undefined while it is here. */
  get left(): LeaveReason | undefined {
    return this.#left;
  }

  get clientInfo(): Implementation {
    return this.handshake.clientInfo;
  }

  get clientCapabilities(): ClientCapabilities {
    return this.handshake.capabilities;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#left !== undefined) this.#controller.abort(this.#left);
    }
    return this.#controller.signal;
  }

  get #logged(): boolean {
    const { options } = this.#host;
    return (
      !this.#unlogged && options.eventRetention !== false && options.responseMode !== 'json' && hasPriming(this.version)
    );
  }

  // ——— the way in ———

  /** Requests running, without pings. */
  get runningCount(): number {
    return this.#counted;
  }

  get idle(): boolean {
    return this.#active === 0;
  }

  get busy(): boolean {
    return this.#running.size > 0 || this.questions.size > 0;
  }

  runningRequest(id: RequestId): MessageContext | undefined {
    return this.#running.get(id);
  }

  /** The stream of a POST with `requests` requests in it. */
  openPost(sink: Sink, requests: number, answersOnly: boolean): Stream {
    const log = this.#logged ? this : undefined;
    const stream = new Stream(postStreamKey(this.epoch, this.#posts++), log, 0, answersOnly);
    stream.awaited = requests;
    stream.use(sink);
    if (log !== undefined) (this.#streams ??= new Map()).set(stream.key, stream);
    return stream;
  }

  /** Before its requests are dispatched. */
  prime(stream: Stream): void | Promise<void> {
    const primed = stream.prime();
    if (this.#untold !== undefined && !stream.answersOnly && !this.getStream.read) this.#tellChanges(stream);
    return primed;
  }

  request(message: RpcRequest, source: MessageSource | undefined, stream: Stream | undefined): void {
    const context = this.#context(message, source, stream);
    const remember = REMEMBERED[message.method];
    if (remember !== undefined) context.onResult = () => this.#save(remember(this, message));
    this.#dispatch(message, context);
  }

  /** Dispatches a request of our own; resolves with the answer. */
  ask(message: RpcRequest, source: MessageSource | undefined): Promise<RpcResponse> {
    return new Promise((resolve) => {
      const context = this.#context(message, source, undefined);
      context.intercept = (answer) => resolve(answer as RpcResponse);
      this.#dispatch(message, context);
    });
  }

  /** A notification that is told again: nothing is recorded. */
  tell(message: RpcNotification, source: MessageSource | undefined): void {
    this.#deliver(
      message,
      new MessageContext(source, this.view, this.#hidesRequest, undefined, message.method, undefined),
    );
  }

  notification(message: RpcNotification, source: MessageSource | undefined): void {
    const context = new MessageContext(source, this.view, this.#hidesRequest, undefined, message.method, undefined);
    switch (message.method) {
      case 'notifications/initialized':
        if (!this.initialized) {
          this.initialized = true;
          this.#save({ initialized: true });
        }
        this.#deliver(message, context);
        break;
      case 'notifications/progress':
        this.#deliver(this.questions.progress(message), context);
        break;
      case 'notifications/cancelled':
        this.#deliver(message, context);
        this.#cancelled_(message);
        break;
      default:
        this.#deliver(message, context);
    }
  }

  /** The client's answer to a server→client request. */
  response(message: RpcResponse, source: MessageSource | undefined): void {
    const answer = this.questions.answer(message);
    if (answer === undefined) {
      this.logger.warn({ sessionId: this.id, id: message.id }, 'An answer came that nobody waits for; it is dropped');
      return;
    }
    this.#deliver(answer, new MessageContext(source, this.view, this.#hidesRequest, undefined, undefined, undefined));
  }

  get #hidesRequest(): boolean {
    return this.run?.enter !== undefined;
  }

  #context(message: RpcRequest, source: MessageSource | undefined, stream: Stream | undefined): MessageContext {
    const context = new MessageContext(source, this.view, this.#hidesRequest, message.id, message.method, stream);
    if (stream?.logged === true) {
      context.closeSSEStream = () => stream.closeEarly();
      context.closeStandaloneSSEStream = () => this.getStream.closeEarly();
    }
    return context;
  }

  #dispatch(message: RpcRequest, context: MessageContext): void {
    this.#running.set(message.id, context);
    if (message.method !== 'ping') this.#counted += 1;
    this.enter();
    this.#deliver(message, context);
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

  /** A client's `notifications/cancelled`: the server answers no more, so its stream ends without an answer. */
  #cancelled_(message: RpcNotification): void {
    const id = message.params?.['requestId'];
    const context = typeof id === 'string' || typeof id === 'number' ? this.#running.get(id) : undefined;
    if (context?.stream === undefined || context.intercept !== undefined) return;
    const { stream } = context;
    this.#settle(context);
    stream.awaited -= 1;
    if (stream.awaited > 0) return;
    stream.finish();
    this.#streams?.delete(stream.key);
    if (!stream.logged) return;
    const cancelled = (this.#cancelled ??= new Set());
    cancelled.add(stream.key);
    const [oldest] = cancelled;
    if (cancelled.size > CANCELLED_KEPT && oldest !== undefined) cancelled.delete(oldest);
  }

  // ——— the way out ———

  /** A server's answer. */
  answer(message: RpcResponse): void {
    const context = message.id === undefined ? undefined : this.#running.get(message.id);
    if (context === undefined) {
      this.logger.debug(
        { sessionId: this.id, id: message.id },
        'The server answered a request that is not running (any more)',
      );
      return;
    }
    this.#settle(context);
    if (context.intercept !== undefined) return context.intercept(message);
    if (context.onResult !== undefined && message.error === undefined) context.onResult();
    this.#reply(context, toJson(message));
  }

  #reply(context: MessageContext, json: string): void {
    const { stream } = context;
    if (stream === undefined) return;
    stream.awaited -= 1;
    const last = stream.awaited === 0;
    if (last) this.#streams?.delete(stream.key);
    stream.send(json, last);
  }

  #settle(context: MessageContext): void {
    if (context.id === undefined) return;
    context.answered = true;
    this.#running.delete(context.id);
    if (context.method !== 'ping') this.#counted -= 1;
    this.exit();
  }

  /** A message about the session, to its GET stream. */
  push(message: RpcNotification): void {
    const { getStream } = this;
    if (!this.initialized && message.method !== 'notifications/message') {
      this.logger.debug(
        { sessionId: this.id, method: message.method },
        'Dropped: the client has not sent notifications/initialized',
      );
    } else if (getStream.read || this.#getPrimed) {
      getStream.send(JSON.stringify(message));
    } else {
      this.logger.debug({ sessionId: this.id, method: message.method }, 'Dropped: the client has no GET stream');
    }
  }

  // ——— readers ———

  /** A plain GET: the newer reader takes over, the older ends. */
  openGet(sink: Sink): void | Promise<void> {
    this.getStream.detach();
    this.enter();
    this.getStream.use(sink, this.#exitLater);
    if (this.getStream.logged && !this.#getPrimed) {
      this.#getPrimed = true;
      this.#save({ getStream: true });
    }
    const primed = this.getStream.prime();
    if (this.#untold !== undefined) this.#tellChanges(this.getStream);
    return primed;
  }

  /** A GET with `Last-Event-ID`; `false`: the log cannot continue from there, and nothing was written. */
  async resume(stream: Stream, sink: Sink, after: number): Promise<boolean> {
    this.enter();
    const resumed = await stream.resume(sink, after, this.#exitLater);
    if (!resumed) this.exit();
    return resumed;
  }

  readonly #exitLater = (): void => this.exit();

  /** The stream of a `Last-Event-ID`, while it is not complete. */
  resumable(stream: string): Stream | undefined {
    if (stream === GET_STREAM) return this.#getPrimed ? this.getStream : undefined;
    return this.#streams?.get(stream);
  }

  wasCancelled(stream: string): boolean {
    return this.#cancelled?.has(stream) ?? false;
  }

  /** Activity: an open reader or a running request. */
  enter(): void {
    if (this.#active++ === 0) this.#host.becameActive(this);
  }

  exit(): void {
    if (--this.#active === 0 && this.#left === undefined) this.#host.becameIdle(this);
  }

  // ——— StreamLog ———

  get retryMs(): number {
    return this.#host.options.retryMs;
  }

  eventId(stream: string, offset: number): string {
    return formatEventId(this.tag, this.epoch, stream, offset);
  }

  append(stream: string, from: number, events: readonly string[], complete: boolean): Await<WriteOutcome> {
    return this.#host.store.events.append({ sessionId: this.id, fence: this.fence, stream, from, events, complete });
  }

  replay(stream: string, after: number): Await<ReplayOutcome> {
    return this.#host.store.events.replay(this.id, stream, after);
  }

  fenced(): void {
    this.#host.fenced(this);
  }

  failed(error: unknown): void {
    this.logger.error(
      { err: error, sessionId: this.id },
      'An event could not be stored; its stream is cut, the client resumes',
    );
  }

  // ——— the record ———

  toRecord(): SessionRecord {
    return {
      v: RECORD_VERSION,
      id: this.id,
      epoch: this.epoch,
      owner: this.owner,
      user: this.user ?? null,
      version: this.version,
      handshake: this.handshake,
      answer: this.answerJson,
      initialized: this.initialized,
      logLevel: this.logLevel,
      subscriptions: [...(this.subscriptions ?? [])],
      state: this.state.toRecord(),
      getStream: this.#getPrimed,
      createdAt: this.createdAt,
      activeAt: this.activeSaved,
      expiresAt: this.#host.expiry(this.activeSaved),
    };
  }

  /** The handshake is answered: from here on the negotiated version decides whether streams are logged. */
  negotiated(version: string, answerJson: string): void {
    this.version = version;
    this.answerJson = answerJson;
    this.getStream = new Stream(GET_STREAM, this.#logged ? this : undefined);
  }

  saveActivity(activeAt: number): void {
    this.activeSaved = activeAt;
    this.#save({ activeAt, expiresAt: this.#host.expiry(activeAt) });
  }

  /**
   * After a restore: a deploy may have changed the server. The client is then told to list again, on its next GET, or on
   * the stream of its next request when it has none.
   */
  serverChanged(answerJson: string): void {
    if (answerJson === this.answerJson) return;
    this.answerJson = answerJson;
    this.#untold = listChanges(answerJson);
    this.#save({ answer: answerJson });
  }

  /** Whether its server said in its `initialize` answer that it sends this `list_changed`. */
  announces(method: string): boolean {
    return listChanges(this.answerJson).includes(method);
  }

  #tellChanges(stream: Stream): void {
    const untold = this.#untold;
    this.#untold = undefined;
    for (const method of untold ?? []) stream.send(JSON.stringify({ jsonrpc: '2.0', method }));
  }

  /** Writes what was changed; a failure is logged, being fenced ends the copy. */
  #save(patch: RecordPatch): void {
    if (!this.recorded) return;
    void Promise.resolve(this.#saveOrThrow(patch)).catch((error: unknown) => {
      if (this.#left === undefined)
        this.logger.error({ err: error, sessionId: this.id }, 'The session record could not be saved');
    });
  }

  #saveOrThrow(patch: RecordPatch): void | Promise<void> {
    if (this.#left !== undefined) throw sessionGone(this.id, this.#left);
    const outcome = this.#host.store.sessions.save(this.id, this.fence, patch);
    const check = (written: WriteOutcome): void => {
      if (written === 'written') return;
      this.fenced();
      throw sessionGone(this.id, 'fenced');
    };
    return outcome instanceof Promise ? outcome.then(check) : check(outcome);
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

  async #leave(reason: LeaveReason): Promise<void> {
    this.#left = reason;
    const error = endError(reason);
    const keepsLog = reason === 'closed' || reason === 'released';
    for (const context of this.#running.values()) {
      context.answered = true;
      if (!keepsLog) context.stream?.abandonLog();
      if (context.intercept !== undefined)
        context.intercept({ jsonrpc: '2.0', id: context.id, error: rpcError(error) });
      else this.#reply(context, JSON.stringify({ jsonrpc: '2.0', id: context.id, error: rpcError(error) }));
    }
    this.#running.clear();
    if (!keepsLog) this.getStream.abandonLog();
    this.getStream.detach();
    this.#controller?.abort(reason);
    this.run?.leave(reason);
    try {
      await this.server?.close();
    } catch (cause) {
      this.logger.error({ err: cause, sessionId: this.id }, 'The server could not be closed');
    }
    await this.transport.close();
    await this.run?.done();
  }
}

function deliver(transport: SessionTransport, message: unknown, context: MessageContext): void {
  transport.onmessage?.(message as never, context as never);
}

/** What a client must list again: everything whose changes the server says it announces. */
export function listChanges(answerJson: string): string[] {
  const { capabilities } = JSON.parse(answerJson) as {
    capabilities?: Record<string, { listChanged?: boolean } | undefined>;
  };
  return ['tools', 'prompts', 'resources'].flatMap((what) =>
    capabilities?.[what]?.listChanged === true ? [`notifications/${what}/list_changed`] : [],
  );
}

/** A result that is not JSON (a cycle, a BigInt) must not leave its request without an end. */
function toJson(message: RpcResponse): string {
  try {
    return JSON.stringify(message);
  } catch (cause) {
    return JSON.stringify({ jsonrpc: '2.0', id: message.id, error: rpcError(internal(cause)) });
  }
}

function endError(reason: LeaveReason): SojournError {
  if (reason === 'closed' || reason === 'store_lost') return requestClosed();
  if (reason === 'released') return requestDrained();
  if (reason === 'fenced') return ownerLost(true);
  return sessionEnded();
}
