/**
 * One request of 2026-07-28 between a server of its own and its exchange, without the web `Response` that the SDK's
 * per-request transport makes of every answer: on a small call that was more than half of the CPU. To the SDK it is that transport, which is
 * the public way to bind a server to this era: `connect` does, if the server's `supportedProtocolVersions` name it.
 *
 *     open ──answer / ended by its server──▶ over ──▶ closed
 *
 * What the SDK's transport does is done here in the same way: the status of an error that was found before any handler ran,
 * a stream once there is a notification, nothing after the answer.
 */
import {
  type AuthInfo,
  type JSONRPCMessage,
  type MessageExtraInfo,
  PerRequestHTTPServerTransport,
  ProtocolErrorCode,
  type RequestId,
  type ScopeChallengeHandler,
  type TransportSendOptions,
} from '@modelcontextprotocol/server';
import { RPC, type SojournError } from '../../errors.ts';
import type { ResponsePipe } from '../../http/response-pipe.ts';
import type { RpcRequest } from '../../protocol/jsonrpc.ts';
import { checkScopes, type ScopedTransport } from '../../session/scopes.ts';
import type { MaybePromise } from '../../stores/store.ts';
import type { Logger } from '../../types.ts';
import type { Classification } from './envelopes.ts';

export interface ModernTransportOptions {
  readonly classification: Classification;
  readonly id: RequestId;
  readonly pipe: ResponsePipe;
  /** `responseMode: 'json'`: what comes before the answer is dropped. */
  readonly answerOnly: boolean;
  readonly logger: Logger;
  /** Whether somebody has set `onclose` on the server. */
  isHeard(): boolean;
  /** Once; `answered` is false where its server closed before it answered, or its client left. */
  over(answered: boolean): void;
}

/** Of errors that the SDK finds before a handler runs (its `LADDER_ERROR_HTTP_STATUS`, which it does not export). */
const EARLY_STATUS: Readonly<Record<number, number>> = {
  [ProtocolErrorCode.ParseError]: 400,
  [ProtocolErrorCode.InvalidRequest]: 400,
  [ProtocolErrorCode.MethodNotFound]: 404,
  [ProtocolErrorCode.UnsupportedProtocolVersion]: 400,
  [RPC.headerMismatch]: 400,
};

const DONE = Promise.resolve();

export class ModernTransport extends PerRequestHTTPServerTransport implements ScopedTransport {
  readonly #options: ModernTransportOptions;
  /** No handler has run yet. */
  #early = false;
  #answered = false;
  #over = false;
  #scopeChallenge: ScopeChallengeHandler | undefined = undefined;

  constructor(options: ModernTransportOptions) {
    super({ classification: options.classification });
    this.#options = options;
  }

  override start(): Promise<void> {
    return DONE;
  }

  get closed(): boolean {
    return this.#over;
  }

  setScopeChallengeResolver(resolver: ScopeChallengeHandler): void {
    this.#scopeChallenge = resolver;
  }

  checkScopes(requests: readonly RpcRequest[], authInfo: AuthInfo | undefined): MaybePromise<SojournError | undefined> {
    return checkScopes(this.#scopeChallenge, requests, authInfo, this.#options.logger);
  }

  deliver(message: JSONRPCMessage, extra: MessageExtraInfo): void {
    if (this.onmessage === undefined) throw new Error('The server did not take its transport');
    this.#early = true;
    try {
      this.onmessage(message, extra);
    } finally {
      this.#early = false;
    }
  }

  override send(message: JSONRPCMessage, options?: TransportSendOptions): Promise<void> {
    if (this.#over) return DONE;
    const { id, pipe, answerOnly } = this.#options;
    if ('method' in message) {
      if (options?.relatedRequestId === id && !this.#answered && !answerOnly) pipe.event(JSON.stringify(message));
      return DONE;
    }
    if (message.id !== id) {
      this.onerror?.(new Error(`Received a response for an unknown request id: ${String(message.id)}`));
      return DONE;
    }
    if (this.#answered) return DONE;
    this.#answered = true;
    const status = 'error' in message ? this.#statusOf(message.error.code) : 200;
    // When its handler is done with: a signal that nobody listens to any more is not worth its event.
    pipe.answer(status, JSON.stringify(message), () => void this.close());
    return DONE;
  }

  override close(): Promise<void> {
    if (this.#over) return DONE;
    this.#over = true;
    const { stackTraceLimit } = Error;
    // The SDK makes an error for those who wait for this connection, also where nobody does.
    if (this.#answered && !this.#options.isHeard()) Error.stackTraceLimit = 0;
    try {
      this.onclose?.();
    } finally {
      Error.stackTraceLimit = stackTraceLimit;
      this.#options.over(this.#answered);
    }
    return DONE;
  }

  #statusOf(code: number): number {
    if (code === ProtocolErrorCode.MissingRequiredClientCapability) return 400;
    return (this.#early ? EARLY_STATUS[code] : undefined) ?? 200;
  }
}
