/**
 * A live session: one client's server object and everything that belongs to it.
 *
 *     opening ──▶ live ──▶ leaving ──▶ left      (no field: the registry and `ownership.left` tell)
 *
 * opening: the factory runs and the handshake is dispatched (or replayed). No request reaches the session. live: it is
 * in the registry. leaving: it is out of the registry. Running requests get their error, sinks end, `signal` aborts,
 * `run()` resolves and the server is closed, in this order. What a crash leaves is the record and the logs.
 *
 * The parts: `session-ownership.ts` (the claim), `record-keeper.ts`, `session-calls.ts` (requests, and what else its
 * client sends), `session-transport.ts` (the server: messages to it and from it), `event-log.ts` and
 * `questions.ts`. `session-parts.ts` is the session as they see it.
 */
import { shareKey } from '../base/budget.ts';
import type { AnyServer } from '../sdk/server-shape.ts';
import type { Fence } from '../stores/store.ts';
import type { LeaveReason, Logger, McpSession } from '../base/types.ts';
import type { RpcNotification } from '../base/protocol/jsonrpc.ts';
import { roleOf } from '../base/protocol/methods.ts';
import { knownClient, type Quirk } from '../base/clients/known.ts';
import { Markers } from './calls/markers.ts';
import { GET_STREAM } from './streams/event-id.ts';
import { SessionEventLog } from './streams/event-log.ts';
import { isHookTimeout } from '../base/hook-time.ts';
import { entryOf } from '../base/entry-list.ts';
import { SessionOwnership } from './ownership/session-ownership.ts';
import { Questions } from './calls/questions.ts';
import type { Handshake } from './record/handshake.ts';
import { RecordKeeper } from './record/record-keeper.ts';
import { listChangesOf } from './record/server-answer.ts';
import type { SessionRecord } from './record/session-record.ts';
import { SessionCalls } from './calls/session-calls.ts';
import { hasRun, SessionRun } from './session-run.ts';
import type { SessionParts } from './session-parts.ts';
import type { CallHost } from './calls/call-services.ts';
import { Stream } from './streams/stream.ts';
import { tearDown } from './teardown.ts';
import { SessionTransport } from './server/session-transport.ts';
import { SessionView } from './session-view.ts';

/** What a live session needs of its instance, besides what its parts need. */
export interface LiveSessionHost extends CallHost {
  becameActive(session: LiveSession): void;
  becameIdle(session: LiveSession): void;
  /** Its server was closed, or its run hook returned, and this library did neither. */
  endedItself(session: LiveSession, reason: 'server_closed' | 'handler_returned'): void;
  /** Its server is not needed until its next message. Does nothing while something of it is in use. */
  hibernate(session: LiveSession): void;
}

export interface SessionStart {
  readonly id: string;
  readonly fence: Fence;
  readonly userKey: string | undefined;
  /** The other end of the connection that opened or restored it. */
  readonly address: string | undefined;
  readonly handshake: Handshake;
  readonly createdAt: number;
  /** The record of a session that is restored. */
  readonly record?: SessionRecord;
  /** Its messages and calls are not stored: its client can resume nothing, whatever its version (2024-11-05 transport). */
  readonly unlogged?: boolean;
  /** The length of the GET stream so far. `undefined`: the log holds none. */
  readonly getNext?: number | undefined;
}

const NONE: readonly string[] = [];
const notificationOf = (method: string): string => JSON.stringify({ jsonrpc: '2.0', method });

export class LiveSession implements SessionParts {
  readonly host: LiveSessionHost;
  readonly logger: Logger;
  readonly id: string;
  readonly userKey: string | undefined;
  /** Whose share it counts in, a key of `shareKey`. */
  readonly share: string;
  readonly handshake: Handshake;
  readonly createdAt: number;
  readonly ownership: SessionOwnership;
  readonly record: RecordKeeper;
  /** Where other processes share the store, and may own the session. */
  readonly markers: Markers | undefined;
  readonly transport: SessionTransport;
  readonly view: McpSession;
  readonly run: SessionRun | undefined;
  readonly calls: SessionCalls;
  readonly idleEntry = entryOf<LiveSession>(this);
  /** Among the idle sessions of its user. */
  readonly userEntry = entryOf<LiveSession>(this);
  readonly unlogged: boolean;
  readonly #fieldBytes: number;
  #getStream: Stream | undefined = undefined;
  /**
   * The `list_changed` methods that its client has not received, because the lists changed while the session was live
   * nowhere, or because a newer build restored its server.
   */
  #missed = NONE;
  #server: AnyServer | undefined = undefined;
  #eventLog: SessionEventLog | undefined = undefined;
  #questions: Questions | undefined = undefined;
  #finishedAsked: { readonly lastEventId: string; times: number } | undefined = undefined;
  /** Running requests and open sinks. */
  #active = 0;
  /**
   * When a sweep first saw that calls run and their client reads nothing, since its last sign. `undefined`: none has
   * seen that.
   */
  #unreadSince: number | undefined = undefined;
  #controller: AbortController | undefined = undefined;
  #leaving: Promise<void> | undefined = undefined;

