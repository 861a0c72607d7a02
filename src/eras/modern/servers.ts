/**
 * Creates the server of one modern request. It runs the application's hooks and factory in order, compares the headers
 * that mirror a tool's arguments, and sets the context that handlers run in.
 */
import {
  CLIENT_CAPABILITIES_META_KEY,
  CLIENT_INFO_META_KEY,
  type ClientCapabilities,
  type Implementation,
  type McpServer,
  type ScopeChallengeHandler,
  type Server,
} from '@modelcontextprotocol/server';
import { type SojournError, unsupportedVersion } from '../../errors.ts';
import { isObject, type RpcRequest } from '../../protocol/jsonrpc.ts';
import type { ResolvedOptions } from '../../options/endpoint-options.ts';
import type { ServerBuilder } from '../../session/builder.ts';
import { contexts, MessageContext, targetOf } from '../../session/context.ts';
import type { EnterContext, SessionRun } from '../../session/run.ts';
import type { AnyServer } from '../../protocol/server-shape.ts';
import type { MaybePromise } from '../../stores/store.ts';
import type { McpRequestRun } from '../../types.ts';
import { rememberSchemas } from '../../protocol/schema-memo.ts';
import { isMcpServer, isOwnCopy, modernServerOf } from '../../protocol/server-shape.ts';
import { checkScopes } from '../../session/scopes.ts';
import { isModern } from '../../protocol/versions.ts';
import type { InboundPost } from '../../relay/call.ts';
import { checkParamHeaders } from './mcp-headers.ts';
import { requestSession } from '../request-session.ts';

export class ModernCall {
  readonly post: InboundPost;
  readonly request: RpcRequest | undefined;
  readonly version: string;
  /** If set, it is answered instead of the SDK's response. */
  refusal: SojournError | undefined = undefined;
  /** The error that the SDK reported for this request. */
  failure: Error | undefined = undefined;
  run: SessionRun | undefined = undefined;
  server: AnyServer | undefined = undefined;
  /** The factory has read `ctx.serverOptions`. */
  optionsRead = false;
  /** The server is from another copy of the SDK, which `connect` does not bind to this era. */
  otherCopy = false;
  /** The tool has arguments that headers mirror. */
  mirrored = false;

  constructor(post: InboundPost, request: RpcRequest | undefined, version: string) {
    this.post = post;
    this.request = request;
    this.version = version;
  }
}

/** What the client of a request states about itself. */
export function clientOf({ request }: ModernCall): {
  readonly clientInfo: Implementation | undefined;
  readonly clientCapabilities: ClientCapabilities | undefined;
} {
  const envelope = request?.params?.['_meta'];
  const meta = isObject(envelope) ? envelope : {};
  return {
    clientInfo: meta[CLIENT_INFO_META_KEY] as Implementation | undefined,
    clientCapabilities: meta[CLIENT_CAPABILITIES_META_KEY] as ClientCapabilities | undefined,
  };
}

export class ModernServers {
  readonly #options: ResolvedOptions;
  readonly #servers: ServerBuilder;

  constructor(options: ResolvedOptions, servers: ServerBuilder) {
    this.#options = options;
    this.#servers = servers;
  }

  /** Throws the error that the request is refused with. */
  build(call: ModernCall): MaybePromise<McpServer | Server> {
    try {
      const made = this.#servers.hasRun ? this.#buildInRun(call) : this.#build(call);
      return made instanceof Promise ? made.catch((cause: unknown) => this.#refused(call, cause)) : made;
    } catch (cause) {
      return this.#refused(call, cause);
    }
  }

  /** Closes a server that was created for a refused request, because no other code knows it. */
  #refused(call: ModernCall, cause: unknown): never {
    call.server?.close().catch((err: unknown) => {
      this.#options.logger.error({ err }, 'The server of a refused request could not be closed');
    });
    throw cause;
  }

  #buildInRun(call: ModernCall): Promise<McpServer | Server> {
    const run = this.#servers.run(() => {});
    call.run = run;
    return run.inOwnContext(async () => {
      const server = await this.#build(call);
      await run.start(call.post.exchange.request, this.#session(call, server));
      if (run.enter !== undefined) this.#dispatchIn(run.enter, call, server);
      return server;
    });
  }

  #build(call: ModernCall): MaybePromise<McpServer | Server> {
    const made = this.#servers.build({
      era: 'modern',
      caller: call.post.exchange,
      session: undefined,
      restored: false,
      optionsRead: () => (call.optionsRead = true),
    });
    return made instanceof Promise ? made.then((server) => this.#checked(call, server)) : this.#checked(call, made);
  }

  #checked(call: ModernCall, server: AnyServer): MaybePromise<McpServer | Server> {
    call.server = server;
    const { request } = call;
    const { exchange, text } = call.post;
    const inner = modernServerOf(server);
    if (inner === undefined) {
      const legacy = this.#options.supportedProtocolVersions.filter((version) => !isModern(version));
      throw unsupportedVersion(call.version, legacy);
    }
    const tool = request?.method === 'tools/call' ? request.params?.['name'] : undefined;
    if (request?.method === 'tools/list') rememberSchemas(server);
    if (request !== undefined && typeof tool === 'string' && isMcpServer(server)) {
      rememberSchemas(server, tool);
      const check = checkParamHeaders(exchange, server.toolInputSchemaJson(tool), request, text);
      if ('refusal' in check) throw check.refusal;
      call.mirrored = check.canonical !== undefined;
      for (const [name, value] of check.canonical ?? []) exchange.canonicalHeaders.set(name, value);
    }
    return isOwnCopy(server) ? (server as McpServer | Server) : this.#ofOtherCopy(call, server, inner);
  }

  /**
   * A server from another copy of the SDK, or from its CommonJS build. `createMcpHandler` serves its inner `Server` and
   * assumes that it has no tools, so the scopes are checked here.
   */
  #ofOtherCopy(call: ModernCall, server: AnyServer, inner: Server): MaybePromise<Server> {
    call.otherCopy = true;
    const { request } = call;
    if (request === undefined || !isMcpServer(server)) return inner;
    const resolver: ScopeChallengeHandler = (context) => server.resolveScopeChallenge(context);
    const checked = checkScopes(resolver, [request], call.post.exchange.authInfo, this.#options.logger);
    const allowed = (refusal: SojournError | undefined): Server => {
      if (refusal !== undefined) throw refusal;
      return inner;
    };
    return checked instanceof Promise ? checked.then(allowed) : allowed(checked);
  }

  #session(call: ModernCall, server: McpServer | Server): McpRequestRun {
    return requestSession({
      caller: call.post.exchange,
      createdAt: this.#options.timeProvider.now(),
      ...clientOf(call),
      protocolVersion: call.version,
      server,
    });
  }

  /**
   * `perSessionExecutionContext`: runs the handler in the context that the hooks entered. The SDK connects and
   * dispatches by itself.
   */
  #dispatchIn(enter: EnterContext, call: ModernCall, server: McpServer | Server): void {
    const context = contextOf(call, true);
    const connect = server.connect.bind(server);
    server.connect = async (transport) => {
      await connect(transport);
      const { onmessage } = transport;
      transport.onmessage = (message, extra) => enter(() => contexts.run(context, () => onmessage?.(message, extra)));
    };
  }
}

export function contextOf({ post: { exchange }, request }: ModernCall, requestHidden: boolean): MessageContext {
  const { id, method, params } = request ?? {};
  return new MessageContext(exchange, undefined, requestHidden, id, method, undefined, targetOf(params));
}
