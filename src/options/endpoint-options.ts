/**
 * The types of the options of `createMcpEndpoint`, and what each means. `table.ts` has check, default and flag of each;
 * `scripts/pages.mjs` makes docs/reference/options.md of both.
 */
import type { AuthInfo, ServerEventBus } from '@modelcontextprotocol/server';
import type { Notices } from '../observe/notices.ts';
import type { AroundRequest } from './around-request.ts';
import type { Observe } from '../observe/observer.ts';
import type { AuthOptions } from './auth-options.ts';
import type { ResolvedLimits } from './resolve-limits.ts';
import type { RetryInterval } from './retry-interval.ts';
import type { DEFAULTS } from './table.ts';
import type { TasksOptions } from './tasks-options.ts';
import type { Store } from '../stores/store.ts';
import type {
  ConfigureSessionOptions,
  EventRetention,
  GivenLogger,
  LostCalls,
  OnError,
  ResponseMode,
  RunSessionHandler,
  SessionIdGenerator,
  SessionLimits,
  SessionMigrationHandler,
  SharedList,
  TimeProvider,
  ToolLimits,
  UserLimits,
} from '../types.ts';
import type { SessionMode } from '../protocol/versions.ts';

/** Some members of `T`; `undefined` means the default. */
export type Some<T> = { [K in keyof T]?: T[K] | undefined };

