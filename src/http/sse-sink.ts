/**
 * A stream's messages as server-sent events. A sink starts in its turn: frames gather, and when the answer is complete at
 * the end of that turn it leaves as one response; when it waits for nothing but the store, a little later. Otherwise the head
 * and what has gathered leave then, and frames are written as they come.
 */
import type { Sink, SinkListener } from './sink.ts';
import { type Backlog, backlogOf } from './backlog.ts';
import type { Exchange, HeaderList } from './exchange.ts';
import type { HeldHeads } from './held-heads.ts';
import type { KeepAlive } from './keep-alive.ts';
import { KEEP_ALIVE_FRAME, messageFrame, primingFrame } from './sse.ts';
import { atEndOfTurn, type TurnTask } from './turn.ts';

export interface SseSinkOptions {
  readonly keepAlive: KeepAlive;
  /** Bytes that may wait for a slow reader; past it the connection is cut (what the log keeps can be resumed). */
  readonly bufferBytes: number;
  /** For answers that a store must take first. */
  readonly heldHeads?: HeldHeads;
}

const IN_TURN = 0;
const OPEN = 1;
const ENDED = 2;
const GONE = 3;

export class SseSink implements Sink, TurnTask {
  readonly #exchange: Exchange;
  readonly #headers: HeaderList;
  readonly #options: SseSinkOptions;
  #state: 0 | 1 | 2 | 3 = IN_TURN;
  #gathered = '';
  #backlog: Backlog | undefined = undefined;
  /** Set while an answer waits for nothing but the store. */
  #held = false;
  #heldLong = false;
  #complete = false;
  listener: SinkListener | undefined = undefined;
  /** Its place in the keep-alive walk. */
  slot = -1;

  constructor(exchange: Exchange, headers: HeaderList, options: SseSinkOptions) {
    this.#exchange = exchange;
    this.#headers = headers;
    this.#options = options;
    atEndOfTurn(this);
  }

  message(json: string, eventId: string | undefined): void {
    this.#write(messageFrame(json, eventId));
  }

  prime(eventId: string, retryMs: number): void {
    this.#write(primingFrame(eventId, retryMs));
  }

  /** An event that is no JSON-RPC message. */
  event(type: string, data: string): void {
    this.#write(`event: ${type}\ndata: ${data}\n\n`);
  }

  keepAlive(): void {
    if (this.#state === OPEN && this.#exchange.pendingBytes === 0) this.#exchange.write(KEEP_ALIVE_FRAME);
  }

  end(): void {
    if (this.#state === IN_TURN) {
      this.#complete = true;
      // Its turn has ended, and it waited only for the store; or there is nobody here to write to together with others.
      if (this.#held || this.#exchange.relayOrigin !== undefined) this.#respond();
      return;
    }
    if (this.#state !== OPEN) return;
    this.#state = ENDED;
    this.#options.keepAlive.remove(this);
    this.#exchange.end();
    this.#done();
  }

  /** Lets go of the exchange, which goes on without this sink. `true`: nothing has been sent on it. */
  abandon(): boolean {
    const unsent = this.#state === IN_TURN;
    if (this.#state === OPEN) this.#options.keepAlive.remove(this);
    if (this.#state === IN_TURN || this.#state === OPEN) this.#state = ENDED;
    this.#done();
    return unsent;
  }

  get open(): boolean {
    return (this.#state === IN_TURN && !this.#complete) || this.#state === OPEN;
  }

  endTurn(): void {
    if (this.#state !== IN_TURN) return;
    if (!this.#complete && !this.#held) this.listener?.endTurn?.();
    if (!this.#complete && this.#mayHold && this.listener?.flushing === true) return this.#hold();
    if (this.#complete) this.#respond();
    else this.#openStream();
  }

  crashed(cause: unknown): void {
    this.#exchange.fail(cause);
  }

  get #mayHold(): boolean {
    return this.#options.heldHeads !== undefined && !this.#heldLong;
  }

  /** It has waited long enough for the store. */
  release(): void {
    this.#heldLong = true;
    if (this.#state === IN_TURN) this.#openStream();
  }

  #hold(): void {
    if (!this.#held) this.#options.heldHeads?.hold(this);
    this.#held = true;
  }

  #openStream(): void {
    const gathered = this.#gathered;
    this.#gathered = '';
    this.#state = OPEN;
    this.#exchange.openStream(this.#headers);
    if (gathered !== '') this.#exchange.write(gathered);
    this.#options.keepAlive.add(this);
    this.#exchange.onClose(() => this.#leave());
  }

  #respond(): void {
    const gathered = this.#gathered;
    this.#gathered = '';
    this.#state = ENDED;
    this.#exchange.respond(200, this.#headers, gathered);
    this.#done();
  }

  #write(frame: string): void {
    if (this.#state === IN_TURN) {
      // What the store took while the head was held: unless that was all, it leaves when this turn ends.
      if (this.#held && this.#gathered === '') atEndOfTurn(this);
      this.#gathered += frame;
    } else if (this.#state === OPEN) {
      // Judged before the write, so that one big message is never refused.
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
    if (this.#state !== OPEN) return;
    this.#state = GONE;
    this.#options.keepAlive.remove(this);
    this.#done();
  }

  #done(): void {
    const { listener } = this;
    this.listener = undefined;
    listener?.sinkDone(this);
  }
}
