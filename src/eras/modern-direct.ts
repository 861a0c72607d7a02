/**
 * A modern request served without the SDK's `createMcpHandler`: its server is bound to the era by `connect`, and what it says
 * goes straight onto the exchange. `createMcpHandler` makes a web `Request` and `Response` of every call and describes its tool's
 * schema once more: of the CPU of a small call more than half (docs/performance.md).
 *
 * A server is used for one request, never again: a handler that goes on after its answer would speak to the next client.
 */
import { classifyInboundRequest, McpServer, type Server } from '@modelcontextprotocol/server';
import { requestClosed } from '../errors.ts';
import { refuse } from '../http/answer.ts';
import type { ResponsePipe } from '../http/response-pipe.ts';
import type { RpcRequest } from '../jsonrpc.ts';
import type { ResolvedOptions } from '../options.ts';
import { contexts } from '../session/context.ts';
import { isModern } from '../versions.ts';
import { clientOf, contextOf, type ModernCall, type ModernServers } from './modern-servers.ts';
import { ModernTransport } from './modern-transport.ts';

type Modern = Extract<ReturnType<typeof classifyInboundRequest>, { kind: 'modern' }>;
type Classification = Modern['classification'];

/** nginx' word for a client that left; the SDK says it of a server that closed before it answered. */
export const CLOSED_STATUS = 499;

export class ModernDirect {
  readonly #options: ResolvedOptions;
  readonly #servers: ModernServers;
  readonly #open = new Set<ModernTransport>();
  /** Servers of this factory are not bound by `connect`: it does not pass `ctx.serverOptions` on. */
  #unbound = false;
  #closed = false;

  constructor(options: ResolvedOptions, servers: ModernServers) {
    this.#options = options;
    this.#servers = servers;
  }

  /** `false`: nothing was dispatched; the SDK is to serve it, with `call.server` if there is one. */
  async serve(call: ModernCall, pipe: ResponsePipe): Promise<boolean> {
    const { request } = call;
    const classification = request === undefined || this.#unbound ? undefined : classify(call, request);
    if (request === undefined || classification === undefined) return false;
    return contexts.run(contextOf(call, false), async () => {
      const server = await this.#servers.build(call);
      const inner = server instanceof McpServer ? server.server : server;
      if (!call.optionsRead || call.mirrored || inner.transport !== undefined) return false;
      if (server instanceof McpServer && (await isChallenged(server, request, call))) return false;
      return this.#run(server, inner, call, request, classification, pipe);
    });
  }

  async #run(
    server: McpServer | Server,
    inner: Server,
    call: ModernCall,
    request: RpcRequest,
    classification: Classification,
    pipe: ResponsePipe,
  ): Promise<boolean> {
    const { exchange } = call.post;
    tellClient(inner, call);
    let bound = false;
    let over: () => void = () => {};
    const ended = new Promise<void>((resolve) => (over = resolve));
    const transport = new ModernTransport({
      classification,
      id: request.id,
      pipe,
      answerOnly: this.#options.responseMode === 'json',
      over: (answered) => {
        this.#open.delete(transport);
        if (bound && !answered) this.#unanswered(call, request, pipe);
        over();
      },
    });
    await server.connect(transport);
    bound = inner.getNegotiatedProtocolVersion() === classification.revision;
    if (!bound) {
      // It would refuse the request. The SDK binds servers by other means, and gets a fresh one.
      this.#unbound = true;
      call.server = undefined;
      await server.close();
      return false;
    }
    this.#open.add(transport);
    exchange.onClose(() => void transport.close());
    const { request: view, authInfo } = exchange;
    transport.deliver(request, { classification, request: view, ...(authInfo !== undefined && { authInfo }) });
    await ended;
    return true;
  }

  /** Its server closed, or this endpoint did, before there was an answer. */
  #unanswered({ post: { exchange } }: ModernCall, { id }: RpcRequest, pipe: ResponsePipe): void {
    if (exchange.closed || pipe.fail(requestClosed(), id)) return;
    if (this.#closed) refuse(exchange, requestClosed(), id);
    else exchange.respond(CLOSED_STATUS, []);
  }

  close(): void {
    this.#closed = true;
    for (const transport of this.#open) void transport.close();
  }
}

/** `undefined`: it is for the SDK to refuse, or no request that has an answer of its own. */
function classify({ post: { exchange }, version }: ModernCall, request: RpcRequest): Classification | undefined {
  if (request.method === 'subscriptions/listen' || !isModern(version)) return undefined;
  const method = exchange.header('mcp-method');
  const name = exchange.header('mcp-name');
  const outcome = classifyInboundRequest({
    httpMethod: 'POST',
    protocolVersionHeader: version,
    ...(method !== undefined && { mcpMethodHeader: method }),
    ...(name !== undefined && { mcpNameHeader: name }),
    body: request,
  });
  return outcome.kind === 'modern' && outcome.messageKind === 'request' ? outcome.classification : undefined;
}

/** Whether more rights are asked for than the caller has, or nobody can tell: the SDK words the answer. */
async function isChallenged(
  server: McpServer,
  request: RpcRequest,
  { post: { exchange } }: ModernCall,
): Promise<boolean> {
  const { authInfo } = exchange;
  try {
    const challenge = server.resolveScopeChallenge({ request, ...(authInfo !== undefined && { authInfo }) });
    return challenge !== undefined && (await challenge) !== undefined;
  } catch {
    return true;
  }
}

/** What `createMcpHandler` writes into fields of its own: the accessors of the handshake that this era does not have. */
function tellClient(inner: Server, call: ModernCall): void {
  const { clientInfo, clientCapabilities } = clientOf(call);
  if (clientInfo !== undefined) inner.getClientVersion = () => clientInfo;
  if (clientCapabilities !== undefined) inner.getClientCapabilities = () => clientCapabilities;
}
