/**
 * Creates the server of one modern request. It runs the application's hooks and factory in order, compares the headers
 * that mirror a tool's arguments, and sets the context that handlers run in.
 */
import type { McpServer, ScopeChallengeHandler, Server } from '@modelcontextprotocol/server';
import { type SojournError, unsupportedVersion } from '../../errors.ts';
import type { ResolvedOptions } from '../../options/endpoint-options.ts';
import type { ServerBuilder } from '../../session/server/server-builder.ts';
import { currentCall } from '../../session/calls/call.ts';
import type { EnterContext } from '../../session/server/run.ts';
import type { AnyServer } from '../../sdk/server-shape.ts';
import type { MaybePromise } from '../../stores/store.ts';
import { rememberSchemas } from '../../sdk/schema-memo.ts';
import { isMcpServer, isOwnCopy, modernServerOf, overrides } from '../../sdk/server-shape.ts';
import { checkScopes } from '../../session/calls/scopes.ts';
import { isModern } from '../../protocol/versions.ts';
import { checkParamHeaders } from './mcp-headers.ts';
import { TASKS_EXTENSION } from './task-calls.ts';
import type { SessionlessCall } from '../sessionless-call.ts';
import type { RequestRuns } from '../request-runs.ts';

export class ModernServers {
  readonly #options: ResolvedOptions;
  readonly #servers: ServerBuilder;
  readonly #runs: RequestRuns;

  constructor(options: ResolvedOptions, servers: ServerBuilder, runs: RequestRuns) {
    this.#options = options;
    this.#servers = servers;
    this.#runs = runs;
  }

  /** Throws, or rejects with, the error that the request is refused with. */
  build(call: SessionlessCall): MaybePromise<McpServer | Server> {
    return this.#servers.hasRun ? this.#buildInRun(call) : this.#build(call);
  }

  async #buildInRun(call: SessionlessCall): Promise<McpServer | Server> {
    const server = await this.#runs.build(call, () => this.#build(call));
    if (call.run?.enter !== undefined) this.#dispatchIn(call.run.enter, call, server);
    return server;
  }

  #build(call: SessionlessCall): MaybePromise<McpServer | Server> {
    const made = this.#servers.build(call);
    return made instanceof Promise ? made.then((server) => this.#checked(call, server)) : this.#checked(call, made);
  }

  #checked(call: SessionlessCall, server: AnyServer): MaybePromise<McpServer | Server> {
    call.built(server);
    const { rpcRequest: request, caller, text } = call;
    const inner = modernServerOf(server);
    if (inner === undefined) throw this.#unsupported(call);
    const tool = request?.method === 'tools/call' ? request.params?.['name'] : undefined;
    if (request?.method === 'server/discover' && this.#options.tasks)
      inner.registerCapabilities({ extensions: { [TASKS_EXTENSION]: {} } });
    if (request !== undefined && typeof tool === 'string' && isMcpServer(server)) {
      rememberSchemas(server, tool);
      const check = checkParamHeaders(caller, server.toolInputSchemaJson(tool), request, text, call.isOwn);
      if ('refusal' in check) throw check.refusal;
      if (check.canonical !== undefined) call.leaveToSdk(server);
      for (const [name, value] of check.canonical ?? []) caller.canonicalHeaders.set(name, value);
    }
    if (!isOwnCopy(server)) return this.#ofOtherCopy(call, server, inner);
    const own = server as McpServer | Server;
    // The SDK's handler would answer an anonymous caller as one whose token lacks a scope.
    const isAnonymous = caller.authInfo === undefined && call.authorizer !== undefined;
    return isAnonymous ? this.#scoped(call, server, own) : own;
  }

  /**
   * A server from another copy of the SDK, or from its CommonJS build. `createMcpHandler` serves its inner `Server` and
   * assumes that it has no tools, so the scopes are checked here. Version 2.0.0 knows no scopes.
   */
  #ofOtherCopy(call: SessionlessCall, server: AnyServer, inner: Server): MaybePromise<Server> {
    call.leaveToSdk(inner);
    if (server !== inner && overrides(server, 'connect')) connectThrough(server, inner);
    return this.#scoped(call, server, inner);
  }

  #scoped<T extends McpServer | Server>(call: SessionlessCall, server: AnyServer, allows: T): MaybePromise<T> {
    const { rpcRequest: request } = call;
    if (request === undefined || !isMcpServer(server) || !hasScopes(server)) return allows;
    const resolver: ScopeChallengeHandler = (context) => server.resolveScopeChallenge(context);
    const checked = checkScopes(resolver, [request], call.caller.authInfo, this.#options.logger);
    const allowed = (refusal: SojournError | undefined): T => {
      if (refusal === undefined) return allows;
      const { authorizer, caller } = call;
      throw caller.authInfo === undefined ? (authorizer?.challenge(refusal) ?? refusal) : refusal;
    };
    return checked instanceof Promise ? checked.then(allowed) : allowed(checked);
  }

  /**
   * The error for a probe that the SDK could not serve, because the server is of a copy that differs too much. The
   * client then falls back to an earlier revision. `undefined`: it is no probe, or the failure has another cause.
   */
  refusalOfProbe(call: SessionlessCall): SojournError | undefined {
    const isOfOtherCopy = call.made !== undefined && !isOwnCopy(call.made);
    return isOfOtherCopy && call.method === 'server/discover' ? this.#unsupported(call) : undefined;
  }

  #unsupported(call: SessionlessCall): SojournError {
    const legacy = this.#options.supportedProtocolVersions.filter((version) => !isModern(version));
    return unsupportedVersion(call.version, legacy);
  }

  /**
   * `perSessionExecutionContext`: runs the handler in the context that the hooks entered. The SDK connects and
   * dispatches by itself.
   */
  #dispatchIn(enter: EnterContext, call: SessionlessCall, server: McpServer | Server): void {
    const context = call.hidden();
    const connect = server.connect.bind(server);
    server.connect = async (transport) => {
      await connect(transport);
      const { onmessage } = transport;
      transport.onmessage = (message, extra) => {
        // `aroundRequest` has entered it already.
        if (currentCall.getStore() === context) onmessage?.(message, extra);
        else enter(() => currentCall.run(context, () => onmessage?.(message, extra)));
      };
    };
  }
}

/** The SDK connects the inner server. The application's `connect()` runs too: it may install refusals. */
function connectThrough(server: AnyServer, inner: Server): void {
  const connect = inner.connect.bind(inner);
  inner.connect = (transport) => {
    inner.connect = connect;
    return server.connect(transport);
  };
}

function hasScopes(server: Partial<Pick<McpServer, 'resolveScopeChallenge'>>): boolean {
  return typeof server.resolveScopeChallenge === 'function';
}
