/** `createMcpEndpoint`: the public face over the wired core. */
import { EventEmitter } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Server as NetServer } from 'node:net';
import type { McpServer, Server } from '@modelcontextprotocol/server';
import { Authorizer } from '../http/auth/hook-authorizer.ts';
import { createAuthenticator } from '../http/auth/authenticator.ts';
import type { Authenticator } from '../http/auth/context.ts';
import { WellKnown } from '../http/auth/well-known.ts';
import { TASKS_NEED_VERSION_2 } from '../session/server/server-builder.ts';
import { nameOf } from '../sdk/sdk-server.ts';
import { isOlderServer } from '../sdk/server-shape.ts';
import { hostDefinition } from '../session/server/definition/definition.ts';
import type { SharedServer } from '../session/server/definition/shared-server.ts';
import { createNotifier } from './bus.ts';
import { Core } from './core.ts';
import { isChecked } from '../base/this-process.ts';
import { isClass, listensInCheck, optionInvalid, optionsContradict } from '../base/errors.ts';
import { ClientAddresses } from '../http/client-address.ts';
import { type ExchangeHost, guarded } from '../http/exchange.ts';
import { FetchExchange } from '../http/fetch-exchange.ts';
import { NodeExchange } from '../http/node-exchange.ts';
import { UnreadAnswers } from '../http/unread.ts';
import { type MemoryRows, memoryRows } from '../http/limits/memory-rows.ts';
import { ApplicationServer } from '../http/listen/application-server.ts';
import { listen, type Listening, type ManagedListening } from '../http/listen/listen.ts';
import type { ListenOptions } from '../http/listen/listen-options.ts';
import { checkArguments, checkBoolean } from '../base/options/checks.ts';
import { DRAIN_TIMEOUT_MS } from '../base/options/defaults.ts';
import { logNotices } from '../base/observe/log-lines.ts';
import type { Family } from '../base/observe/metric-table.ts';
import { prometheusText } from '../base/observe/prometheus-text.ts';
import type { EndpointNotices } from '../base/observe/notices.ts';
import { observeNotices, publishNotices, reportThrown } from '../base/observe/observer.ts';
import { WatchedRequest } from '../base/observe/watched-request.ts';
import { callLogger, endpointLogger, requestLogger } from '../base/options/logger.ts';
import type { McpEndpointOptions } from '../base/options/mcp-endpoint-options.ts';
import type { ResolvedOptions } from '../base/options/endpoint-options.ts';
import { looksStateless, resolveOptions } from '../base/options/resolve.ts';
import { createSessions } from './sessions.ts';
import { memory } from '../stores/memory/index.ts';
import type { CloseOptions, DrainOptions, McpEndpoint } from './mcp-endpoint.ts';
import { EndpointMetrics } from './endpoint-metrics.ts';
import { type EndpointInternals, keepInternals, type ProcessDrain } from './internals.ts';
import { Dashboards } from './dashboard.ts';
import { WatchedStore } from './watched-store.ts';
import { openEndpointStore } from './endpoint-store.ts';
import { endpointHandles } from './endpoint-handles.ts';
import { endpointEmit } from './endpoint-emit.ts';
import { endpointTasks } from './endpoint-tasks.ts';
import { SharedLists } from '../session/calls/shared-lists.ts';
import { keepingProcess, systemRandom } from '../base/system.ts';
import type { SessionMode } from '../base/protocol/versions.ts';
import type {
  ConnectableServer,
  McpEndpointContext,
  McpEndpointFactory,
  McpSessionContext,
} from '../base/types.ts';

const CUT = {
  stalled: 'A connection is cut: its client took nothing for 60 s of what was written to it',
  behind:
    'A connection is cut: its client reads more slowly than its stream is written (limits.streamBufferBytes)',
  memory:
    'A connection is cut: unread answers fill the memory of this instance (limits.memoryBytes)',
  crowded:
    'A connection is cut: it has more than 16 open requests; over HTTP/1 a client sends one after the other',
} as const;

