/**
 * Serves a modern request without the SDK's `createMcpHandler`. `connect` binds the server to the era, and its messages
 * go to `call.response`. `createMcpHandler` creates a web `Request` and `Response` for every call and describes
 * the tool's schema once more. For a small call that is more than half of the CPU (docs/internals/measuring.md).
 *
 * Each server serves one request and is never reused: a handler that keeps running after its answer would send to the
 * next client.
 */
import { McpServer, Server } from '@modelcontextprotocol/server';
import type { RpcRequest } from '../../protocol/jsonrpc.ts';
import { hasEntries, type RequestEntry } from '../../sdk/request-entry.ts';
import type { MaybePromise } from '../../stores/store.ts';
import { type Classification, ModernEnvelopes } from './request-envelopes.ts';
import type { Shell, Stop } from '../ladder.ts';
import type { SessionlessCall } from '../sessionless-call.ts';
import type { ModernServers } from './servers.ts';
import { ModernTransport, type TransportHost } from './request-transport.ts';

/** The methods that this library found, before tools replaced them. */
const { connect: SERVER_CONNECT } = Server.prototype;
const { connect: MCP_SERVER_CONNECT } = McpServer.prototype;

/** Serves what the direct way does not. */
export interface SdkHandler {
  serveBySdk(call: SessionlessCall): Promise<Stop>;
}

export class ModernDirect implements Shell<SessionlessCall> {
  readonly #host: TransportHost;
  readonly #servers: ModernServers;
  readonly #sdk: SdkHandler;
  readonly #envelopes = new ModernEnvelopes();
  /** `connect` does not bind the servers of this factory, because the factory does not pass `ctx.serverOptions` on. */
  #unbound = false;
  #hinted = false;

  constructor(host: TransportHost, servers: ModernServers, sdk: SdkHandler) {
    this.#host = host;
    this.#servers = servers;
    this.#sdk = sdk;
  }

  /** The SDK serves a message that was not dispatched here, with `call.server` if there is one. */
  connect(call: SessionlessCall): MaybePromise<Stop> {
    const { rpcRequest: request, caller, response } = call;
    if (caller.closed) return 'done';
    response.begin();
    const { refusal } = this.#host.lifecycle;
    if (refusal !== undefined) return refusal;
    const classification = request === undefined || this.#unbound ? undefined : this.#envelopes.classify(call, request);
    if (request === undefined || classification === undefined) return this.#sdk.serveBySdk(call);
    return this.#connect(call, request, classification);
  }

  async #connect(call: SessionlessCall, request: RpcRequest, classification: Classification): Promise<Stop> {
    const made = this.#servers.build(call);
    const server = made instanceof Promise ? await made : made;
    const inner = server instanceof McpServer ? server.server : server;
    if (!call.isLeftToSdk && !call.optionsRead) this.#hint();
    if (call.isLeftToSdk || !call.optionsRead || inner.transport !== undefined) return this.#sdk.serveBySdk(call);
    setClientAccessors(inner, call);
    const host = this.#host;
    const entry = this.#entryOf(server, inner);
    const transport = new ModernTransport({ host, call, request, classification, server: inner, entry });
    const connected = server.connect(transport);
    transport.connecting();
    await connected;
    if (inner.getNegotiatedProtocolVersion() === classification.revision) {
      call.transport = transport;
      return undefined;
    }
    // This server would refuse the request. The SDK binds servers in another way and gets a fresh one.
    this.#unbound = true;
    this.#hint();
    await call.closeServer();
    return this.#sdk.serveBySdk(call);
  }

  dispatch({ transport }: SessionlessCall): MaybePromise<Stop> {
    return transport instanceof ModernTransport ? transport.deliver() : undefined;
  }

  /**
   * The entry for a request, where the server is the SDK's own and no other code takes part in its `connect`.
   */
  #entryOf(server: McpServer | Server, inner: Server): RequestEntry | undefined {
    if (inner.constructor !== Server || inner.connect !== SERVER_CONNECT) return undefined;
    if (server !== inner && server.connect !== MCP_SERVER_CONNECT) return undefined;
    return hasEntries(inner) ? inner : undefined;
  }

  #hint(): void {
    if (this.#hinted) return;
    this.#hinted = true;
    this.#host.options.logger.info(
      {},
      'Requests of 2026-07-28 take about half the CPU once the factory passes ctx.serverOptions on: new McpServer(info, { ...ctx.serverOptions })',
    );
  }
}

/**
 * Sets what `createMcpHandler` writes into the server's private fields: the accessors of the handshake, which this era
 * lacks.
 */
function setClientAccessors(inner: Server, call: SessionlessCall): void {
  const { clientInfo, clientCapabilities } = call.client;
  if (clientInfo !== undefined) inner.getClientVersion = () => clientInfo;
  if (clientCapabilities !== undefined) inner.getClientCapabilities = () => clientCapabilities;
}