export interface McpEndpointOptions {
  /**
   * Which clients get a session. `'hybrid'`: clients that send `initialize`; requests of 2026-07-28 are served one by
   * one. `'stateful'`: sessions only; a request of 2026-07-28 is refused with −32022, so that a client of both falls
   * back to `initialize`. `'stateless'`: no sessions; the server cannot ask the client anything, and has no GET stream.
   * See docs/guide/sessions.md#with-and-without-sessions.
   * @default `'hybrid'`
   */
  sessionMode?: SessionMode | undefined;
  /** `true` is `sessionMode: 'stateless'`, `false` is `'stateful'`. */
  stateless?: boolean | undefined;
  /**
   * Changes the `ServerOptions` of a session by the request that starts it
   * (docs/guide/hooks.md#configuresessionoptions). The factory gets them as `ctx.serverOptions` and must pass them on.
   */
  configureSessionOptions?: ConfigureSessionOptions | undefined;
  /**
   * Code around a session, or around each request without one: prepare, `await run()`, clean up
   * (docs/guide/hooks.md#runsessionhandler).
   */
  runSessionHandler?: RunSessionHandler | undefined;
  /**
   * `true`: all handlers of a session run in the async context in which `run()` was called, and `currentRequest()` is
   * undefined there. `false`: each in that of its HTTP request.
   * @default `false`
   */
  perSessionExecutionContext?: boolean | undefined;
  /**
   * A session ends when it had no running request and no open GET stream for this long. Its client gets 404 and starts
   * a new one. Checked every 5 s.
   * @default 7,200,000 (2 h)
   */
  idleTimeoutMs?: number | undefined;
  /**
   * Idle sessions of this instance. Above it those of the user with the most hibernate, the longest idle first; on the
   * memory store they end, hibernated ones count too, and a `fatal` line says so.
   * @default 10,000, less in a small heap
   */
  maxIdleSessionCount?: number | undefined;
  /**
   * A session that is idle this long keeps only its record; the next request wakes it with a new server object, and
   * runs your factory (docs/guide/sessions.md#hibernation). What handlers keep outside of `session.state` is lost.
   * @default Infinity
   */
  hibernateAfterMs?: number | undefined;
  /**
   * Clock and timers. `createFakeTime()` of `sojourn/testing` makes two hours pass in a test. Default: the system's.
   */
  timeProvider?: TimeProvider | undefined;
  /**
   * Your own storage of sessions: `{ allowSessionMigration, onSessionInitialized?, onSessionEnded? }`
   * (docs/guide/hooks.md#moving-sessions-yourself). Default: unknown ids get 404.
   */
  sessionMigrationHandler?: SessionMigrationHandler | undefined;
  /**
   * Where sessions and event logs are kept: `sqlite()`, `redis()` or `postgres()` from `sojourn/<name>`. Default: the
   * memory of this process, with which they end.
   */
  store?: Store | undefined;
  /**
   * How long an instance may be silent before others take over its sessions. Shorter finds frozen instances sooner. A
   * handler that blocks the event loop for two thirds of it costs the instance its sessions.
   * @default 3,000
   */
  leaseMs?: number | undefined;
  /**
   * How long a request waits while the store or the session cannot be reached, before its client gets an error. Keep it
   * below your clients' time-outs (20 s in some SDKs, 60 s in most). Running calls wait longer for the store where no
   * other instance serves; elsewhere their clients resume.
   * @default 15,000
   */
  waitMs?: number | undefined;
  /**
   * How long an ended session is remembered as ended, so that no late write, other instance or migration handler brings
   * it back. Default: `idleTimeoutMs`, at most 24 h.
   */
  tombstoneMs?: number | undefined;
  /**
   * What the event log of each session keeps for clients that reconnect: an object of the three below, of which the
   * first to be reached drops the oldest events; an answer is kept whatever its size. `false` keeps nothing: no event
   * ids, no resuming.
   */
  eventRetention?: Some<EventRetention> | false | undefined;
  /**
   * Makes session ids, from `{ request, params, user }`: visible ASCII, and not guessable, because a session without a
   * user is open to every client that knows its id. For ids above 256 characters set the property `maxLength` of the
   * function. Default: 16 random bytes, base64url.
   */
  sessionIdGenerator?: SessionIdGenerator | undefined;
  /**
   * Keys of 32 bytes or more, the same on every instance, that encrypt `ctx.requestState`. The first seals, all open:
   * to rotate, put the new one in front and drop the old one 10 minutes later. Default: keys of the store, a new one
   * each day.
   */
  requestStateKeys?: readonly (string | Uint8Array)[] | undefined;
  /**
   * Keys of 32 bytes or more, the same on every instance, that sign messages between instances; an unsigned message is
   * refused. `'store'` is a key kept in the store: it keeps out programs that cannot read the store, your own key keeps
   * out the others too. To introduce K deploy `['store', K]`, `[K, 'store']`, `[K]`; to rotate it to N `[K, N]`, `[N,
   * K]`, `[N]`. Use the environment, not the command line.
   * @default `['store']`
   */
  instanceKeys?: readonly (string | Uint8Array)[] | undefined;
  /**
   * Also serves the transport of 2024-11-05, on paths that end in `/sse` and `/message`. Nothing can be resumed there.
   * It needs sessions.
   * @default `false`
   */
  legacySse?: boolean | undefined;
  /**
   * Lists that are the same for every caller, of `'tools'`, `'prompts'`, `'resources'`, `'resourceTemplates'`: the
   * first result is kept, at most 8 MiB, until something is registered, enabled, disabled, updated or removed, a server
   * sends `list_changed`, or `endpoint.notify.toolsChanged()` and its like announce it. **Never name a list that
   * depends on the caller**, or one user gets another's list. Not with `auth.authorize`. Default: none.
   */
  sharedLists?: readonly SharedList[] | undefined;
  /**
   * How a POST is answered. `'auto'`: sessions by SSE; 2026-07-28 by JSON, or by SSE once something is sent before the
   * result. `'sse'`: always SSE. `'json'`: always one JSON body, for clients and proxies that cannot stream; nothing
   * can be resumed, and what a handler sends before its result takes the GET stream or is dropped.
   * @default `'auto'`
   */
  responseMode?: ResponseMode | undefined;
  /**
   * The `Host` names that are served, without port; others get 403. It protects against DNS rebinding. **Set it when
   * you mount the endpoint.** Default: loopback names when `listen()` binds a loopback address, else any.
   */
  allowedHosts?: readonly string[] | undefined;
  /**
   * The web pages whose scripts may call: origins (`https://app.example`), host names with any scheme and port, or
   * `'*'`. A request without `Origin` passes. CORS headers and preflights follow this list; an empty one refuses every
   * browser.
   * @default `localhost`, `127.0.0.1`, `[::1]`
   */
  allowedOrigins?: readonly string[] | undefined;
  /**
   * Who may call, and what (docs/guide/auth.md). Set one of `jwt`, `verify` and `trustedProxyUser`. Default: every
   * request is served, and `authInfo` is what your middleware passes in.
   */
  auth?: AuthOptions | undefined;
  /**
   * Headers that your handlers and hooks read, such as `['x-tenant']`: an instance that relays a request keeps these
   * and the common ones (docs/guide/hooks.md#what-a-relayed-request-shows). Credentials cannot be listed. Default:
   * none.
   */
  relayedHeaders?: readonly string[] | undefined;
  /**
   * More headers that carry a secret, besides `Authorization`, `Proxy-Authorization`, `Cookie`, `X-Api-Key` and
   * `X-Forwarded-Access-Token`. Their values never reach another instance, the store or the log. Default: none.
   */
  credentialHeaders?: readonly string[] | undefined;
  /**
   * What clients can make this instance hold: an object of the members below. The defaults suit most servers; some
   * follow from the heap (`--max-old-space-size`), and are given here for 4 GiB. A refusal on a session is a JSON-RPC
   * error, elsewhere 429 or 503 with `Retry-After`. A caller without a user counts by its address, of IPv6 by the first
   * 64 bits: behind a proxy all of them are one.
   */
  limits?:
    | (Some<SessionLimits> & {
        /** The limits of each user. Default: `subscriptions` 256, the others `Infinity`. */
        perUser?: Some<UserLimits> | undefined;
        /** The limits of a tool, by its name. Default: no limit. */
        perTool?: Readonly<Record<string, Some<ToolLimits>>> | undefined;
      })
    | undefined;
  /**
   * Endpoints with one name on one store share their sessions; other names are separate. 1 to 64 letters, digits, dots,
   * dashes and underscores.
   * @default `'mcp'`
   */
  name?: string | undefined;
  /**
   * The protocol revisions to serve.
   * @default `2026-07-28`, `2025-11-25`, `2025-06-18`, `2025-03-26`, `2024-11-05`, `2024-10-07`
   */
  supportedProtocolVersions?: readonly string[] | undefined;
  /**
   * The user whose session it is, from `authInfo`; `undefined`: an anonymous caller. **Without it `authInfo.extra.sub`
   * must be a non-empty string or a number**, else every request with an `authInfo` gets 500. Default: `extra.iss` with
   * `extra.sub`, since all users of one client application share its `clientId`.
   */
  sessionUser?: ((authInfo: AuthInfo) => string | undefined) | undefined;
  /**
   * Carries the events of `subscriptions/listen`, as in `createMcpHandler`: `{ publish, subscribe }`. Default: one that
   * reaches every instance on the store.
   */
  bus?: ServerEventBus | undefined;
  /**
   * Gets what handlers throw, errors that would only be logged, and 2026-07-28 requests that the SDK refuses,
   * unredacted (docs/guide/operations.md#errors-in-sentry). Its second argument has `method`, `target` and `session` of
   * the handler's request, never arguments.
   */
  onerror?: OnError | undefined;
  /**
   * Counts for `endpoint.metrics()`. On the command line `--metrics [host:]port` also serves them.
   * @default `false`
   */
  metrics?: boolean | undefined;
  /**
   * Gets a notice of all that is no call: refusals, the life cycle of sessions, of the instance and its store, relays,
   * waits, calls to the store (docs/reference/metrics.md#notices). Keep it short; what it throws is logged.
   */
  observe?: Observe | undefined;
  /**
   * Your code around each run of a client's request, or a list of which the first is the outermost
   * (docs/guide/hooks.md#aroundrequest).
   */
  aroundRequest?: AroundRequest | readonly AroundRequest[] | undefined;
  /**
   * `{ debug, info, warn, error, fatal? }`, each called with `(fields, message)` as pino's are; a winston logger;
   * `console` for every level; `false` for silence. Default: stderr, `info` and above.
   */
  logger?: GivenLogger | false | undefined;
  /**
   * `true`: lines about what handlers throw have its message, which may hold arguments. On in a terminal under `serve`.
   * @default `false`
   */
  logErrors?: boolean | undefined;
  /**
   * `true`: one `info` line for each answered request (docs/guide/operations.md#the-log), at most 1,000 a second. On in
   * a terminal under `serve`.
   * @default `false`
   */
  accessLog?: boolean | undefined;
  /**
   * How long your code may hold up a request: the factory, the hooks, `connect()` and the handshake of your server,
   * `tasks.authorize`, `afterCrash` of `once()`. Then the request gets `HOOK_TIMEOUT`, and a `warn` line names the
   * hook. With `Infinity` a hook that hangs blocks its session on every instance.
   * @default 30,000
   */
  hookTimeoutMs?: number | undefined;
  /**
   * How often a quiet SSE stream gets a comment, so that proxies do not close it. `Infinity` and `0` send none.
   * @default 15,000
   */
  keepAliveMs?: number | undefined;
  /**
   * How long a client waits before it reconnects (`retry:`). Several clients make two attempts at this distance and
   * give up, so two of it should be longer than a restart takes.
   * @default 4,000
   */
  retryMs?: number | undefined;
  /**
   * The same while an instance on another host serves, if it is less. With 1,000 clients are back within a second of a
   * crash; clients that try twice lose their calls when the load balancer, or every host, is away for 2 s.
   * @default Infinity
   */
  fleetRetryMs?: number | undefined;
  /**
   * The answer of a `tools/call` that may have run and whose result is lost. `'error'`: a JSON-RPC error with
   * `mayHaveRun: true`. `'result'`: a result with `isError: true` and the same text, for hosts that repeat a call after
   * any error.
   * @default `'error'`
   */
  lostCalls?: LostCalls | undefined;
  /**
   * Serves the extension `io.modelcontextprotocol/tasks`: calls of tools that `task()` wraps become tasks for clients
   * that declare it (docs/guide/long-running-tools.md). `true`, or an object of:
   * @default `false`
   */
  tasks?: boolean | TasksOptions | undefined;
  /**
   * `true`: a call of 2026-07-28 survives a broken connection for two `retryMs`, and its client fetches the answer by
   * GET with its last event id (docs/guide/streams-and-resuming.md#2026-07-28). A call above 30 ms costs three writes
   * to the store. Set it once all instances have a version that knows it.
   * @default `false`
   */
  resumeModernCalls?: boolean | undefined;
  /**
   * A client that reads nothing for this long, with more than 64 KiB pending, loses its connection. It can resume an
   * event stream.
   * @default 60,000
   */
  writeTimeoutMs?: number | undefined;
}

/** A missing entry of the table of options is a type error here. */
type Resolved = { readonly [Name in Exclude<keyof McpEndpointOptions, 'stateless'>]-?: (typeof DEFAULTS)[Name] };

/**
 * The options as the endpoint uses them: validated, filled in, frozen. An option that stays `undefined` has no default,
 * or the endpoint creates it. Your objects (`store`, `logger`, handlers, `bus`) are passed on as they are, not frozen.
 * `sessionMode` includes the option `stateless`.
 */
export interface ResolvedOptions extends Resolved, ResolvedLimits {
  /** No option: what happens in the endpoint, for its listeners. */
  readonly notices: Notices;
  /** No option: `retryMs` or `fleetRetryMs`. */
  readonly retry: RetryInterval;
  /** `supportedProtocolVersions` if the option was given, else `undefined`. `ctx.serverOptions` starts with it. */
  readonly pinnedProtocolVersions: readonly string[] | undefined;
}