/**
 * Serves an MCP server to every client of both eras.
 *
 * `server` is an `McpServer` or a `Server` that you built once: its tools, prompts, resources and handlers serve all
 * sessions and requests, and their connections are kept apart. Or it is a factory, which is called for every session of
 * a 2025-era client and for every other request: for tools of one user, or state in closures.
 * @throws TypeError or RangeError naming the option that is wrong; SojournError `DEFINITION_REFUSED` for a server that
 * cannot serve many sessions.
 */
export function createMcpEndpoint<Mode extends SessionMode = 'hybrid'>(
  server:
    | McpServer
    | Server
    | ConnectableServer
    | McpEndpointFactory<Mode extends 'stateful' ? McpSessionContext : McpEndpointContext>,
  options?: McpEndpointOptions & { sessionMode?: Mode | undefined },
): McpEndpoint {
  if (
    isClass(server) ||
    (typeof server !== 'function' && (typeof server !== 'object' || server === null))
  )
    throw optionInvalid('type', 'server', server, 'an MCP server, or a function that returns one');
  const resolved = resolveOptions(options);
  const logged = { ...resolved, logger: endpointLogger(resolved) };
  const { notices, onerror, accessLog, callLog } = resolved;
  logNotices(notices, logged, {
    requests: accessLog ? requestLogger(resolved) : undefined,
    calls: callLog ? callLogger(resolved) : undefined,
  });
  if (onerror !== undefined) reportThrown(notices, onerror, logged.logger);
  if (looksStateless(options)) {
    const mode = "write sessionMode: 'stateless' for no sessions, or leave sessionIdGenerator out";
    logged.logger.warn(
      {},
      `sessionIdGenerator: undefined has no effect, and clients get sessions: ${mode}`,
    );
  }
  if (typeof server === 'function')
    return new Endpoint(server as McpEndpointFactory, logged).face();
  if (resolved.tasks !== false && isOlderServer(server))
    throw optionsContradict(TASKS_NEED_VERSION_2);
  const definition = hostDefinition(server);
  try {
    return new Endpoint(definition.factory, logged, definition).face();
  } catch (error) {
    definition.release();
    throw error;
  }
}

class Endpoint {
  readonly #core: Core;
  readonly #options: ResolvedOptions;
  readonly #definition: SharedServer | undefined;
  readonly #notices: EndpointNotices = new EventEmitter();
  readonly #authenticator: Authenticator | undefined;
  readonly #wellKnown: WellKnown;
  readonly #exchanges: ExchangeHost;
  readonly #listening = new Set<ManagedListening>();
  readonly #metrics: EndpointMetrics | undefined;
  readonly #internals: EndpointInternals;
  #closing: Promise<void> | undefined;
  #ending: Promise<void> | undefined;