  /** `fieldBytes`: of the request that it is made for, which its factory may keep. */
  constructor(host: LiveSessionHost, start: SessionStart, fieldBytes: number) {
    const { id, userKey: user, handshake, createdAt } = start;
    this.host = host;
    this.logger = host.logger;
    this.unlogged = start.unlogged ?? false;
    this.id = id;
    this.userKey = user;
    this.share = shareKey(user, start.address);
    this.handshake = handshake;
    this.createdAt = createdAt;
    this.#fieldBytes = fieldBytes;
    host.held.sessions.charge(this.handshake.bytes + fieldBytes, this.share);
    this.ownership = new SessionOwnership(host.claims, id, start.fence);
    this.record = new RecordKeeper(host, this.ownership, this, start.record);
    this.markers = host.durable && !this.unlogged ? new Markers(host, this.ownership) : undefined;
    this.transport = new SessionTransport(this);
    this.view = new SessionView(this);
    const returned = (): void => host.endedItself(this, 'handler_returned');
    this.run = hasRun(host.options) ? new SessionRun(host.options, returned) : undefined;
    this.calls = new SessionCalls(this);
    if (start.getNext !== undefined)
      this.#getStream = new Stream(GET_STREAM, this.streamLog, start.getNext);
  }

  /** Requested until `initialize` is answered, then negotiated. */
  get version(): string {
    return this.record.head.version;
  }

  get left(): boolean {
    return this.ownership.left;
  }

  /** `undefined` until the factory has made it. */
  get server(): AnyServer | undefined {
    return this.#server;
  }

  useServer(server: AnyServer): void {
    this.#server = server;
  }

