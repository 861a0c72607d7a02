/** Makes servers with the code of the application: the options callback, then the factory. */
import type { RequestStateCodec } from '@modelcontextprotocol/server';
import { factoryFailed } from '../../base/errors.ts';
import type { ResolvedOptions } from '../../base/options/endpoint-options.ts';
import { isObject, type RpcRequest } from '../../base/protocol/jsonrpc.ts';
import { roleOf } from '../../base/protocol/methods.ts';
import {
  type AnyServer,
  closeServer,
  dropLateNotifications,
  innerServer,
  isOlderServer,
  modernServerOf,
  propertyWithServer,
} from '../../sdk/server-shape.ts';
import { nameOf } from '../../sdk/sdk-server.ts';
import { isModern, KNOWN_VERSIONS, servedVersions } from '../../base/protocol/versions.ts';
import type { MaybePromise } from '../../stores/store.ts';
import type {
  McpEndpointContext,
  McpEndpointFactory,
  McpListen,
  McpServerOptions,
  McpSession,
} from '../../base/types.ts';
import type { Authorizer } from '../../http/auth/hook-authorizer.ts';
import type { CallerRequest } from '../../http/caller-request.ts';
import { watchHandlers } from '../calls/handler-seam.ts';
import { isThenable } from '../../base/options/checks.ts';
import { untilConnected } from './connecting.ts';
import type { ServerTransport } from './server-transport.ts';
import { hookThrew, inHookTime, inHookTimeWith, orHookTimeout } from '../../base/hook-time.ts';

export interface ServerBuilderOptions {
  /** `undefined`: without the option `events`. */
  readonly events?: { serveAt(server: AnyServer, caller: CallerRequest): void } | undefined;
  readonly factory: McpEndpointFactory;
  /** Each call of the factory is known to return another server. */
  readonly makesNew: boolean;
  readonly options: ResolvedOptions;
  readonly requestState: RequestStateCodec;
  readonly authorizer?: Authorizer | undefined;
  /** Its lease names the server. */
  readonly instance: { serves(server: string | undefined): void };
}

export interface FactoryCall {
  readonly era: 'legacy' | 'modern';
  /** For whose request the server is built. The signal of its request is made when it is read. */
  readonly caller: CallerRequest;
  readonly session: McpSession | undefined;
  readonly restored: boolean;
}

/** A task runs in a server of 2026-07-28. */
export const TASKS_NEED_VERSION_2 =
  'tasks need a server of SDK version 2, and this one is of version 1';

const SAME_SERVER =
  'the server factory returned the same server twice: a server belongs to one session or request, so make a new one in each call';

/** Calls the user's hooks and factory in order, for sessions and for requests without a session. */
export class ServerBuilder {
  /** The servers that the factory has returned so far. */
  readonly #made = new WeakSet<object>();
  readonly #options: ServerBuilderOptions;
  #optionsKnown = false;
  #eraChecked = false;
  #named = false;

  constructor(options: ServerBuilderOptions) {
    this.#options = options;
  }

