/**
 * One stream of events. It is read by `fetch`, because the token is a header, which `EventSource` cannot send.
 *
 *     open ──first event──▶ live ──end, error, silence──▶ lost ──1, 2, 4 s──▶ open
 *       └──────────────────────401──────────────────────▶ closed: the page asks for the token
 */
import { ApiError, request } from './api.ts';

/** `fleet` comes twice a second: a server that is silent for so long is gone, or the network is. */
const SILENT_MS = 8_000;
const RETRIES_MS = [1_000, 2_000, 4_000];

export interface StreamListener {
  /** `type`: of the event. `data`: its JSON. */
  event(type: string, data: unknown): void;
  /** `retryAt`: when the next attempt begins, by `performance.now()`. */
  lost(error: unknown, retryAt: number): void;
  /** The token is missing or wrong. The stream does not retry. */
  refused(error: ApiError): void;
}

export class Stream {
  readonly #path: string;
  readonly #listener: StreamListener;
  #abort: AbortController | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #silence: ReturnType<typeof setTimeout> | undefined;
  #failures = 0;

  constructor(path: string, listener: StreamListener) {
    this.#path = path;
    this.#listener = listener;
  }

  open(): void {
    this.close();
    const abort = new AbortController();
    this.#abort = abort;
    void this.#read(abort);
  }

  close(): void {
    clearTimeout(this.#timer);
    clearTimeout(this.#silence);
    this.#abort?.abort();
    this.#abort = undefined;
  }

  async #read(abort: AbortController): Promise<void> {
    let cause: unknown;
    try {
      this.#watch(abort);
      const response = await request(this.#path, { signal: abort.signal, headers: { Accept: 'text/event-stream' } });
      if (response.body === null) throw new TypeError('The answer has no body');
      const events = new EventParser((type, data) => {
        this.#failures = 0;
        this.#listener.event(type, data);
      });
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        this.#watch(abort);
        events.take(part.value);
      }
    } catch (error) {
      cause = error;
    }
    if (this.#abort !== abort) return;
    clearTimeout(this.#silence);
    if (cause instanceof ApiError && cause.status === 401) {
      this.#abort = undefined;
      this.#listener.refused(cause);
      return;
    }
    const delay = RETRIES_MS[Math.min(this.#failures, RETRIES_MS.length - 1)] ?? 0;
    this.#failures += 1;
    this.#timer = setTimeout(() => this.open(), delay);
    this.#listener.lost(cause, performance.now() + delay);
  }

  #watch(abort: AbortController): void {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => abort.abort(), SILENT_MS);
  }
}

/** Takes the text of a stream in parts that may end anywhere. */
export class EventParser {
  readonly #emit: (type: string, data: unknown) => void;
  #rest = '';
  #type = '';
  #data: string[] = [];

  constructor(emit: (type: string, data: unknown) => void) {
    this.#emit = emit;
  }

  take(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) this.#line(line.endsWith('\r') ? line.slice(0, -1) : line);
  }

  #line(line: string): void {
    if (line === '') {
      if (this.#data.length > 0) this.#emit(this.#type, JSON.parse(this.#data.join('\n')));
      this.#type = '';
      this.#data = [];
    } else if (line.startsWith('event:')) this.#type = line.slice(6).trim();
    else if (line.startsWith('data:')) this.#data.push(line.slice(5).trimStart());
  }
}
