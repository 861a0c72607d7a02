/**
 * Sends a stream's messages as server-sent events. A sink first gathers the frames of its turn:
 *
 * * An answer that is complete when the turn ends leaves as one response.
 * * An answer that waits only for the store is held, and leaves a little later.
 * * Otherwise the head and the gathered frames leave then, and later frames are written as they come.
 */
import type { Sink, SinkListener } from './sink.ts';
import { type Backlog, backlogOf } from './backlog.ts';
import type { Exchange, HeaderList } from './exchange.ts';
import { JSON_HEADERS } from './answer.ts';
import type { HeldHeads } from './held-heads.ts';
import type { KeepAlive } from './keep-alive.ts';
import { isLarge } from './large-answers.ts';
import type { StreamExpiry } from './stream-expiry.ts';
import { KEEP_ALIVE_FRAME, messageFrame, primingFrame } from './sse.ts';
import { follow, type Transitions } from '../options/transitions.ts';
import { atEndOfTurn, type TurnTask } from './turn.ts';

export interface SseSinkOptions {
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
  readonly handOn?: (exchange: Exchange, lastEventId: string) => void;
  /** Of a stream that ends with the token of its caller. */
  readonly expiry?: StreamExpiry | undefined;
}

/**
 *     gathering ──end──▶ complete ──the turn ends──▶ ended
 *        ├──the turn ends, the store has not answered──▶ held ──end──▶ ended
 *        ╰──the turn ends─────────────────────────────▶ open ◀──waited long enough── held
 *
 * open: the head was sent. It becomes `ended`, or `gone` when the client disconnected or was cut off. A sink that is
 * abandoned is `ended` too.
 */
type State = 'gathering' | 'held' | 'complete' | 'open' | 'ended' | 'gone';

const STATES: Transitions<State> = {
  gathering: ['held', 'complete', 'open', 'ended'],
  held: ['open', 'ended'],
  complete: ['ended'],
  open: ['ended', 'gone'],
  ended: [],
  gone: [],
};

export class SseSink implements Sink, TurnTask {
  readonly #exchange: Exchange;
  readonly #headers: HeaderList;
  readonly #options: SseSinkOptions;
  #state: State = 'gathering';
  #gathered = '';
  /** The only message that was gathered. */
  #alone: string | undefined = undefined;
  #messages = 0;
  #backlog: Backlog | undefined = undefined;
  #stopExpiry: (() => void) | undefined = undefined;
  listener: SinkListener | undefined = undefined;
  /** The slot of the keep-alive walk. */
  slot = -1;

  constructor(exchange: Exchange, headers: HeaderList, options: SseSinkOptions) {
    this.#exchange = exchange;
    this.#headers = headers;
    this.#options = options;
    atEndOfTurn(this);
  }

  message(json: string, eventId: string | undefined): void {
    if (this.#unsent) this.#alone = this.#messages++ === 0 ? json : undefined;
    this.#write(messageFrame(json, eventId));
  }

  prime(eventId: string, retryMs: number, emptyData: boolean): void {
    this.#write(primingFrame(eventId, retryMs, emptyData));
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
    this.#options.keepAlive.remove(this);
    this.#exchange.end();
    this.#done();
  }

  get isRelayed(): boolean {
    return this.#exchange.relayOrigin !== undefined;
  }

  room(): Promise<void> | undefined {
    return this.open ? this.#exchange.relayOrigin?.room() : undefined;
  }

  handOn(lastEventId: string | undefined): void {
    const exchange = this.#exchange;
    // What was gathered holds the id after which the response continues.
    if (this.#unsent) this.#openStream();
    this.abandon();
    if (exchange.relayOrigin !== undefined) exchange.relayOrigin.handOn();
    else if (this.#options.handOn !== undefined && lastEventId !== undefined)
      this.#options.handOn(exchange, lastEventId);
    else exchange.end();
  }

  /** Detaches from the exchange, which stays open for another sink. Returns `true` when nothing was sent on it. */
  abandon(): boolean {
    const unsent = this.#unsent;
    if (this.#state === 'open') this.#options.keepAlive.remove(this);
    if (unsent || this.#state === 'open') this.#become('ended');
    this.#done();
    return unsent;
  }

  get open(): boolean {
    return this.#state === 'gathering' || this.#state === 'held' || this.#state === 'open';
  }

  /** Nothing was sent on the exchange. */
  get #unsent(): boolean {
    return this.#state === 'gathering' || this.#state === 'held' || this.#state === 'complete';
  }

  #become(next: State): void {
    this.#state = follow(STATES, this.#state, next);
  }

  endTurn(): void {
    if (this.#state === 'gathering') this.listener?.endTurn?.();
    // The listener may have ended the sink.
    if (this.#state === 'complete') return this.#respond();
    if (this.#state !== 'gathering' && this.#state !== 'held') return;
    if (this.#options.heldHeads !== undefined && this.listener?.flushing === true) return this.#hold();
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
    this.#options.heldHeads?.hold(this);
    this.#become('held');
  }

  #openStream(): void {
    const gathered = this.#gathered;
    this.#gathered = '';
    this.#alone = undefined;
    this.#become('open');
    this.#exchange.openStream(this.#headers);
    if (gathered !== '') this.#exchange.write(gathered);
    this.#options.keepAlive.add(this);
    this.#exchange.onClose(() => this.#leave());
    this.#stopExpiry = this.#options.expiry?.watch(this.#exchange, () => this.end());
  }

  #respond(): void {
    const gathered = this.#gathered;
    this.#gathered = '';
    this.#become('ended');
    const alone = this.#alone;
    this.#alone = undefined;
    if (alone !== undefined && this.#options.largeAsJson === true && isLarge(alone))
      this.#exchange.respond(200, JSON_HEADERS, alone);
    else this.#exchange.respond(200, this.#headers, gathered);
    this.#done();
  }

  #write(frame: string): void {
    if (this.#unsent) {
      // Frames that the store took while the head was held leave when this turn ends, unless `end` follows first.
      if (this.#state === 'held' && this.#gathered === '') atEndOfTurn(this);
      this.#gathered += frame;
    } else if (this.#state === 'open') {
      // Check before the write, so that a single big message is never refused.
      this.#backlog = backlogOf(this.#exchange, this.#options.bufferBytes, this.#backlog);
      if (this.#backlog?.tooLong === true) {
        this.#leave();
        this.#exchange.destroy();
      } else {
        this.#exchange.write(frame);
      }
    }
  }

  #leave(): void {
    if (this.#state !== 'open') return;
    this.#become('gone');
    this.#options.keepAlive.remove(this);
    this.#done();
  }

  #done(): void {
    this.#stopExpiry?.();
    const { listener } = this;
    this.listener = undefined;
    listener?.sinkDone(this);
  }
}