  constructor(factory: McpEndpointFactory, options: ResolvedOptions, definition?: SharedServer) {
    this.#options = options;
    this.#definition = definition;
    if (options.metrics) this.#metrics = new EndpointMetrics(options.notices);
    const { logger, auth, sharedLists } = options;
    publishNotices(options.notices, this.#notices, logger);
    if (options.observe !== undefined) observeNotices(options.notices, options.observe, logger);
    this.#authenticator = auth && createAuthenticator(auth, options);
    // `auth.authorize` decides about each name, and so does `auth.anonymous` for a caller without a token.
    const decidesByName = auth?.authorize !== undefined || auth?.anonymous !== false;
    const lists = sharedLists.length > 0 ? new SharedLists(sharedLists) : undefined;
    const held = memoryRows(options.limits.memoryBytes, options.limits.userShare);
    this.#exchanges = exchangeHost(options, held);
    this.#wellKnown = new WellKnown(this.#exchanges, auth);
    const store = options.store ?? memory();
    const open = () => openEndpointStore(store, options);
    const opened = open();
    this.#core = new Core({
      factory,
      makesNew: definition !== undefined,
      options,
      store: opened instanceof Promise ? new WatchedStore(opened, open, options) : opened,
      durable: store.durable,
      random: systemRandom,
      authenticator: this.#authenticator,
      authorizer: auth && decidesByName ? new Authorizer(auth, options, systemRandom) : undefined,
      lists,
      held,
      drainOrdered: (by) => this.#drainOrdered(by),
    });
    definition?.serveAt({ notices: options.notices, lists, bus: this.#core.bus });
    this.#core.instance.serves(nameOf(definition?.idle));
    const dashboards = new Dashboards(this.#core);
    this.#internals = {
      families: () => this.#families(),
      drain: (given) => keepingProcess(() => this.#drain(given)),
      dashboards,
      ids: this.#core.ids,
    };
    this.#core.open();
  }

  #handle(exchange: NodeExchange | FetchExchange, allowedHosts?: readonly string[]): void {
    const { notices, timeProvider } = this.#options;
    if (notices.wantsRequests) exchange.watched = new WatchedRequest(notices, timeProvider);
    if (exchange.open())
      guarded(exchange, () => this.#core.eras.callerChecks.enter(exchange, allowedHosts));
  }

  face(): McpEndpoint {
    const node = (req: IncomingMessage, res: ServerResponse, parsedBody?: unknown): void => {
      this.#handle(
        new NodeExchange(
          req,
          res,
          typeof parsedBody === 'function' ? undefined : parsedBody,
          this.#exchanges,
        ),
      );
    };
    const { bus, notifications } = this.#core;
    const face: McpEndpoint = {
      node,
      fetch: (request, given) => {
        const exchange = new FetchExchange(request, given ?? {}, this.#exchanges);
        this.#handle(exchange);
        return exchange.response;
      },
      listen: (given) => this.#listen(given),
      wellKnown: { fetch: this.#wellKnown.fetch, node: this.#wellKnown.node },
      sessions: createSessions(this.#core),
      tasks: endpointTasks(this.#core),
      notices: this.#notices,
      handles: endpointHandles(this.#core),
      emit: endpointEmit(this.#core),
      forgetUser: (userKey) => this.#core.forgetUser(userKey),
      notify: createNotifier(bus, notifications),
      bus,
      drain: (given = {}) =>
        keepingProcess(async () => {
          checkArguments('drain', given, ['timeoutMs', 'stopListening'], 'timeoutMs');
          const { timeoutMs, stopListening } = given;
          if (stopListening !== undefined) checkBoolean('stopListening', stopListening);
          return this.#drain({ timeoutMs, stopListening });
        }),
      close: (given) => this.#close(given),
      createShutdown: (server, given) => this.#createShutdown(server, given),
      health: () => this.#core.health(),
      metrics: () => prometheusText(this.#families()),
      dashboard: (given) => this.#internals.dashboards.mount(given),
      [Symbol.asyncDispose]: () => this.#close(),
    };
    keepInternals(face, this.#internals);
    return face;
  }

  #families(): Family[] {
    if (this.#metrics === undefined)
      throw optionsContradict('metrics(): nothing is counted without metrics: true');
    return this.#metrics.collect(this.#core);
  }

  async #drain(
    given: ProcessDrain = {},
    application?: ApplicationServer,
  ): ReturnType<McpEndpoint['drain']> {
    const timeoutMs = drainTime(given);
    const core = this.#core;
    // A client that connects to an inherited socket waits for the next process, so stop accepting early and let that
    // process start.
    const { stopListening: stops = false, socketCloses = false } = given;
    const own = [...this.#listening].filter(({ socket }) => socket.inherited || stops !== false);
    const left = application === undefined ? own : [...own, application];
    const waits = left.length > 0 && stops !== 'now';
    const remainingMs = waits ? await core.shutdown.finishAlone(timeoutMs) : timeoutMs;
    const serving =
      waits && (await core.instance.otherServing()) !== undefined ? 'others' : 'alone';
    const late = core.shutdown.lateRequests(waits && serving === 'alone' ? remainingMs : 0);
    await Promise.all(
      left.map(({ socket }) => socket.stopAccepting(serving, socketCloses, late.isAwaited)),
    );
    const drainMs = remainingMs - late.waitedMs();
    return core.shutdown.drain(drainMs, () => left.some(({ socket }) => socket.expectsRequests));
  }

  /** `sojourn instances drain` orders it. */
  #drainOrdered(by: string): void {
    const { logger } = this.#options;
    const { drainOrdered } = this.#internals;
    if (drainOrdered !== undefined) {
      logger.info({ by }, 'sojourn instances drain ordered this process to drain and end');
      return drainOrdered();
    }
    logger.info(
      { by },
      'sojourn instances drain ordered this endpoint to drain: its process lives on',
    );
    void keepingProcess(() => this.#drain(undefined)).catch((err: unknown) =>
      logger.error({ err }, 'An order of the command line could not be carried out'),
    );
  }

  async #listen(given: ListenOptions | undefined): Promise<Listening> {
    const closed = 'listen(): this endpoint is closed; make a new one';
    if (this.#core.lifecycle.closed) throw optionsContradict(closed);
    if (isChecked()) throw listensInCheck();
    // A store that cannot be opened fails `listen()` instead of every request, unless `requireStore` says otherwise.
    const required = given?.requireStore ?? true;
    const rejects = (error: unknown): boolean =>
      typeof required === 'function' ? required(error) : required;
    const opened = this.#core.ready(rejects).catch((error: unknown) => {
      if (rejects(error)) throw error;
    });
    await Promise.all([this.#authenticator?.ready, opened]);
    const listening = await listen(given, {
      options: this.#options,
      handle: (exchange, allowedHosts) => this.#handle(exchange, allowedHosts),
      exchanges: this.#exchanges,
      wellKnown: this.#wellKnown,
      beside: () => this.#internals.beside,
      passConnections: this.#internals.passConnections,
      sessions: this.#core.registry,
      health: () => this.#core.health(),
    });
    this.#listening.add(listening);
    if (!this.#core.lifecycle.closed) return listening;
    // It was closed while the store or the socket opened.
    await listening.close();
    throw optionsContradict(closed);
  }

  #createShutdown(server: NetServer, given: CloseOptions = {}): () => Promise<void> {
    checkArguments('createShutdown', given, ['timeoutMs'], 'timeoutMs');
    // The signal that stops the process is too late for it.
    drainTime(given);
    const application = new ApplicationServer(server, this.#options.timeProvider);
    let stopped: Promise<void> | undefined;
    return () =>
      (stopped ??= keepingProcess(async () => {
        await this.#drain({ ...given, stopListening: true }, application);
        await this.#end();
        await application.close();
      }));
  }

  /** A later call with `timeoutMs: 0` cuts what an earlier one waits for. */
  #close(given: CloseOptions = {}): Promise<void> {
    checkArguments('close', given, ['timeoutMs'], 'timeoutMs');
    const timeoutMs = drainTime(given);
    if (timeoutMs === 0 || !this.#core.shutdown.isBusy) return this.#end();
    return (this.#closing ??= keepingProcess(async () => {
      await this.#drain({ timeoutMs, stopListening: true });
      await this.#end();
    }));
  }

  #end(): Promise<void> {
    return (this.#ending ??= keepingProcess(async () => {
      this.#core.lifecycle.advance('closed');
      const servers = [...this.#listening].map((listening) => listening.close());
      await this.#core.close();
      this.#exchanges.unread.stop();
      for (const listening of this.#listening) listening.closeIdle();
      await Promise.all(servers);
      this.#definition?.release();
      this.#metrics?.stop();
    }));
  }
}

function drainTime({ timeoutMs = DRAIN_TIMEOUT_MS }: Pick<DrainOptions, 'timeoutMs'>): number {
  if (typeof timeoutMs === 'number' && timeoutMs >= 0) return timeoutMs;
  throw optionInvalid('range', 'timeoutMs', timeoutMs, 'ms, 0 or more');
}

function exchangeHost(options: ResolvedOptions, held: MemoryRows): ExchangeHost {
  const addresses = new ClientAddresses(options);
  const { timeProvider: time, keepAliveMs, logger, notices, limits, sessionMode } = options;
  return {
    time,
    addressOf: (incoming) => addresses.of(incoming),
    keepAliveMs,
    keepsSessions: sessionMode !== 'stateless',
    // The last resort of every face: an unexpected error is logged and does not end the process.
    report: (err) =>
      logger.error({ err }, 'A request could not be served: something unexpected was thrown'),
    notices,
    memory: held.requests,
    cutCrowded: (requests) => logger.warn({ requests }, CUT.crowded),
    unread: new UnreadAnswers({
      time,
      memory: held.answers,
      streamBufferBytes: limits.streamBufferBytes,
      onCut: (why, pendingBytes) => logger.warn({ pendingBytes }, CUT[why]),
    }),
  };
}