  /** Options callback, then factory. Synchronous where both are: each request of 2026-07-28 builds a server. */
  build(call: FactoryCall, listen?: McpListen): MaybePromise<AnyServer> {
    const configured = this.#configure(call);
    return configured instanceof Promise
      ? configured.then((serverOptions) => this.#make(call, serverOptions, listen))
      : this.#make(call, configured, listen);
  }

  #make(
    call: FactoryCall,
    serverOptions: McpServerOptions,
    listen: McpListen | undefined,
  ): MaybePromise<AnyServer> {
    const { authInfo } = call.caller;
    const context: Omit<McpEndpointContext, 'serverOptions'> = {
      era: call.era,
      ...(authInfo !== undefined && { authInfo }),
      requestInfo: call.caller.request,
      ...(call.session !== undefined && { session: call.session }),
      restored: call.restored,
      requestState: this.#options.requestState,
      ...(listen !== undefined && { listen }),
    };
    const given = this.#mayWarn
      ? this.#watched(context, serverOptions)
      : Object.assign(context, { serverOptions });
    const checked = (server: unknown): AnyServer => {
      if (!isServer(server)) {
        throw factoryFailed(
          `the server factory returned something without connect() and close()${hintOf(server)}`,
        );
      }
      if (!this.#options.makesNew) {
        if (this.#made.has(server)) throw factoryFailed(SAME_SERVER);
        this.#made.add(server);
      }
      if (this.#mayWarn) this.#warn();
      if (this.#options.options.tasks !== false && isOlderServer(server))
        throw factoryFailed(TASKS_NEED_VERSION_2);
      this.#checkEra(call.era, server);
      dropLateNotifications(server, this.#options.options.notices);
      this.#name(server);
      // A request of 2026-07-28 is answered before its server is made.
      const { events } = this.#options;
      if (events !== undefined && call.era !== 'modern') events.serveAt(server, call.caller);
      // Servers of a definition have tables of their own.
      if (!this.#options.makesNew && !watchHandlers(server)) this.#refuseWithoutSeam(server);
      return server;
    };
    const failed = (cause: unknown): never => {
      throw factoryFailed('the server factory threw', cause);
    };
    let made: unknown;
    try {
      made = this.#options.factory(given);
    } catch (cause) {
      return failed(cause);
    }
    if (!isThenable(made)) return checked(made);
    const hook = {
      hook: 'the server factory',
      sessionId: call.session?.id,
      late: (server: AnyServer) => this.closeLate(server),
    };
    return inHookTime(this.#options.options, hook, Promise.resolve(made).then(checked, failed));
  }

  /** Resolves when messages may be delivered to the server. */
  connect(
    server: AnyServer,
    transport: ServerTransport,
    sessionId: string | undefined,
  ): Promise<void> {
    const connected = untilConnected(this.#options.options, {
      server,
      transport,
      sessionId,
      servers: this,
    });
    return connected.then(() => this.#checkConnected(server, transport), connectFailed);
  }

  #checkConnected(server: AnyServer, transport: ServerTransport): void {
    if (transport.closed) return;
    // Its messages would have no answer.
    if (transport.onmessage === undefined)
      throw factoryFailed('the connect() of the server connected nothing');
    // An object of the application may have connected another server than the server that it shows.
    if (Reflect.get(innerServer(server) as object, 'transport') === undefined)
      this.#refuseWithoutSeam(server);
  }

  /** Closes a server that a hook returned, or connected, too late. */
  closeLate(server: AnyServer): void {
    closeServer(server).catch((err: unknown) =>
      this.#options.options.logger.warn(
        { err },
        'A server that the factory returned too late could not be closed',
      ),
    );
  }

  /** A server without the tables of handlers: what an option needs around them is refused, never skipped. */
  #refuseWithoutSeam(server: AnyServer): void {
    const { authorizer, options } = this.#options;
    if (authorizer === undefined && options.middleware.length === 0) return;
    const option = authorizer === undefined ? 'middleware' : 'auth.authorize';
    throw factoryFailed(
      `the option ${option} needs a server of the SDK whose handlers it can enter, and the factory returned another object${hintOf(server)}`,
    );
  }

  /** A look at the name makes a probe, so only the first server is looked at. */
  #name(server: AnyServer): void {
    if (this.#named) return;
    this.#named = true;
    this.#options.instance.serves(nameOf(server));
  }

  /** Whether it is not known yet that the factory passes on what `configureSessionOptions` says. */
  get #mayWarn(): boolean {
    return !this.#optionsKnown && this.#options.options.configureSessionOptions !== undefined;
  }

  #watched(
    context: Omit<McpEndpointContext, 'serverOptions'>,
    serverOptions: McpServerOptions,
  ): McpEndpointContext {
    const get = (): McpServerOptions => {
      this.#optionsKnown = true;
      return serverOptions;
    };
    return Object.defineProperty(context, 'serverOptions', {
      enumerable: true,
      get,
    }) as McpEndpointContext;
  }

  #warn(): void {
    this.#optionsKnown = true;
    this.#options.options.logger.warn(
      {},
      'configureSessionOptions is set, but the factory never reads ctx.serverOptions: pass them on, new McpServer(info, { ...ctx.serverOptions })',
    );
  }

  /**
   * Warns once about a server that cannot serve a revision which the endpoint promises. A server of SDK version 1 is no
   * mistake: its clients get the revisions with sessions, unless the application lists others.
   */
  #checkEra(era: FactoryCall['era'], server: AnyServer): void {
    const { sessionMode, supportedProtocolVersions, pinnedProtocolVersions } =
      this.#options.options;
    // A factory may return another server for each era.
    if (this.#eraChecked || (era === 'legacy' && pinnedProtocolVersions === undefined)) return;
    this.#eraChecked = true;
    const modern = servedVersions(sessionMode, supportedProtocolVersions).filter(isModern);
    if (modern.length === 0 || modernServerOf(server) !== undefined) return;
    const isOlder = isOlderServer(server);
    if (isOlder && pinnedProtocolVersions === undefined) return;
    const why = isOlder
      ? 'its server is of SDK version 1'
      : `its server is none of the SDK${hintOf(server)}`;
    this.#options.options.logger.warn(
      {},
      `This endpoint cannot serve ${modern.join(', ')}: ${why}`,
    );
  }

  /**
   * The request as the server gets it: its `initialize` never requests a version that is not served here. A server that
   * does not read `ctx.serverOptions` (servers of SDK v1 cannot) would agree to such a version, and the client could
   * not use that session.
   */
  asked(message: RpcRequest): RpcRequest {
    if (roleOf(message.method) !== 'handshake') return message;
    const served =
      this.#options.options.pinnedProtocolVersions?.filter((version) => !isModern(version)) ?? [];
    const [latest] = served;
    if (latest === undefined || served.includes(String(message.params?.['protocolVersion'])))
      return message;
    return { ...message, params: { ...message.params, protocolVersion: latest } };
  }

  #configure({ era, caller, session }: FactoryCall): MaybePromise<McpServerOptions> {
    const { configureSessionOptions: configure, pinnedProtocolVersions } = this.#options.options;
    // A server that names a revision of 2026 answers `server/discover`.
    const versions = pinnedProtocolVersions ?? (era === 'modern' ? KNOWN_VERSIONS : undefined);
    const initial: McpServerOptions =
      versions === undefined ? {} : { supportedProtocolVersions: [...versions] };
    if (configure === undefined) return initial;
    const hook = { hook: 'configureSessionOptions', sessionId: session?.id };
    return inHookTimeWith(this.#options.options, hook, caller.request.signal, (signal) =>
      configure(caller.request, initial, signal),
    ).then((configured) => configured ?? initial, hookThrew(hook.hook));
  }
}

function connectFailed(cause: unknown): never {
  throw orHookTimeout(cause, (err) => factoryFailed('the server could not be connected', err));
}

function isServer(value: unknown): value is AnyServer {
  return (
    isObject(value) &&
    typeof value['connect'] === 'function' &&
    typeof value['close'] === 'function'
  );
}

/** For an object around a server of the SDK. */
function hintOf(made: unknown): string {
  const property = propertyWithServer(made);
  return property === undefined
    ? ''
    : `, but its property ${property} is one: return that from the factory`;
}
