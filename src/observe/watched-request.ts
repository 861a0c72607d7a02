/** Collects what the notice of one request says. Only endpoints whose requests are listened to make one. */
import { shown } from '../shown.ts';
import type { TimeProvider } from '../types.ts';
import type { Notices } from './notices.ts';

/** nginx's status for a client that disconnected. The SDK uses it for a server that closed before it answered. */
export const CLIENT_LEFT = 499;

/** The exchange of a client, as its notice reads it. */
interface WatchedExchange {
  readonly method: string;
  readonly sessionId: string | undefined;
  header(name: string): string | undefined;
}

export class WatchedRequest {
  readonly #notices: Notices;
  readonly #time: Required<TimeProvider>;
  readonly #began: number;
  #method: string | undefined = undefined;
  #target: string | undefined = undefined;
  #refused: string | undefined = undefined;
  #status: number | undefined = undefined;

  constructor(notices: Notices, time: Required<TimeProvider>) {
    this.#notices = notices;
    this.#time = time;
    this.#began = time.monotonic();
  }

  /** The message of its body; of a batch the first request. */
  carries(method: string, params: Readonly<Record<string, unknown>> | undefined): void {
    this.#method = shown(method);
    // The URI of a resource may hold a secret.
    const name = method === 'tools/call' || method === 'prompts/get' ? params?.['name'] : undefined;
    if (typeof name === 'string') this.#target = shown(name);
  }

  refused(reason: string): void {
    this.#refused = reason;
  }

  /** The head of its answer is written. */
  head(status: number): void {
    this.#status = status;
  }

  over(exchange: WatchedExchange, left: boolean): void {
    this.#notices.emit({
      kind: 'request',
      http: shown(exchange.method),
      method: this.#method,
      target: this.#target,
      status: this.#status ?? CLIENT_LEFT,
      refused: this.#refused,
      resumed: exchange.method === 'GET' && exchange.header('last-event-id') !== undefined,
      left,
      ms: this.#time.monotonic() - this.#began,
      sessionId: exchange.sessionId ?? exchange.header('mcp-session-id'),
    });
  }
}
