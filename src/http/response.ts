/**
 * The response to one request, and the only writer of its frames. It gathers what its turn brings:
 *
 * * An answer that is complete when the turn ends leaves as one response.
 * * An answer that waits only for the store is held, and leaves a little later.
 * * Otherwise the head and the gathered frames leave then, and later frames are written as they come.
 *
 * `responseMode: 'json'`: the answers leave as one body, however late. Every other message was routed to another
 * stream.
 */
import type { RequestId } from '@modelcontextprotocol/server';
import type { SojournError } from '../errors.ts';
import { follow, type Transitions } from '../options/transitions.ts';
import { errorJson, JSON_HEADERS, type LostForm, refuse } from './answer.ts';
import { type Backlog, backlogOf } from './backlog.ts';
import type { Exchange, HeaderList } from './exchange.ts';
import { isLarge } from './large-answers.ts';
import type { Reader, ReaderListener } from './reader.ts';
import type { ResponsePolicy } from './response-policy.ts';
import { atEndOfTurn, type TurnTask } from './turn.ts';

// ——— frames of server-sent events (WHATWG HTML, section 9.2) ———

/** `json` never holds a line break. `id`: the client can resume after this message. */
export function messageFrame(json: string, id: string | undefined): string {
  return id === undefined ? `event: message\ndata: ${json}\n\n` : `event: message\nid: ${id}\ndata: ${json}\n\n`;
}

/**
 * An id, the client's waiting time before it reconnects, and no message. `emptyData`: with an empty data field, as
 * 2025-11-25 has it. Clients of earlier revisions report that as an error; without the field most read the id all the
 * same.
 */
export function pointFrame(id: string, retryMs: number, emptyData: boolean): string {
  return `id: ${id}\nretry: ${retryMs}\n${emptyData ? 'data: \n' : ''}\n`;
}

export const KEEP_ALIVE_FRAME = ': keepalive\n\n';

/** `Content-Encoding: identity` keeps compressing proxies from holding events back. */
export const SSE_HEADERS: HeaderList = [
  ['Content-Type', 'text/event-stream'],
  ['Cache-Control', 'no-cache,no-store'],
  ['Content-Encoding', 'identity'],
  ['X-Accel-Buffering', 'no'],
];

// ——— the response ———

/**
 *     gathering ──end──▶ complete ──the turn ends──▶ ended
 *        ├──the turn ends, the head may wait──▶ held ──end──▶ ended
 *        │                                        ╰──waited long enough──╮
 *        ╰──the turn ends, else───────────────────────────────────────▶ open
 *
 * held: the answer waits only for the store, may still choose the status, or is JSON.
 * open: the head was sent. It becomes `ended`, or `gone` when the client disconnected or was cut off. A held response
 * becomes `gone` too, but not while it waits for the store. A response that is refused or abandoned is `ended`.
 */
type State = 'gathering' | 'held' | 'complete' | 'open' | 'ended' | 'gone';

const STATES: Transitions<State> = {
  gathering: ['held', 'complete', 'open', 'ended'],
  held: ['open', 'ended', 'gone'],
  complete: ['ended'],
  open: ['ended', 'gone'],
  ended: [],
  gone: [],
};

const NO_HEADERS: HeaderList = [];

export class HttpResponse implements Reader, TurnTask {
  readonly #exchange: Exchange;
  readonly #policy: ResponsePolicy;
  #state: State = 'gathering';
  /** Frames, or the answers of a JSON body. */
  #gathered = '';
  /** The only message that was gathered. */
  #alone: string | undefined = undefined;
  #messages = 0;
  #backlog: Backlog | undefined = undefined;
  #status = 200;
  #stopExpiry: (() => void) | undefined = undefined;
  #headTimer: unknown = undefined;
  listener: ReaderListener | undefined = undefined;
  /** The slot of the keep-alive walk. */
  slot = -1;

  constructor(exchange: Exchange, policy: ResponsePolicy) {
    this.#exchange = exchange;
    this.#policy = policy;
    atEndOfTurn(this);
  }

  // ——— values ———

