/**
 * Makes live sessions: from an `initialize` (open), from a record (restore), or from the handshake that a migration
 * handler returned (migrate). Each runs the options callback, the factory, the run hook and `connect`, and then sends
 * the server its handshake. A failure at any step leaves nothing behind.
 */
import {
  type InitializeRequestParams,
  isInitializeRequest,
  type RequestStateCodec,
} from '@modelcontextprotocol/server';
import { factoryFailed, handshakeTooLarge, invalidParams, SojournError } from '../errors.ts';
import { isObject, type RpcRequest, type RpcResponse } from '../protocol/jsonrpc.ts';
import type { ResolvedOptions } from '../options/endpoint-options.ts';
import type { MaybePromise, Handshake, NewSessionRecord } from '../stores/store.ts';
import type { Logger, McpEndpointContext, McpEndpointFactory, McpServerOptions, McpSession } from '../types.ts';
import { isModern, KNOWN_VERSIONS, servedVersions } from '../protocol/versions.ts';
import { type AnyServer, modernServerOf, whyNotModern } from '../protocol/server-shape.ts';
import type { Authorizer } from './authorizer.ts';
import type { MessageSource } from './context.ts';
import { inHookTime, inHookTimeWith, isThenable, orHookTimeout } from './hook-time.ts';
import { Interned } from './interned.ts';
import { replayed } from './replayed-messages.ts';
import { SessionRun } from './run.ts';
import { LiveSession, type LiveSessionHost, type SessionStart } from './session.ts';

export interface BuilderOptions {
  readonly factory: McpEndpointFactory;
  readonly options: ResolvedOptions;
  readonly logger: Logger;
  readonly requestState: RequestStateCodec;
  readonly authorizer?: Authorizer | undefined;
}

export interface FactoryCall {
  readonly era: 'legacy' | 'modern';
  readonly caller: BuildCaller;
  readonly session: McpSession | undefined;
  readonly restored: boolean;
  /** Called when the factory reads `ctx.serverOptions`. */
  optionsRead?(): void;
}

/**
 * The caller for whose request a server is built. Making `signal` is not free, so only code that passes it on reads it.
 */
export interface BuildCaller extends MessageSource {
  readonly signal: AbortSignal;
}

/** Calls the user's hooks and factory in order, for sessions and for requests without a session. */
export class ServerBuilder {
  /** The servers that the factory has returned so far. */
  readonly #made = new WeakSet<object>();
  readonly #options: BuilderOptions;
  #warned = false;
  #eraChecked = false;

  constructor(options: BuilderOptions) {
    this.#options = options;
  }

