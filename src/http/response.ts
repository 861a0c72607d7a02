/**
 * The response to one request, and the only writer of its frames. It gathers what its turn brings:
 *
 * * An answer that is complete when the turn ends leaves as one response.
 * * Else its head is held. On a POST whose events are stored it waits for the first id, and then up to 5 ms for an
 *   answer that is being stored. In 2026-07-28 it waits up to `keepAliveMs` for the first message. A response that is
 *   complete by then leaves as one.
 * * Then the head and the gathered events leave, and later events are written as they come.
 *
 * This process may crash at any moment. A client that has the head and no event id waits for its time-out then, while a
 * connection that breaks before the head is an error at once.
 *
 * `responseMode: 'json'`: `headMs` is infinite, and the answers leave as one body. Every other message was routed to
 * another stream.
 */
import type { RequestId } from '@modelcontextprotocol/server';
import { sessionEnded, type SojournError } from '../base/errors.ts';
import { errorJson, type LostForm, refuse } from './answer.ts';
import { type Exchange, JSON_HEADERS } from './exchange.ts';
import {
  frameOf,
  framesOf,
  isLarge,
  KEEP_ALIVE_FRAME,
  SSE_HEADERS,
  type StreamEvent,
  WHOLE_SSE_HEADERS,
} from './frames.ts';
import { type HostedStream, hostedWith } from './host-servers.ts';
import type { ResponseSink, SinkListener, ResponsePolicy } from './sink.ts';
import { UNREAD_BYTES } from './unread.ts';
import { atEndOfTurn, type TurnTask } from '../base/system.ts';

/**
 *     waiting ──begin──▶ gathering ──end──▶ complete ──the turn ends, or a large answer──▶ over
 *                           ├──the turn ends, the head is held──▶ held ──end──▶ over
 *                           │                                       ╰──headMs are over──╮
 *                           ╰──the turn ends, else───────────────────────────────────▶ open
 *
 * open: the head was sent. It becomes `over` when it ends, or when the client disconnected or was cut off, as a held
 * response does. A response that is refused is `over`. What was not sent may be withdrawn: then it is `waiting` again.
 */
type ResponseState = 'waiting' | 'gathering' | 'held' | 'complete' | 'open' | 'over';

/** What an event takes besides its data, about. */
const EVENT_CHARACTERS = 100;

export class HttpResponse implements ResponseSink, TurnTask {
  readonly #exchange: Exchange;
  #policy: ResponsePolicy;
  #state: ResponseState = 'waiting';
  /** What was not sent yet: events, or the answers of a JSON body. */
  #gathered: StreamEvent[] = [];
  #status = 200;
  #listens = false;
  /** It sends a held head, or the next comment of a stream, which it may end. */
  #timer: unknown = undefined;
  /** The streams that end with the same server. */
  #hosted: Set<HostedStream> | undefined = undefined;
  listener: SinkListener | undefined = undefined;
  lastId: string | undefined = undefined;

  /** `policy`: until `begin` names another one. */
  constructor(exchange: Exchange, policy: ResponsePolicy) {
    this.#exchange = exchange;
    this.#policy = policy;
  }

  set sessionId(id: string | undefined) {
    this.#exchange.sessionId = id;
  }

  // ——— values ———

