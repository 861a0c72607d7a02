/**
 * Writes the answer of one modern request to its exchange, message by message or from a web `Response` of the SDK. JSON
 * is sent as it is, or as one event once a stream is committed. Event streams are passed on chunk by chunk, with
 * sojourn's headers.
 */
import type { RequestId } from '@modelcontextprotocol/server';
import type { SojournError } from '../errors.ts';
import { errorJson, JSON_HEADERS, type LostForm } from './answer.ts';
import { type Backlog, backlogOf } from './backlog.ts';
import { isLarge } from './large-answers.ts';
import { atEndOfTurn, type TurnTask } from './turn.ts';
import type { Exchange, HeaderList } from './exchange.ts';
import type { KeepAlive, KeepAliveTarget } from './keep-alive.ts';
import type { StreamExpiry } from './stream-expiry.ts';
import { KEEP_ALIVE_FRAME, messageFrame, SSE_HEADERS } from './response.ts';

export interface ResponsePipeOptions {
  readonly keepAlive: KeepAlive;
  readonly bufferBytes: number;
  /** A JSON answer of status 200 is sent as an event too. */
  readonly asSse: boolean;
  /** An answer above 1 MiB is sent as an event. */
  readonly onLarge?: (() => void) | undefined;
  /** What a stream begins with. */
  readonly firstEvent?: (() => string) | undefined;
  /** Ends the stream when its caller's access token expires. */
  readonly expiry?: StreamExpiry | undefined;
  /** Changes each frame of a stream of the SDK. */
  readonly reveal?: ((frame: string) => string) | undefined;
}

export class ResponsePipe implements KeepAliveTarget, TurnTask {
  readonly #exchange: Exchange;
  readonly #options: ResponsePipeOptions;
  #committed = false;
  #lastFrame = '';
  /** The turn that created this pipe has ended. */
  #waiting = false;
  #waits: Array<() => void> | undefined = undefined;
  /** An answer to send when this turn ends. */
  #json: string | undefined = undefined;
  #status = 200;
  #sent: (() => void) | undefined = undefined;
  #backlog: Backlog | undefined;
  slot = -1;

  constructor(exchange: Exchange, options: ResponsePipeOptions) {
    this.#exchange = exchange;
    this.#options = options;
    atEndOfTurn(this);
  }

