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
import { follow, type Transitions } from '../options/transitions.ts';
import { JSON_HEADERS } from './answer.ts';
import { type Backlog, backlogOf } from './backlog.ts';
import type { Exchange, HeaderList } from './exchange.ts';
import type { HeldHeads } from './held-heads.ts';
import type { KeepAlive } from './keep-alive.ts';
import { isLarge } from './large-answers.ts';
import type { StreamExpiry } from './stream-expiry.ts';
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

// ——— what a stream knows of its reader ———

/** Gets the messages of a stream. Sessions write to their clients only through this interface. */
export interface Reader {
  /** One message, as JSON text. `id`: the client can resume after it. */
  message(json: string, id?: string): void;
  /** An event with only an id, and the time that the client waits before it reconnects. */
  point(id: string, retryMs: number, emptyData: boolean): void;
  /** Ends the response cleanly. */
  end(): void;
  /**
   * The response continues with the next owner of the session: at the instance that relayed the call, or here, after
   * the event `lastEventId`. Only where the reader takes events.
   */
  moved(lastEventId: string | undefined): void;
  /** Whether the client still reads. */
  readonly isOpen: boolean;
  /** `answers`: ids and points are dropped. */
  readonly takes: 'events' | 'answers';
  /** Its client is connected to another instance, and it takes events. */
  readonly isRelayed: boolean;
  /** Resolves when the link to the instance of its client has room, or has failed; `undefined`: it has room. */
  room(): Promise<void> | undefined;
  listener: ReaderListener | undefined;
}

/** An object instead of a function: the stream of a call listens without allocating a closure. */
export interface ReaderListener {
  /** A write to the store is under way, and its message reaches the reader in a moment. */
  readonly flushing?: boolean;
  /** The turn that made the response ends, and the response is not complete. */
  endTurn?(): void;
  /** Called once: the response ended, its client disconnected, or it was cut because its client reads too slowly. */
  over(reader: Reader): void;
}

// ——— the response ———

/** What responses of one kind have in common. */
export interface ResponsePolicy {
  /** `json`: one answer as a JSON body. `batch`: several, as an array. */
  readonly form: 'events' | 'json' | 'batch';
  readonly keepAlive: KeepAlive;
  /**
   * Bytes that may wait for a slow reader. Above this limit the connection is cut; the client can resume from the log.
   */
  readonly bufferBytes: number;
  /** An answer above 1 MiB, before which nothing was sent, is the body of the response (`large-answers.ts`). */
  readonly largeAsJson?: boolean;
  /** Holds heads of answers that the store must take first. */
  readonly heldHeads?: HeldHeads;
  /** Continues the response after the event `lastEventId`, with the next owner of the session. */
  readonly handOff?: (exchange: Exchange, lastEventId: string) => void;
  /** Ends the stream with the token of its caller. */
  readonly expiry?: StreamExpiry | undefined;
}

/**
 *     gathering ──end──▶ complete ──the turn ends──▶ ended
 *        ├──the turn ends, the store has not answered, or the form is JSON──▶ held ──end──▶ ended
 *        ╰──the turn ends─────────────────────────────▶ open ◀──waited long enough── held
 *
 * open: the head was sent. It becomes `ended`, or `gone` when the client disconnected or was cut off; so does a JSON
 * answer that is held. A response that is abandoned is `ended` too.
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
  #stopExpiry: (() => void) | undefined = undefined;
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
    if (this.takes === 'events') this.#write(messageFrame(json, id));
    else if (this.#messages === 1) this.#gathered = json;
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

  end(): void {
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
    return this.#policy.form === 'events' ? 'events' : 'answers';
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
    if (this.takes === 'answers') return this.#awaitAnswer();
    if (this.#policy.heldHeads !== undefined && this.listener?.flushing === true) return this.#hold();
    this.#openStream();
  }

  crashed(cause: unknown): void {
    this.#exchange.fail(cause);
  }

  /** The answer has waited long enough for the store. */
  release(): void {
    if (this.#state === 'held') this.#openStream();
  }

  #hold(): void {
    if (this.#state === 'held') return;
    this.#policy.heldHeads?.hold(this);
    this.#become('held');
  }

  #awaitAnswer(): void {
    if (this.#state === 'held') return;
    this.#become('held');
    this.#exchange.onClose(() => this.#leave());
  }

  // ——— what is sent ———

  #openStream(): void {
    const gathered = this.#gathered;
    this.#gathered = '';
    this.#alone = undefined;
    this.#become('open');
    this.#exchange.openStream(SSE_HEADERS);
    if (gathered !== '') this.#exchange.write(gathered);
    this.#policy.keepAlive.add(this);
    this.#exchange.onClose(() => this.#leave());
    this.#stopExpiry = this.#policy.expiry?.watch(this.#exchange, () => this.end());
  }

  #respond(): void {
    const gathered = this.#gathered;
    this.#gathered = '';
    const alone = this.#alone;
    this.#alone = undefined;
    this.#become('ended');
    const { form, largeAsJson } = this.#policy;
    if (form === 'events' && largeAsJson === true && alone !== undefined && isLarge(alone))
      this.#exchange.respond(200, JSON_HEADERS, alone);
    else if (form === 'events') this.#exchange.respond(200, SSE_HEADERS, gathered);
    // Every request of the POST was cancelled, so it gets no answer, as for notifications.
    else if (this.#messages === 0) this.#exchange.respond(202, NO_HEADERS);
    else this.#exchange.respond(200, JSON_HEADERS, form === 'batch' ? `[${gathered}]` : gathered);
    this.#over();
  }

  #write(frame: string): void {
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
    this.#stopExpiry?.();
    const { listener } = this;
    this.listener = undefined;
    listener?.over(this);
  }
}