  begin(policy = this.#policy): this {
    if (this.#state !== 'waiting') return this;
    this.#policy = policy;
    this.#state = 'gathering';
    atEndOfTurn(this);
    return this;
  }

  message(json: string, id?: string): void {
    if (id !== undefined) this.lastId = id;
    this.#exchange.watched?.sent(json);
    this.#add({ type: 'message', id, data: json });
  }

  point(id: string, retryMs: number, emptyData: boolean): void {
    if (this.takes === 'answers') return;
    this.lastId = id;
    this.#add({ id, retryMs, data: emptyData ? '' : undefined });
  }

  /** Sends an event that is not a JSON-RPC message. */
  event(type: string, data: string): void {
    this.#add({ type, data });
  }

  sendHead(): void {
    if (this.isOpen && this.#isUnsent) this.#openStream();
  }

  refuse(error: SojournError, id: RequestId | null, form?: LostForm): void {
    if (!this.isOpen) return;
    const { onSession, continuation } = this.#policy;
    if (this.hasBegun) {
      const resumes = continuation !== undefined && this.lastId !== undefined;
      // For a call that was accepted before, 404 means that its session has ended.
      const told = onSession !== undefined && error.status === 404 ? sessionEnded() : error;
      if (!resumes && onSession !== 'get') this.message(errorJson(told, id, form));
      return this.end();
    }
    this.#state = 'over';
    refuse(this.#exchange, error, id, form);
    this.#over();
  }

  done(status: 200 | 202 | 204): void {
    if (!this.isOpen) return;
    if (this.hasBegun) return this.end();
    this.#state = 'over';
    this.#exchange.respond(status, []);
    this.#over();
  }

  answer(json: string, status = 200): void {
    this.message(json);
    this.end(status);
  }

  end(status = 200): void {
    this.#status = status;
    // The turn has ended, and the answer waited only for the store.
    if (this.#state === 'held') return this.#respond();
    if (this.#state === 'waiting') this.begin();
    if (this.#state === 'gathering') {
      this.#state = 'complete';
      // What is written is charged. What many calls gather in one turn would not be.
      if (this.#characters > UNREAD_BYTES) this.#respond();
      return;
    }
    if (this.#state !== 'open') return;
    this.#state = 'over';
    this.#exchange.end();
    this.#over();
  }

  hostStopped(): void {
    this.listener?.hostStopped?.();
    this.end();
  }

  cut(): void {
    this.#clientLeft();
    this.#exchange.cut();
  }

  handOver(): void {
    if (!this.isOpen) return;
    const { continuation, onSession } = this.#policy;
    // A client without an id would wait for an answer that it cannot ask for.
    if (continuation === undefined || onSession === undefined || this.lastId === undefined)
      return this.cut();
    // What was gathered holds the id after which the response continues.
    this.sendHead();
    this.#tellClosed();
    continuation.continueResponse(this.#exchange, this, onSession);
  }

  withdraw(): void {
    this.#tellClosed();
    if (!this.#isUnsent || this.#state === 'waiting') return;
    this.#stopTimer();
    this.#exchange.watched?.withdrawn();
    this.#gathered = [];
    this.lastId = undefined;
    this.#state = 'waiting';
  }

  // ——— how far it is ———

  get takes(): 'events' | 'answers' {
    const { form } = this.#policy;
    return form === 'events' || form === 'auto' ? 'events' : 'answers';
  }

  get hasBegun(): boolean {
    return this.#state === 'open' || this.#gathered.length > 0;
  }

  get isOpen(): boolean {
    return this.#state !== 'complete' && this.#state !== 'over';
  }

  /** Nothing was sent on the exchange. */
  get #isUnsent(): boolean {
    return this.#state !== 'open' && this.#state !== 'over';
  }

  // ——— the turn, and held heads ———

  endTurn(): void {
    if (this.#state === 'gathering') this.listener?.endTurn?.();
    // The listener may have ended the response.
    if (this.#state === 'complete') return this.#respond();
    if (this.#state !== 'gathering' && this.#state !== 'held') return;
    if (this.#mayWait) this.#hold();
    else this.#openStream();
  }

  get #mayWait(): boolean {
    if (this.takes === 'answers') return true;
    return (
      (this.#policy.headMs ?? 0) > 0 && (this.listener?.flushing ?? this.#gathered.length === 0)
    );
  }

  fail(cause: unknown): void {
    this.#exchange.fail(cause);
  }

  #hold(): void {
    this.#state = 'held';
    this.#listen();
    const ms = this.#headMs;
    if (this.#timer === undefined && ms < Infinity)
      this.#timer = this.#exchange.host.time.setTimeout(() => this.sendHead(), ms);
  }

  /** A write that fails for `maxWaitMs` ends the wait for an id: its request is refused. */
  get #headMs(): number {
    const { headMs = 0, headNeedsId } = this.#policy;
    const waits = this.takes === 'answers' || (headNeedsId === true && this.lastId === undefined);
    return waits ? Infinity : headMs;
  }

  #stopTimer(): void {
    if (this.#timer !== undefined) this.#exchange.host.time.clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #listen(): void {
    if (!this.#listens) this.#exchange.onClose(() => this.#clientLeft());
    this.#listens = true;
  }

  // ——— what is sent ———

  #openStream(): void {
    const events = this.#gathered;
    this.#stopTimer();
    this.#gathered = [];
    this.#state = 'open';
    this.#exchange.openStream(SSE_HEADERS);
    this.listener?.opened?.(this);
    if (events.length > 0) this.#exchange.write(framesOf(events));
    const { endsWithHost, endsWithToken } = this.#policy;
    if (endsWithHost === true)
      this.#hosted = hostedWith(this.#exchange.node?.req.socket)?.add(this);
    this.#listen();
    if (!this.isOpen) return;
    const expiresAtMs =
      endsWithToken === true ? (this.#exchange.authInfo?.expiresAt ?? 0) * 1_000 : 0;
    // Middleware may have let the caller in with an expired token: then the stream stays.
    this.#watch(expiresAtMs > this.#exchange.host.time.now() ? expiresAtMs : Infinity);
  }

  /** A comment follows in each interval while the client has taken everything. The stream ends with the token. */
  #watch(expiresAtMs: number): void {
    const { time, keepAliveMs } = this.#exchange.host;
    if (keepAliveMs === Infinity && expiresAtMs === Infinity) return;
    const ms = Math.min(keepAliveMs, expiresAtMs - time.now());
    this.#timer = time.setTimeout(() => {
      if (time.now() >= expiresAtMs) return this.end();
      this.#watch(expiresAtMs);
      if (keepAliveMs < Infinity && this.#exchange.pendingBytes === 0)
        this.#exchange.write(KEEP_ALIVE_FRAME);
    }, ms);
  }

  #respond(): void {
    const events = this.#gathered;
    this.#gathered = [];
    this.#state = 'over';
    const { form, largeAsJson } = this.#policy;
    // Loops cost a call 2 % less than `flatMap` and `reduce`.
    const answers: string[] = [];
    for (const { type, data } of events)
      if (type === 'message' && data !== undefined) answers.push(data);
    const [answer] = answers;
    // An answer before which nothing was sent, as the policy says.
    const isJson =
      form === 'auto' || this.#status !== 200 || (largeAsJson === true && isLarge(answer ?? ''));
    if (this.takes === 'events' && !(isJson && answers.length === 1))
      this.#exchange.respond(200, WHOLE_SSE_HEADERS, framesOf(events));
    // Every request of the POST was cancelled, so it gets no answer, as for notifications.
    else if (answer === undefined) this.#exchange.respond(202, []);
    else
      this.#exchange.respond(
        this.#status,
        JSON_HEADERS,
        form === 'batch' ? `[${answers.join()}]` : answer,
      );
    this.#over();
  }

  /** Sends the event where the stream is open, and else gathers it. */
  #add(event: StreamEvent): void {
    const { takes } = this;
    if (this.#isUnsent && this.#policy.form === 'batch' && !this.#holds(event)) return;
    // Something precedes the answer, so the stream begins, with its first event. Or too much waits, and what waits in an
    // exchange is charged.
    const most = this.listener?.opened === undefined ? UNREAD_BYTES : 0;
    if (this.#isUnsent && takes === 'events' && this.#characters > most) this.#openStream();
    if (this.#isUnsent) {
      // Events that the store took while the head was held leave when this turn ends, unless `end` follows first.
      if (this.#state === 'held' && takes === 'events' && this.#gathered.length === 0)
        atEndOfTurn(this);
      this.#gathered.push(event);
    } else if (this.#state === 'open') this.#exchange.write(frameOf(event));
  }

  /** The length of what was gathered. */
  get #characters(): number {
    let sum = 0;
    for (const { data = '' } of this.#gathered) sum += data.length + EVENT_CHARACTERS;
    return sum;
  }

  /**
   * A long body waits for the last answer, and counts in the memory budget until then. `false`: there is no room, and
   * the connection is cut.
   */
  #holds({ data = '' }: StreamEvent): boolean {
    if (this.#characters + data.length <= UNREAD_BYTES || this.#exchange.holds(data.length))
      return true;
    this.#gathered = [];
    this.cut();
    return false;
  }

  /** The client disconnected, or was cut off. */
  #clientLeft(): void {
    if (this.#state !== 'open' && this.#state !== 'held') return;
    this.#state = 'over';
    this.#over();
  }

  #over(): void {
    this.#stopTimer();
    this.#hosted?.delete(this);
    this.#tellClosed();
  }

  #tellClosed(): void {
    const { listener } = this;
    this.listener = undefined;
    listener?.sinkClosed(this);
  }
}
