/** A response as it came over the socket: headers in order and with duplicates, the body as text, events one by one. */
import { EventEmitter, once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { systemTime } from '../../src/base/system.ts';
import { endpointsNow, longestWaitMs, waitsFor } from './endpoints-now.ts';
import { type Message, SseParser, type RawEvent } from './sse-parser.ts';

/**
 * `complete`: ended as HTTP ends a body; `cut`: the connection closed before; `aborted`: by {@link RawResponse.abort}.
 */
export type RawEnding = 'complete' | 'cut' | 'aborted';

export class RawResponse {
  readonly status: number;
  /** Name and value as sent, duplicates included. */
  readonly rawHeaders: ReadonlyArray<readonly [name: string, value: string]>;
  /** Whether the body is a stream of events. */
  readonly sse: boolean;
  /** Everything read so far. */
  readonly events: RawEvent[] = [];
  /** The chunks of the body, as they came off the socket. */
  readonly chunks: string[] = [];
  /** Resolves when the response is over, with the way it ended. */
  readonly ended: Promise<RawEnding>;
  readonly #incoming: IncomingMessage;
  readonly #timeoutMs: number | undefined;
  #taken = 0;
  #ending: RawEnding | undefined;
  readonly #changes = new EventEmitter();

  constructor(incoming: IncomingMessage, timeoutMs?: number) {
    this.#incoming = incoming;
    this.#timeoutMs = timeoutMs;
    this.status = incoming.statusCode ?? 0;
    const { rawHeaders } = incoming;
    this.rawHeaders = rawHeaders.flatMap((name, i) =>
      i % 2 === 0 ? [[name, rawHeaders[i + 1] ?? ''] as const] : [],
    );
    this.sse = (this.header('content-type') ?? '').toLowerCase().startsWith('text/event-stream');
    this.ended = this.#read(incoming);
  }

  /** Every value of a header. */
  headers(name: string): string[] {
    return this.#incoming.headersDistinct[name.toLowerCase()] ?? [];
  }

  /** The values of a header, joined as HTTP joins them. */
  header(name: string): string | undefined {
    const values = this.headers(name);
    return values.length === 0 ? undefined : values.join(', ');
  }

  /** The body so far. The client returns a response without an event stream only when its body is complete. */
  get body(): string {
    return this.chunks.join('');
  }

  /** The messages so far, of every event that carries one. */
  get messages(): Message[] {
    return this.events.flatMap(({ message }) => (message === undefined ? [] : [message]));
  }

  /** The id of the last event that has one: a client resumes from it. */
  get lastId(): string | undefined {
    return this.events.findLast(({ id }) => id !== undefined)?.id;
  }

  get ending(): RawEnding | undefined {
    return this.#ending;
  }

  /** The body as JSON, or the last message of the event stream. */
  json(): unknown {
    if (!this.sse) return JSON.parse(this.body) as unknown;
    return this.events.findLast((event) => event.message !== undefined)?.message;
  }

  /**
   * The next event that was not taken yet, or the next matching event. Skipped events stay in `events`. Rejects when
   * the stream ends first, or after the client's timeout.
   */
  async next(fits: (event: RawEvent) => boolean = () => true): Promise<RawEvent> {
    return this.#wait(() => {
      while (this.#taken < this.events.length) {
        const event = this.events[this.#taken++];
        if (event !== undefined && fits(event)) return event;
      }
      return undefined;
    }, 'an event');
  }

  /** The next event that carries a message, or the next event whose message matches. */
  async nextMessage(fits: (message: Message) => boolean = () => true): Promise<Message> {
    const event = await this.next(({ message }) => message !== undefined && fits(message));
    return event.message as Message;
  }

  /** Every event of the stream, once it has ended in any way. */
  async untilEnd(): Promise<readonly RawEvent[]> {
    await this.#wait(() => this.#ending, 'the end');
    return this.events;
  }

  /** Reads nothing more. What is written from now on fills the buffers of the connection. */
  pause(): void {
    this.#incoming.pause();
  }

  /** Reads on; resolves when the response is over. */
  resume(): Promise<RawEnding> {
    this.#incoming.resume();
    return this.ended;
  }

  /** Closes the connection of the response. */
  abort(): void {
    this.#end('aborted');
    this.#incoming.destroy();
  }

  #read(incoming: IncomingMessage): Promise<RawEnding> {
    const parser = new SseParser();
    incoming.setEncoding('utf8');
    incoming.on('data', (text: string) => {
      this.chunks.push(text);
      if (this.sse) this.events.push(...parser.push(text));
      this.#changes.emit('change');
    });
    // 'close' reports the end.
    incoming.on('error', () => undefined);
    return new Promise((resolve) => {
      incoming.on('close', () => {
        this.#end(incoming.complete ? 'complete' : 'cut');
        resolve(this.#ending ?? 'cut');
      });
    });
  }

  #end(how: RawEnding): void {
    this.#ending ??= how;
    this.#changes.emit('change');
  }

  #wait<T>(ready: () => T | undefined, what: string): Promise<T> {
    return waitsFor(`${what} of a response with status ${this.status}`, this.#until(ready, what));
  }

  async #until<T>(ready: () => T | undefined, what: string): Promise<T> {
    const timeoutMs = this.#timeoutMs ?? longestWaitMs();
    let late = false;
    const timer = systemTime.setTimeout(() => {
      late = true;
      this.#changes.emit('change');
    }, timeoutMs);
    try {
      for (;;) {
        const value = ready();
        if (value !== undefined) return value;
        if (late)
          throw new Error(
            `${what} did not come within ${timeoutMs} ms; ${this.#seen()}\n${endpointsNow()}`,
          );
        if (this.#ending !== undefined)
          throw new Error(`the stream ended (${this.#ending}) before ${what}; ${this.#seen()}`);
        await once(this.#changes, 'change');
      }
    } finally {
      systemTime.clearTimeout(timer);
    }
  }

  #seen(): string {
    return `status ${this.status}, body so far: ${JSON.stringify(this.body.slice(-2_000))}`;
  }
}