  /** Options callback, then factory. Synchronous where both are: each request of 2026-07-28 builds a server. */
  build(call: FactoryCall): MaybePromise<AnyServer> {
    const configured = this.#configure(call);
    return configured instanceof Promise
      ? configured.then((serverOptions) => this.#make(call, serverOptions))
      : this.#make(call, configured);
  }

  #make(call: FactoryCall, serverOptions: McpServerOptions): MaybePromise<AnyServer> {
    let read = false;
    const { authInfo } = call.caller;
    const context: McpEndpointContext = {
      era: call.era,
      ...(authInfo !== undefined && { authInfo }),
      requestInfo: call.caller.request,
      ...(call.session !== undefined && { session: call.session }),
      get serverOptions() {
        read = true;
        call.optionsRead?.();
        return serverOptions;
      },
      restored: call.restored,
      requestState: this.#options.requestState,
    };
    const checked = (server: unknown): AnyServer => {
      if (!isServer(server)) {
        throw factoryFailed('the server factory returned something without connect() and close()');
      }
      if (this.#made.has(server)) {
        throw factoryFailed(
          'the server factory returned the same server twice: a server belongs to one session or request, so make a new one in each call',
        );
      }
      this.#made.add(server);
      if (!read) this.#warnOnce();
      this.#checkEra(server);
      this.#options.authorizer?.watch(server);
      return server;
    };
    const failed = (cause: unknown): never => {
      throw factoryFailed('the server factory threw', cause);
    };
    let made: unknown;
    try {
      made = this.#options.factory(context);
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

  /** Closes a server that a hook returned, or connected, too late. */
  closeLate(server: AnyServer): void {
    const close = async (): Promise<void> => server.close();
    close().catch((err: unknown) =>
      this.#options.logger.error({ err }, 'A server that the factory returned too late could not be closed'),
    );
  }

  #warnOnce(): void {
    if (this.#warned || this.#options.options.configureSessionOptions === undefined) return;
    this.#warned = true;
    this.#options.logger.warn(
      {},
      'configureSessionOptions is set, but the factory never reads ctx.serverOptions: pass them on, new McpServer(info, { ...ctx.serverOptions })',
    );
  }

  /** Warns once about a server that cannot serve a revision which the endpoint promises. */
  #checkEra(server: AnyServer): void {
    if (this.#eraChecked) return;
    this.#eraChecked = true;
    const { sessionMode, supportedProtocolVersions } = this.#options.options;
    const modern = servedVersions(sessionMode, supportedProtocolVersions).filter(isModern);
    if (modern.length === 0 || modernServerOf(server) !== undefined) return;
    this.#options.logger.warn({}, `This endpoint cannot serve ${modern.join(', ')}: ${whyNotModern(server)}`);
  }

  /** Whether sessions and requests have a run hook or a separate context. */
  get hasRun(): boolean {
    const { runSessionHandler, perSessionExecutionContext } = this.#options.options;
    return runSessionHandler !== undefined || perSessionExecutionContext;
  }

  run(returned: () => void): SessionRun {
    const { options, logger } = this.#options;
    return new SessionRun({
      handler: options.runSessionHandler,
      ownContext: options.perSessionExecutionContext,
      logger,
      times: options,
      returned,
    });
  }

  /**
   * The request as the server gets it: its `initialize` never requests a version that is not served here. A server that
   * does not read `ctx.serverOptions` (servers of SDK v1 cannot) would agree to such a version, and the client could
   * not use that session.
   */
  asked(message: RpcRequest): RpcRequest {
    if (message.method !== 'initialize') return message;
    const served = this.#options.options.pinnedProtocolVersions?.filter((version) => !isModern(version)) ?? [];
    const [latest] = served;
    if (latest === undefined || served.includes(String(message.params?.['protocolVersion']))) return message;
    return { ...message, params: { ...message.params, protocolVersion: latest } };
  }

  #configure(call: FactoryCall): MaybePromise<McpServerOptions> {
    const { configureSessionOptions, pinnedProtocolVersions } = this.#options.options;
    // A server that names its era is bound to that era by `connect` (`eras/modern/transport.ts`).
    const versions = pinnedProtocolVersions ?? (call.era === 'modern' ? KNOWN_VERSIONS : undefined);
    const initial: McpServerOptions = versions === undefined ? {} : { supportedProtocolVersions: [...versions] };
    if (configureSessionOptions === undefined) return initial;
    return this.#ask(configureSessionOptions, call, initial);
  }

  async #ask(
    configure: NonNullable<ResolvedOptions['configureSessionOptions']>,
    { caller, session }: FactoryCall,
    initial: McpServerOptions,
  ): Promise<McpServerOptions> {
    const hook = { hook: 'configureSessionOptions', sessionId: session?.id };
    try {
      const configured = await inHookTimeWith(this.#options.options, hook, caller.signal, (signal) =>
        configure(caller.request, initial, signal),
      );
      return configured ?? initial;
    } catch (cause) {
      throw orHookTimeout(cause, (err) => factoryFailed('configureSessionOptions threw', err));
    }
  }
}

function isServer(value: unknown): value is AnyServer {
  return isObject(value) && typeof value['connect'] === 'function' && typeof value['close'] === 'function';
}

export interface Negotiated {
  readonly version: string;
  /** JSON of the `initialize` result. */
  readonly answerJson: string;
}

export class SessionBuilder {
  readonly #host: LiveSessionHost;
  readonly #servers: ServerBuilder;
  /**
   * Made here: a closure made in `connect` would hold the HTTP request and its connection as long as the session lives.
   */
  readonly #makeRun: SessionStart['makeRun'];

  constructor(host: LiveSessionHost, servers: ServerBuilder, handlerReturned: (session: LiveSession) => void) {
    this.#host = host;
    this.#servers = servers;
    this.#makeRun = servers.hasRun ? (session) => servers.run(() => handlerReturned(session)) : undefined;
  }