  /**
   * Calls `then` only if no answer is sent within this turn, also when the client has left in it: a handler that runs
   * then must be aborted. Callbacks add up.
   */
  whenUnanswered(then: () => void): void {
    if (this.#waiting) then();
    else (this.#waits ??= []).push(then);
  }

  endTurn(): void {
    const [json, sent] = [this.#json, this.#sent];
    if (json !== undefined) {
      this.#json = undefined;
      this.#sent = undefined;
      if (this.#streams(this.#status)) this.#event(json);
      else this.#exchange.respond(this.#status, JSON_HEADERS, json);
      sent?.();
    } else if (!this.#waiting) {
      for (const then of this.#waits ?? []) then();
    }
    this.#waiting = true;
    this.#waits = undefined;
  }

  /** Handles an error thrown by `endTurn`. */
  crashed(cause: unknown): void {
    this.#exchange.fail(cause);
  }

  /** Sends the head of a stream now and starts keep-alives. */
  commit(): void {
    if (this.#committed || this.#exchange.closed) return;
    this.#openStream();
    this.#options.keepAlive.add(this);
    this.#exchange.onClose(() => this.#options.keepAlive.remove(this));
  }

  #openStream(): void {
    this.#committed = true;
    this.#exchange.openStream(SSE_HEADERS);
    const first = this.#options.firstEvent?.() ?? '';
    if (first !== '') this.#exchange.write(first);
  }

  keepAlive(): void {
    if (this.#exchange.pendingBytes === 0) this.#exchange.write(KEEP_ALIVE_FRAME);
  }

  /** Sends a message before the answer. A reader that is too slow is cut off. */
  event(json: string): void {
    this.commit();
    if (this.#exchange.closed) return;
    if (this.#behind) this.#exchange.destroy();
    else this.#exchange.write(messageFrame(json, undefined));
  }

  get #behind(): boolean {
    this.#backlog = backlogOf(this.#exchange, this.#options.bufferBytes, this.#backlog);
    return this.#backlog?.tooLong === true;
  }

  /** Sends the answer at the end of this turn, then calls `sent`. */
  answer(status: number, json: string, sent: () => void): void {
    this.#json = json;
    this.#status = status;
    this.#sent = sent;
    if (this.#waiting) atEndOfTurn(this);
  }

  /** `unanswered` creates the answer for a stream of the SDK that ended without one. */
  async send(response: Response, unanswered?: () => string): Promise<void> {
    const type = response.headers.get('content-type') ?? '';
    if (type.startsWith('text/event-stream') && response.body !== null) return this.#pass(response.body, unanswered);
    const body = response.body === null ? undefined : await response.text();
    if (this.#committed || (body !== undefined && this.#streams(response.status))) {
      this.#event(body ?? '');
      return;
    }
    const headers: HeaderList = [...response.headers].filter(([name]) => name !== 'content-length');
    const { status } = response;
    atEndOfTurn({
      endTurn: () => this.#exchange.respond(status, headers, body),
      crashed: (cause) => this.#exchange.fail(cause),
    });
  }

  /** Returns `true` when the head was sent before, so that the error was sent as an event. */
  fail(error: SojournError, id: RequestId | null, form: LostForm): boolean {
    if (!this.#committed) return false;
    this.#event(errorJson(error, id, form));
    return true;
  }

  /** Whether an answer with this status is sent as an event. */
  #streams(status: number): boolean {
    return this.#committed || (this.#options.asSse && status === 200);
  }

  #event(json: string): void {
    if (isLarge(json)) this.#options.onLarge?.();
    const frame = json === '' ? '' : messageFrame(json, undefined);
    if (!this.#committed) {
      this.#exchange.respond(200, SSE_HEADERS, frame);
      return;
    }
    if (frame !== '') this.#exchange.write(frame);
    this.#end();
  }

  #end(): void {
    this.#options.keepAlive.remove(this);
    this.#exchange.end();
  }

  async #pass(body: ReadableStream<Uint8Array>, unanswered: (() => string) | undefined): Promise<void> {
    // The SDK writes its own keep-alives to its stream.
    this.#options.keepAlive.remove(this);
    if (!this.#committed) this.#openStream();
    const reader = body.getReader();
    this.#exchange.onClose(() => {
      reader.cancel().catch(() => {});
    });
    let expired = false;
    const stopExpiry = this.#options.expiry?.watch(this.#exchange, () => {
      expired = true;
      reader.cancel().catch(() => {});
    });
    this.#exchange.onClose(() => stopExpiry?.());
    const decoder = new TextDecoder();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      if (this.#exchange.closed) return;
      if (this.#behind) {
        this.#exchange.destroy();
        return;
      }
      const frame = decoder.decode(value, { stream: true });
      if (!frame.startsWith(':')) this.#lastFrame = frame;
      this.#exchange.write(this.#options.reveal?.(frame) ?? frame);
    }
    stopExpiry?.();
    if (!expired && unanswered !== undefined && !isAnswer(this.#lastFrame))
      this.#exchange.write(messageFrame(unanswered(), undefined));
    this.#end();
  }
}

/** Whether an event carries an answer rather than a notification. The SDK writes one event per chunk. */
function isAnswer(frame: string): boolean {
  const data = /^data: (.*)$/m.exec(frame)?.[1];
  if (data === undefined) return false;
  try {
    const message: unknown = JSON.parse(data);
    return typeof message === 'object' && message !== null && 'id' in message && !('method' in message);
  } catch {
    return false;
  }
}
