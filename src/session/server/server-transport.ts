/**
 * What the transports of sessions and of stateless requests have in common: how a message gets into the server that is
 * connected to them. Requests take the short way where the server allows it (`sdk/request-entry.ts`).
 */
import type {
  AuthInfo,
  JSONRPCMessage,
  MessageExtraInfo,
  ScopeChallengeHandler,
  Transport,
  TransportSendOptions,
} from '@modelcontextprotocol/server';
import type { SojournError } from '../../base/errors.ts';
import type { ResolvedOptions } from '../../base/options/endpoint-options.ts';
import type { RpcRequest } from '../../base/protocol/jsonrpc.ts';
import { enterRequest, type RequestEntry, requestEntry } from '../../sdk/request-entry.ts';
import type { MaybePromise } from '../../stores/store.ts';
import { type Call, currentCall } from '../calls/call.ts';
import { checkScopes, type ScopeCheck } from '../calls/scopes.ts';
import type { EnterContext } from '../session-run.ts';

type OnMessage = <T extends JSONRPCMessage>(message: T, extra?: MessageExtraInfo) => void;

const PUBLIC_WAY = 'public way';

export abstract class ServerTransport implements Transport, ScopeCheck {
  onclose: (() => void) | undefined = undefined;
  onerror: ((error: Error) => void) | undefined = undefined;
  #onmessage: OnMessage | undefined = undefined;
  #scopeChallenge: ScopeChallengeHandler | undefined = undefined;
  /** How often `onmessage` was set: once by `connect`, and again by a tool that wants to see the messages. */
  #assigned = 0;
  /** `undefined`: not looked for since `onmessage` was set. */
  #entry: RequestEntry | typeof PUBLIC_WAY | undefined = undefined;

  get onmessage(): OnMessage | undefined {
    return this.#onmessage;
  }

  set onmessage(listener: OnMessage | undefined) {
    this.#assigned += 1;
    this.#onmessage = listener;
    this.#entry = undefined;
  }

  /** The SDK looks for it by name. No interface of the SDK declares it. */
  setScopeChallengeResolver(resolver: ScopeChallengeHandler): void {
    this.#scopeChallenge = resolver;
  }

  checkScopes(
    requests: readonly RpcRequest[],
    authInfo: AuthInfo | undefined,
  ): MaybePromise<SojournError | undefined> {
    const resolver = this.#scopeChallenge;
    return resolver && checkScopes(resolver, requests, authInfo, this.options);
  }

  abstract start(): Promise<void>;
  abstract send(message: JSONRPCMessage, options?: TransportSendOptions): Promise<void>;
  abstract close(): Promise<void>;
  /** Its session has left, or its request is over. */
  abstract readonly closed: boolean;
  /** `connect()` rejected after a message was delivered (`connecting.ts`). */
  abstract connectFailed(cause: unknown): void;
  /** The server that the application connected, once it is known. */
  protected abstract get server(): object | undefined;
  protected abstract get options(): ResolvedOptions;

  /** Passes a message to the server in the context of its call, within that of the run hook (`enter`) if there is one. */
  protected enterServer(message: unknown, call: Call, enter: EnterContext | undefined): void {
    if (enter === undefined) currentCall.run(call, receive, this, message, call);
    else enter(() => currentCall.run(call, receive, this, message, call));
  }

  /** Passes a message to the server. `call` is the SDK's `extra`. */
  receive(message: unknown, call: Call): void {
    if (call.id !== undefined) {
      const entry = (this.#entry ??= this.#findEntry());
      // A property that was defined over the accessor differs.
      if (entry !== PUBLIC_WAY && this.onmessage === this.#onmessage)
        return enterRequest(entry, message, call);
    }
    this.onmessage?.(message as never, call as never);
  }

  #findEntry(): RequestEntry | typeof PUBLIC_WAY {
    if (this.#assigned !== 1) return PUBLIC_WAY;
    return requestEntry(this.server, this) ?? PUBLIC_WAY;
  }
}

function receive(transport: ServerTransport, message: unknown, call: Call): void {
  transport.receive(message, call);
}