  message(json: string, id?: string): void {
    if (this.#isUnsent) this.#alone = this.#messages++ === 0 ? json : undefined;
    if (this.takes === 'events' || this.#state === 'open') {
      this.#write(messageFrame(json, id));
      const { largeAnswers, form } = this.#policy;
      if ((form === 'events' || this.#state === 'open') && largeAnswers !== undefined && isLarge(json))
        largeAnswers.note(this.listener?.label ?? '');
    } else if (this.#messages === 1) this.#gathered = json;
    else if (this.#policy.form === 'batch') this.#gathered += `,${json}`;
  }

  point(id: string, retryMs: number, emptyData: boolean): void {
    if (this.takes === 'events') this.#write(pointFrame(id, retryMs, emptyData));
  }

  /** Sends an event that is not a JSON-RPC message. */
  event(type: string, data: string): void {
    this.#write(`event: ${type}\ndata: ${data}\n\n`);
  }

  keepAlive(): void {
    if (this.#state === 'open' && this.#exchange.pendingBytes === 0) this.#exchange.write(KEEP_ALIVE_FRAME);
  }

  /** Sends frames of the SDK as they are. */
  frames(text: string): void {
    if (this.#state === 'open') this.#write(text);
  }

  /** Sends the head of a stream now, if nothing was sent. The SDK sends the keep-alives of what follows. */
  begin(): void {
    if (this.isOpen && this.#isUnsent) this.#openStream();
    this.#policy.keepAlive.remove(this);
  }

  /**
   * Answers with an error: with its HTTP status, or as a message where something was sent. `id`: of the request.
   */
  refuse(error: SojournError, id: RequestId | null, form?: LostForm): void {
    if (!this.isOpen) return;
    if (this.hasBegun) {
      this.message(errorJson(error, id, form));
      return this.end();
    }
    this.#become('ended');
    refuse(this.#exchange, error, id, form);
    this.#over();
  }

  /** Answers with what the SDK answers, or with its body as a message where events are sent. */
  done(status: number, headers: HeaderList, body?: string): void {
    if (!this.isOpen) return;
    if (this.hasBegun || (this.#policy.form === 'events' && status === 200 && body !== undefined)) {
      if (body !== undefined && body !== '') this.message(body);
      return this.end();
    }
    this.#become('ended');
    this.#exchange.respond(status, headers, body);
    this.#over();
  }

  /** `status`: of an answer that tells an error before any handler ran. */
  end(status = 200): void {
    this.#status = status;
    // Respond now in two cases: the turn has ended and the answer waited only for the store; or another instance
    // relayed the call, so that there is no local socket to combine writes on.
    if (this.#state === 'held') return this.#respond();
    if (this.#state === 'gathering') {
      this.#become('complete');
      if (this.#exchange.relayOrigin !== undefined) this.#respond();
      return;
    }
    if (this.#state !== 'open') return;
    this.#become('ended');
    this.#policy.keepAlive.remove(this);
    this.#exchange.end();
    this.#over();
  }

  moved(lastEventId: string | undefined): void {
    const exchange = this.#exchange;
    // What was gathered holds the id after which the response continues.
    if (this.#isUnsent) this.#openStream();
    this.abandon();
    const { handOff } = this.#policy;
    if (exchange.relayOrigin !== undefined) exchange.relayOrigin.handOn();
    else if (handOff !== undefined && lastEventId !== undefined) handOff(exchange, lastEventId);
    else exchange.end();
  }

  /** Detaches from the exchange, which stays open for another response. Returns `true` when nothing was sent on it. */
  abandon(): boolean {
    const isUnsent = this.#isUnsent;
    if (this.#state === 'open') this.#policy.keepAlive.remove(this);
    if (isUnsent || this.#state === 'open') this.#become('ended');
    this.#over();
    return isUnsent;
  }

  // ——— how far it is ———

  get takes(): 'events' | 'answers' {
    const { form } = this.#policy;
    return form === 'events' || form === 'auto' ? 'events' : 'answers';
  }

  /** Something was sent, or leaves when this turn ends. */
  get hasBegun(): boolean {
    return this.#state === 'open' || this.#gathered !== '';
  }

  get isRelayed(): boolean {
    return this.#exchange.relayOrigin !== undefined && this.takes === 'events';
  }

  room(): Promise<void> | undefined {
    return this.isOpen && this.takes === 'events' ? this.#exchange.relayOrigin?.room() : undefined;
  }

  get isOpen(): boolean {
    return this.#state === 'gathering' || this.#state === 'held' || this.#state === 'open';
  }

  /** Nothing was sent on the exchange. */
  get #isUnsent(): boolean {
    return this.#state === 'gathering' || this.#state === 'held' || this.#state === 'complete';
  }

  #become(next: State): void {
    this.#state = follow(STATES, this.#state, next);
  }

  // ——— the turn, and heads that wait ———

  endTurn(): void {
    if (this.#state === 'gathering') this.listener?.endTurn?.();
    // The listener may have ended the response.
    if (this.#state === 'complete') return this.#respond();
    if (this.#state !== 'gathering' && this.#state !== 'held') return;
    const { headWait } = this.#policy;
    if (this.takes === 'answers' || (headWait !== undefined && this.#gathered === '')) return this.#awaitAnswer();
    if (this.#policy.heldHeads !== undefined && this.listener?.flushing === true) return this.#hold();
    this.#openStream();
  }

  crashed(cause: unknown): void {
    this.#exchange.fail(cause);
  }

  /** The head has waited long enough. */
  release(): void {
    if (this.#state !== 'held') return;
    if (this.#exchange.closed) this.#leave();
    else this.#openStream();
  }

  #hold(): void {
    if (this.#state === 'held') return;
    this.#policy.heldHeads?.hold(this);
    this.#become('held');
  }

  #awaitAnswer(): void {
    if (this.#state === 'held') return;
    this.#become('held');
    const { headWait } = this.#policy;
    if (headWait !== undefined) this.#headTimer = headWait.time.setTimeout(() => this.release(), headWait.ms);
    this.#exchange.onClose(() => this.#leave());
  }

  #stopHeadTimer(): void {
    if (this.#headTimer !== undefined) this.#policy.headWait?.time.clearTimeout(this.#headTimer);
    this.#headTimer = undefined;
  }

  // ——— what is sent ———

  #openStream(): void {
    const gathered = this.#gathered;
    const listens = this.#headTimer !== undefined;
    this.#stopHeadTimer();
    this.#gathered = '';
    this.#alone = undefined;
    this.#become('open');
    this.#exchange.openStream(SSE_HEADERS);
    this.listener?.opened?.(this);
    if (gathered !== '') this.#exchange.write(gathered);
    this.#policy.keepAlive.add(this);
    if (!listens) this.#exchange.onClose(() => this.#leave());
    this.#stopExpiry = this.#policy.expiry?.watch(this.#exchange, () => this.end());
  }

  #respond(): void {
    const gathered = this.#gathered;
    this.#gathered = '';
    const alone = this.#alone;
    this.#alone = undefined;
    this.#become('ended');
    const { form } = this.#policy;
    if (this.takes === 'events' && !this.#isJson(alone)) this.#exchange.respond(200, SSE_HEADERS, gathered);
    // Every request of the POST was cancelled, so it gets no answer, as for notifications.
    else if (this.#messages === 0) this.#exchange.respond(202, NO_HEADERS);
    else this.#exchange.respond(this.#status, JSON_HEADERS, form === 'batch' ? `[${gathered}]` : (alone ?? gathered));
    this.#over();
  }

  /** Whether an answer before which nothing was sent is a JSON body. */
  #isJson(alone: string | undefined): boolean {
    if (alone === undefined) return false;
    const { form, largeAsJson } = this.#policy;
    return form === 'auto' || this.#status !== 200 || (largeAsJson === true && isLarge(alone));
  }

  #write(frame: string): void {
    // A call that can be resumed numbers what is written, so each frame is written alone.
    if (this.#policy.headWait !== undefined && this.#isUnsent && this.#gathered !== '') this.#openStream();
    if (this.#isUnsent) {
      // Frames that the store took while the head was held leave when this turn ends, unless `end` follows first.
      if (this.#state === 'held' && this.#gathered === '') atEndOfTurn(this);
      this.#gathered += frame;
    } else if (this.#state === 'open') {
      // Check before the write, so that a single big message is never refused.
      this.#backlog = backlogOf(this.#exchange, this.#policy.bufferBytes, this.#backlog);
      if (this.#backlog?.tooLong === true) {
        this.#leave();
        this.#exchange.destroy();
      } else {
        this.#exchange.write(frame);
      }
    }
  }

  /** The client disconnected, or was cut off. */
  #leave(): void {
    if (this.#state !== 'open' && this.#state !== 'held') return;
    this.#become('gone');
    this.#policy.keepAlive.remove(this);
    this.#over();
  }

  #over(): void {
    this.#stopHeadTimer();
    this.#stopExpiry?.();
    const { listener } = this;
    this.listener = undefined;
    listener?.over(this);
  }
}
