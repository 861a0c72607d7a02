/** `aroundRequest` around a request of 2026-07-28, on both ways to its server. */
import type {
  AuthInfo,
  JSONRPCMessage,
  McpServer,
  MessageExtraInfo,
  Server,
  Transport,
} from '@modelcontextprotocol/server';
import type { SojournError } from '../../errors.ts';
import type { RpcRequest, RpcResponse } from '../../protocol/jsonrpc.ts';
import { isMcpServer } from '../../sdk/server-shape.ts';
import type { AroundRequests, RunPlace } from '../../session/calls/around-requests.ts';
import { type Call, currentCall } from '../../session/calls/call.ts';
import { checkScopes } from '../../session/calls/scopes.ts';
import type { MaybePromise } from '../../stores/store.ts';
import type { Logger } from '../../types.ts';
import type { SessionlessCall } from '../sessionless-call.ts';

const DONE = Promise.resolve();

/**
 * Gives a request to its server, within `aroundRequest`, in the context of the handler. This library sends the
 * requests that have no place.
 */
export function startAround(call: SessionlessCall, around: AroundRequests, place: RunPlace, request: RpcRequest): void {
  const enter = call.run?.enter;
  const context = enter === undefined ? call : call.hidden();
  if (call.admission !== undefined) call.around = around.open(place, context, request, call.response.attempt);
  const run = call.around;
  const start = (): void => (run === undefined ? place.receive(request, context) : run.start());
  if (enter === undefined) currentCall.run(context, start);
  else enter(() => currentCall.run(context, start));
}

/**
 * The same where the SDK's `createMcpHandler` connects the server and gives it the message: takes the place of both
 * methods of its transport. No server runs a `subscriptions/listen`.
 */
export function runAround(
  server: McpServer | Server,
  call: SessionlessCall,
  around: AroundRequests,
  logger: Logger,
): void {
  if (call.rpcRequest === undefined || call.listens) return;
  const connect = server.connect.bind(server);
  server.connect = async (transport) => {
    // Code that filters answers wraps `send` in `connect`.
    const place = new SdkPlace(call, transport, logger);
    await connect(transport);
    place.connected(around);
  };
}

class SdkPlace implements RunPlace {
  readonly era = 'modern';
  readonly #call: SessionlessCall;
  readonly #transport: Transport;
  readonly #logger: Logger;
  readonly #send: Transport['send'];
  #onmessage: Transport['onmessage'];
  #extra: MessageExtraInfo | undefined = undefined;

  constructor(call: SessionlessCall, transport: Transport, logger: Logger) {
    this.#call = call;
    this.#transport = transport;
    this.#logger = logger;
    this.#send = transport.send.bind(transport);
    transport.send = (message, options) => {
      const isAnswer = !('method' in message) && message.id === call.id;
      const taken = isAnswer && call.around?.take(call.outcomeOf(message as RpcResponse)) === true;
      return taken ? DONE : this.#send(message, options);
    };
  }

  get version(): string {
    return this.#call.version;
  }

  connected(around: AroundRequests): void {
    const { onmessage } = this.#transport;
    this.#onmessage = onmessage;
    this.#transport.onmessage = (message, extra) => {
      if (!('method' in message) || !('id' in message)) return onmessage?.(message, extra);
      this.#extra = extra;
      startAround(this.#call, around, this, message as RpcRequest);
    };
  }

  checkScopes(requests: readonly RpcRequest[], authInfo: AuthInfo | undefined): MaybePromise<SojournError | undefined> {
    const { made } = this.#call;
    if (!isMcpServer(made) || typeof made.resolveScopeChallenge !== 'function') return undefined;
    return checkScopes((context) => made.resolveScopeChallenge(context), requests, authInfo, this.#logger);
  }

  receive(request: RpcRequest): void {
    this.#onmessage?.(request, this.#extra);
  }

  answered(_call: Call, answer: RpcResponse): void {
    this.#send(answer as JSONRPCMessage).catch((cause: unknown) => this.#transport.onerror?.(cause as Error));
  }
}
