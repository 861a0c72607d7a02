/**
 * `subscriptions/listen`, which the SDK's `createMcpHandler` serves: it owns the streams, their filters and their
 * limit. It reads from the server of the application what that one announces, and gives it no message.
 */
import { createMcpHandler, type McpHttpHandler, type Server, type ServerEventBus } from '@modelcontextprotocol/server';
import { passOn } from '../../http/sdk-response.ts';
import type { ResolvedOptions } from '../../options/endpoint-options.ts';
import { modernServerOf } from '../../sdk/server-shape.ts';
import type { McpHttpRequest } from '../../types.ts';
import type { Stop } from '../ladder.ts';
import type { SessionlessCall } from '../sessionless-call.ts';
import type { SessionlessRequests } from '../sessionless-requests.ts';

export class ListenStreams {
  readonly #requests: SessionlessRequests;
  readonly #handler: McpHttpHandler;
  /** The servers of streams that begin. */
  readonly #servers = new WeakMap<McpHttpRequest, Server>();

  constructor(options: ResolvedOptions, bus: ServerEventBus, requests: SessionlessRequests) {
    this.#requests = requests;
    this.#handler = createMcpHandler(({ requestInfo }) => this.#read(requestInfo), {
      legacy: 'reject',
      bus,
      // None: the response keeps itself alive.
      keepAliveMs: 0,
      maxSubscriptions: options.limits.subscriptions,
      onerror: (error) => {
        options.logger.debug({ err: error }, 'A subscription was refused or failed');
        options.onerror?.(error);
      },
    });
  }

  async serve(call: SessionlessCall): Promise<Stop> {
    const { request, authInfo } = call.caller;
    const server = modernServerOf(await this.#requests.make(call));
    const { rpcRequest, authorizer, response: to } = call;
    const listen = rpcRequest && (await authorizer?.listen(rpcRequest, authInfo));
    const stop = call.stopIfLeft();
    if (stop !== undefined || server === undefined) return stop;
    this.#servers.set(request, server);
    const parsed = { parsedBody: listen?.request ?? rpcRequest, ...(authInfo !== undefined && { authInfo }) };
    const response = await this.#handler.fetch(request, parsed);
    this.#requests.close(call);
    await passOn(response, to, {
      unanswered: () => call.unanswered(),
      reveal: (frame) => listen?.reveal(frame) ?? frame,
      closes: (stream) => void (call.listening = stream),
    });
    return 'done';
  }

  /** The SDK closes what it gets here. The server itself is closed in the way of its class. */
  #read(request: McpHttpRequest | undefined): Server {
    const server = request && this.#servers.get(request);
    if (server === undefined) throw new Error('A server was asked for outside of a request');
    return Object.create(server, { close: { value: async () => {} } }) as Server;
  }

  /** Ends the streams, each with its result. */
  close(): Promise<void> {
    return this.#handler.close();
  }
}
