/**
 * Serves a modern request without the SDK's `createMcpHandler`. `connect` binds the server to the era, and its messages
 * go directly to the exchange. `createMcpHandler` creates a web `Request` and `Response` for every call and describes
 * the tool's schema once more. For a small call that is more than half of the CPU (docs/internals/performance.md).
 *
 * Each server serves one request and is never reused: a handler that keeps running after its answer would send to the
 * next client.
 */
import { McpServer, Server } from '@modelcontextprotocol/server';
import { requestClosed } from '../../errors.ts';
import { EntryList } from '../../entry-list.ts';
import { CLIENT_LEFT } from '../../observe/watched-request.ts';
import type { RpcRequest } from '../../protocol/jsonrpc.ts';
import { passes, type RequestEntry } from '../../protocol/request-entry.ts';
import type { ResolvedOptions } from '../../options/endpoint-options.ts';
import { currentCall } from '../../session/calls/call.ts';
import type { Lifecycle } from '../../session/lifecycle.ts';
import type { SharedLists } from '../../session/server/shared-lists.ts';
import type { MaybePromise } from '../../stores/store.ts';
import { type Classification, ModernEnvelopes } from './envelopes.ts';
import type { SessionlessCall, SessionlessOptions } from '../sessionless-call.ts';
import type { ModernServers } from './servers.ts';
import { ModernTransport, type TransportHost } from './transport.ts';

/** The methods that this library found, before tools replaced them. */
const { connect: SERVER_CONNECT } = Server.prototype;
const { connect: MCP_SERVER_CONNECT } = McpServer.prototype;

/** What the direct way needs of its endpoint. */
export interface DirectOptions extends Pick<SessionlessOptions, 'options' | 'callTimes' | 'lists'> {
  readonly lifecycle: Pick<Lifecycle, 'refusal'>;
}

export class ModernDirect implements TransportHost {
  readonly #given: DirectOptions;
  readonly #servers: ModernServers;
  readonly #envelopes = new ModernEnvelopes();
  readonly #open = new EntryList<ModernTransport>();
  /** `connect` does not bind the servers of this factory, because the factory does not pass `ctx.serverOptions` on. */
  #unbound = false;
  #hinted = false;

  constructor(given: DirectOptions, servers: ModernServers) {
    this.#given = given;
    this.#servers = servers;
  }

  get options(): ResolvedOptions {
    return this.#given.options;
  }

  get lists(): SharedLists | undefined {
    return this.#given.lists;
  }

  /**
   * Resolves with `false` when nothing was dispatched. The SDK then serves the request, with `call.server` if there is
   * one.
   */
  serve(call: SessionlessCall): MaybePromise<boolean> {
    const { rpcRequest: request } = call;
    const classification = request === undefined || this.#unbound ? undefined : this.#envelopes.classify(call, request);
    if (request === undefined || classification === undefined) return false;
    return currentCall.run(call, () => this.#serve(call, request, classification));
  }

  async #serve(call: SessionlessCall, request: RpcRequest, classification: Classification): Promise<boolean> {
    const made = this.#servers.build(call);
    const server = made instanceof Promise ? await made : made;
    const inner = server instanceof McpServer ? server.server : server;
    if (call.isLeftToSdk) return false;
    if (!call.optionsRead) this.#hint();
    if (!call.optionsRead || inner.transport !== undefined) return false;
    setClientAccessors(inner, call);
    const { lists, lifecycle, callTimes } = this.#given;
    const page = lists?.page(request, classification.revision ?? call.version, inner);
    const entry = this.#entryOf(server, inner);
    const transport = new ModernTransport({ host: this, call, request, classification, server: inner, page, entry });
    const connected = server.connect(transport);
    transport.connecting();
    await connected;
    if (inner.getNegotiatedProtocolVersion() !== classification.revision) {
      // This server would refuse the request. The SDK binds servers in another way and gets a fresh one.
      this.#unbound = true;
      this.#hint();
      call.drop();
      await server.close();
      return false;
    }
    const { caller } = call;
    const checked = transport.checkScopes([request], caller.authInfo);
    const refusal = call.admit(checked instanceof Promise ? await checked : checked);
    if (refusal !== undefined || caller.closed || transport.closed || lifecycle.refusal !== undefined) {
      call.response.refuse(refusal ?? requestClosed(false), request.id);
      await server.close();
      return true;
    }
    this.#open.add(transport.entry);
    call.closes(transport);
    callTimes?.start(call.work, request, (error) => call.expire(error));
    const { request: view, authInfo } = caller;
    await transport.deliver(request, { classification, request: view, ...(authInfo !== undefined && { authInfo }) });
    return true;
  }

  /**
   * The entry for a request, where the server is the SDK's own and no other code takes part in its `connect`.
   */
  #entryOf(server: McpServer | Server, inner: Server): RequestEntry | undefined {
    if (inner.constructor !== Server || inner.connect !== SERVER_CONNECT) return undefined;
    if (server !== inner && server.connect !== MCP_SERVER_CONNECT) return undefined;
    return passes(Server as never, this.#given.options.logger) ? (inner as unknown as RequestEntry) : undefined;
  }

  #hint(): void {
    if (this.#hinted) return;
    this.#hinted = true;
    this.#given.options.logger.info(
      {},
      'Requests of 2026-07-28 take about half the CPU once the factory passes ctx.serverOptions on: new McpServer(info, { ...ctx.serverOptions })',
    );
  }

  /** Answers when the server or this endpoint closed before there was an answer. */
  over({ entry }: ModernTransport, call: SessionlessCall, unanswered: boolean): void {
    this.#open.delete(entry);
    if (!unanswered) return;
    const { response, refusal } = call;
    if (response.hasBegun || refusal !== undefined || this.#given.lifecycle.refusal !== undefined)
      call.fail(refusal ?? requestClosed());
    else response.done(CLIENT_LEFT, []);
  }

  close(): void {
    for (const transport of this.#open) void transport.close();
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