  /** Makes a session whose server waits for its handshake. */
  async connect(start: Omit<SessionStart, 'makeRun'>, caller: BuildCaller, restored: boolean): Promise<LiveSession> {
    const makeRun = this.#makeRun;
    const session = new LiveSession(this.#host, makeRun === undefined ? start : { ...start, makeRun });
    const { run } = session;
    try {
      if (run === undefined) await this.#start(session, caller, restored);
      else await run.inOwnContext(() => this.#start(session, caller, restored));
      return session;
    } catch (error) {
      await session.giveUp('closed', error);
      throw error instanceof SojournError ? error : factoryFailed('the session could not be started', error);
    }
  }

  async #start(session: LiveSession, caller: BuildCaller, restored: boolean): Promise<void> {
    const made = this.#servers.build({ era: 'legacy', caller, session: session.view, restored });
    const server = made instanceof Promise ? await made : made;
    session.useServer(server);
    if (session.run !== undefined) await session.run.start(caller.request, session.view);
    try {
      const connected = server.connect(session.transport);
      const hook = {
        hook: 'the connect() of the server',
        sessionId: session.id,
        // The session has left, so the server was closed before it was connected.
        late: () => this.#servers.closeLate(server),
      };
      await inHookTime(this.#host.options, hook, connected);
    } catch (cause) {
      throw orHookTimeout(cause, (err) => factoryFailed('the server could not be connected', err));
    }
  }

  /** Dispatches the client's `initialize`. The caller passes the server's answer on. */
  async initialize(session: LiveSession, message: RpcRequest, source: MessageSource): Promise<RpcResponse> {
    const answer = await session.inbound.ask(this.#servers.asked(message), source);
    if (answer.error === undefined) {
      const { version, answerJson } = readAnswer(answer, session.version);
      session.negotiated(version, answerJson);
    }
    return answer;
  }

  /**
   * Repeats to a rebuilt server the messages that set its state. The client does not get its answers. Returns its
   * answer to `initialize`.
   */
  async replay(session: LiveSession, record: NewSessionRecord, source: MessageSource): Promise<Negotiated> {
    let negotiated: Negotiated | undefined;
    for (const message of replayed(record)) {
      if (!('id' in message)) {
        session.inbound.replay(message, source);
        continue;
      }
      const answer = await session.inbound.ask(this.#servers.asked(message), source);
      if (message.method === 'initialize') {
        if (answer.error !== undefined)
          throw new Error(`The rebuilt server refused initialize: ${answer.error.message}`);
        negotiated = readAnswer(answer, record.version);
      } else if (answer.error !== undefined) {
        this.#host.logger.warn(
          { sessionId: session.id, method: message.method, error: answer.error },
          'The rebuilt server refused a recorded message of its client',
        );
      }
    }
    if (negotiated === undefined) throw new Error('The rebuilt server was not initialized');
    return negotiated;
  }
}

function readAnswer(answer: RpcResponse, fallback: string): Negotiated {
  const version = answer.result?.['protocolVersion'];
  return {
    version: typeof version === 'string' ? version : fallback,
    answerJson: answers.intern(JSON.stringify(answer.result ?? {}), (json) => json),
  };
}

/** The handshake of an `initialize` whose shape the caller has checked. */
export function handshakeOf(params: InitializeRequestParams): Handshake {
  return handshakes.intern(JSON.stringify(params), () => freeze(params));
}

/** The handshake of an `initialize`, or what is wrong with it. A known handshake is not checked again. */
export function checkedHandshake(message: RpcRequest, mostBytes: number): Handshake | SojournError {
  const json = JSON.stringify(message.params) ?? '';
  if (Buffer.byteLength(json) > mostBytes) return handshakeTooLarge(mostBytes);
  const known = handshakes.known(json);
  if (known !== undefined) return known;
  if (isInitializeRequest(message)) return handshakeOf(message.params);
  return invalidParams('initialize needs protocolVersion, capabilities and clientInfo (name, version)');
}

/** Sessions share the value, so it must not change. */
function freeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) Object.values(Object.freeze(value)).forEach(freeze);
  return value;
}

/** Clients of one kind send the same handshake, and one factory gives them the same answer. All share one copy. */
const handshakes = new Interned<Handshake>();
const answers = new Interned<string>();