  /** What its record takes of the memory budget. */
  get charged(): number {
    return this.handshake.bytes + this.record.charged;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.left) this.#controller.abort(this.ownership.leaveReason);
    }
    return this.#controller.signal;
  }

  /** Made when the client opens it. A logged one is kept from then on: an instance that restores the session finds it. */
  get getStream(): Stream {
    return (this.#getStream ??= new Stream(GET_STREAM, this.streamLog));
  }

  /** Whether a client reads the GET stream now. */
  get hasGetSink(): boolean {
    return this.#getStream?.hasOpenSink === true;
  }

  /** `undefined`: not used yet. */
  get usedGetStream(): Stream | undefined {
    return this.#getStream;
  }

  /** Its part of the event log, made on first use. */
  get log(): SessionEventLog {
    return (this.#eventLog ??= new SessionEventLog(this.host, this.ownership, this));
  }

  /** The log for streams that clients can resume; `undefined`: streams have no event ids. */
  get streamLog(): SessionEventLog | undefined {
    const { log } = this;
    return log.logsStreams ? log : undefined;
  }

  /** Made on first use, because most servers ask nothing. */
  get questions(): Questions {
    return (this.#questions ??= new Questions(this));
  }

  get usedQuestions(): Questions | undefined {
    return this.#questions;
  }

  /** The handshake is answered. The negotiated version decides whether streams are logged. */
  negotiated(result: Pick<SessionRecord, 'version' | 'answer'>): void {
    this.record.change(result);
    this.#getStream = undefined;
    this.#eventLog = undefined;
  }

  /** After a restore: what the rebuilt server answers to `initialize`. A deploy may have changed it. */
  rebuilt(answer: string): void {
    if (answer === this.record.head.answer) return;
    this.record.change({ answer });
    this.missed();
  }

  /** How often in a row the client has asked for this finished stream. */
  asksForFinished(lastEventId: string): number {
    if (this.#finishedAsked?.lastEventId !== lastEventId)
      this.#finishedAsked = { lastEventId, times: 0 };
    return (this.#finishedAsked.times += 1);
  }

  // ——— activity ———

  get idle(): boolean {
    return this.#active === 0;
  }

  /** How long ago it was last in use. Calls whose client reads nothing, and comes back for nothing, are no use. */
  get idleMs(): number {
    const now = this.host.options.timeProvider.monotonic();
    return now - (this.idle ? this.idleEntry.since : (this.#unreadSince ?? now));
  }

  /** Each sweep asks. A client that left between two of them is noticed by the second. */
  notesReaders(now: number): void {
    const { running } = this.calls;
    const isRead = this.#active > running.size || running.anyRead;
    if (isRead) this.#unreadSince = undefined;
    else this.#unreadSince ??= now;
  }

  /** Whether a drain waits for this session. */
  get busy(): boolean {
    return this.calls.running.size > 0 || this.#questions?.anyReadable === true;
  }

  /** Nothing of it is in use, or would be lost. */
  get mayHibernate(): boolean {
    return (
      this.idle &&
      this.#questions?.any !== true &&
      !this.record.writes.saving &&
      (!this.hasMissed || this.host.options.responseMode === 'json')
    );
  }

  hibernate(): void {
    this.host.hibernate(this);
  }

  enter(): void {
    this.#unreadSince = undefined;
    if (this.#active++ === 0) this.host.becameActive(this);
  }

  exit(): void {
    if (--this.#active === 0 && !this.left) this.host.becameIdle(this);
  }

  // ——— messages out ———

  /** Whether a message on the GET stream can reach the client, now or when it resumes that stream. */
  get #isGetReachable(): boolean {
    return this.hasGetSink || this.#getStream?.logged === true;
  }

  /** Sends a message about the session on its GET stream. */
  push(message: RpcNotification): void {
    const { id: sessionId, logger } = this;
    const { method } = message;
    if (!this.record.head.initialized && roleOf(method) !== 'log')
      logger.debug(
        { sessionId, method },
        'Dropped: the client has not sent notifications/initialized',
      );
    else if (this.#isGetReachable) this.getStream.send(JSON.stringify(message));
    else logger.debug({ sessionId, method }, 'Dropped: the client has no GET stream');
  }

  /** Sends the answer of a call whose sink left, to a client that will not resume the call's stream. */
  pushAnswer(json: string): void {
    if (this.#isGetReachable && this.hasQuirk('answer-on-get')) this.getStream.send(json);
  }

  /** Its client has missed these messages; absent: perhaps a change of every list. */
  missed(
    messages: readonly string[] = listChangesOf(this.record.head.answer).map(notificationOf),
  ): void {
    this.#missed = [...new Set([...this.#missed, ...messages])];
  }

  /** Its GET stream dropped messages. */
  skipped(): void {
    this.missed();
    if (this.hasGetSink) this.sendMissed(this.getStream);
  }

  get hasMissed(): boolean {
    return this.#missed.length > 0;
  }

  /** Its client gets them on its next GET stream, or on the stream of its next request if it has no GET stream. */
  sendMissed(stream: Stream): void {
    if (this.hasGetSink && stream !== this.#getStream) return;
    const missed = this.#missed;
    this.#missed = NONE;
    for (const message of missed) stream.send(message);
  }

  /** Whether this client has a bug for which it is treated differently. `userAgent`: of the present request. */
  hasQuirk(quirk: Quirk, userAgent?: string): boolean {
    const { clientInfo } = this.handshake.params;
    const known = knownClient(quirk, { userAgent, clientInfo, protocol: this.version });
    if (known === undefined) return false;
    this.logger.debug(
      { sessionId: this.id, client: known.name, quirk },
      'A known client is treated differently',
    );
    return true;
  }

  // ——— the end ———

  /** The server closed its transport. When the session has left, this library closed the server. */
  serverClosed(): void {
    if (!this.left) this.host.endedItself(this, 'server_closed');
  }

  /** Tears the copy down; idempotent. The caller has taken it out of the registry and written the record. */
  leave(reason: LeaveReason): Promise<void> {
    // A sink that ends during the teardown may call this again.
    if (this.left) return this.#leaving ?? Promise.resolve();
    this.ownership.leave(reason);
    this.record.release();
    this.host.held.sessions.give(this.handshake.bytes + this.#fieldBytes, this.share);
    return (this.#leaving = tearDown(this, reason, () => this.#controller?.abort(reason)));
  }

  /**
   * For a session that could not be made live. After a HOOK_TIMEOUT it does not wait for the teardown, which may hang
   * too.
   */
  async giveUp(reason: LeaveReason, cause: unknown): Promise<void> {
    const left = this.leave(reason);
    if (!isHookTimeout(cause)) return left;
    left.catch((err: unknown) =>
      this.logger.error(
        { err, sessionId: this.id },
        'A session that ended or left could not be cleaned up',
      ),
    );
  }
}
