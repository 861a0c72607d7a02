/** The options of `createMcpEndpoint`, as an application gives them. `table.ts` has the check and the default of each. */
import type { AuthInfo, ServerEventBus } from '@modelcontextprotocol/server';
import type { Store } from '../../stores/store.ts';
import type { Observe } from '../observe/observer.ts';
import type { SessionMode } from '../protocol/versions.ts';
import type {
  ConfigureSessionOptions,
  EventRetention,
  GivenLogger,
  LostCalls,
  OnError,
  ResponseMode,
  RunSessionHandler,
  SessionIdGenerator,
  SessionMigrationHandler,
  SharedList,
  TimeProvider,
} from '../types.ts';
import type { AddOn } from './add-ons.ts';
import type { AuthOptions } from './auth-options.ts';
import type { LimitsOptions } from './limits-options.ts';
import type { Middleware } from './middleware.ts';
import type { EventsOptions } from './events-options.ts';
import type { TasksOptions } from './tasks-options.ts';
import type { Some } from './value-kinds.ts';

/** The options of `createMcpEndpoint`. `undefined` means the default. */
export interface McpEndpointOptions {
  /**
   * Which clients get a session (docs/guide/sessions.md#with-and-without-sessions). `'hybrid'`: those that send
   * `initialize`. `'stateful'`: sessions only, 2026-07-28 is refused. `'stateless'`: none.
   * @default `'hybrid'`
   */
  sessionMode?: SessionMode | undefined;
  /** `true` is `sessionMode: 'stateless'`, `false` is `'hybrid'`. */
  stateless?: boolean | undefined;
  /**
   * A session ends when its client has sent nothing and had no response open for this long. A call that still runs is
   * aborted then.
   * @default 7,200,000 (2 h)
   */
  idleTimeoutMs?: number | undefined;
  /**
   * Idle sessions of this instance. Above it those of the user with the most hibernate; on the memory store they end,
   * with a `fatal` line.
   * @default 10,000, less in a small heap
   */
  maxIdleSessionCount?: number | undefined;
  /**
   * A session that is idle this long keeps only its record (docs/guide/sessions.md#hibernation).
   * @default Infinity
   */
  hibernateAfterMs?: number | undefined;
  /**
   * Where sessions and event logs are kept: `sqlite()` from `sojourn/sqlite`, `redis()` from `sojourn-redis` or
   * `postgres()` from `sojourn-postgres`. Default: the memory of this process, with which they end.
   */
  store?: Store | undefined;
  /**
   * Endpoints with one deployment on one store share their sessions and must serve the same server.
   * 1 to 64 letters, digits, dots, dashes and underscores.
   * @default `'mcp'`
   */
  deployment?: string | undefined;
  /**
   * How long an instance may be silent before others take over its sessions. A handler that blocks
   * the event loop for two thirds of it loses the sessions. At least 100.
   * @default 3,000
   */
  leaseMs?: number | undefined;
  /**
   * How long a request waits while the store or the session cannot be reached. Keep it below your
   * clients' time-outs (20 s or 60 s).
   * @default 15,000
   */
  maxWaitMs?: number | undefined;
  /**
   * How long an ended session is remembered as ended, so that no late write or migration handler brings it back.
   * Default: `idleTimeoutMs`, at most 24 h.
   */
  tombstoneMs?: number | undefined;
  /**
   * How long your code may hold up a request: the factory, the hooks, `connect()`,
   * `tasks.authInfo`, `afterCrash` of `once()`. Then the request gets `HOOK_TIMEOUT`. It also
   * bounds the 4 s that a restored session waits for what `oninitialized` asks
   * (docs/guide/sessions.md#restoring-a-session).
   * @default 30,000
   */
  hookTimeoutMs?: number | undefined;
  /**
   * `true`: all handlers of a session run in the async context in which `run()` was called
   * (docs/guide/hooks.md#runsessionhandler).
   * @default `false`
   */
  perSessionExecutionContext?: boolean | undefined;
  /**
   * The protocol revisions to serve.
   * @default `2026-07-28`, `2025-11-25`, `2025-06-18`, `2025-03-26`, `2024-11-05`, `2024-10-07`
   */
  supportedProtocolVersions?: readonly string[] | undefined;
  /**
   * Secrets of 32 bytes or more, the same on every instance, for messages between instances and
   * `ctx.requestState`. The first signs and encrypts, all are accepted. `'store'` are secrets kept
   * in the store; your own keeps out programs that can read the store, too. To introduce S deploy
   * `['store', S]`, `[S, 'store']`, `[S]`; to rotate it to N `[S, N]`, `[N, S]`, `[N]`.
   * @default `['store']`
   */
  secrets?: readonly (string | Uint8Array)[] | undefined;
  /**
   * Lists that are the same for every caller, of `'tools'`, `'prompts'`, `'resources'`,
   * `'resourceTemplates'`: the first result is kept until your server changes the list or sends
   * `list_changed`. **Never name a list that depends on the caller**, or one user gets another's
   * list. Default: none.
   */
  sharedLists?: readonly SharedList[] | undefined;
  /**
   * Changes the `ServerOptions` of a session; the factory passes `ctx.serverOptions` on
   * (docs/guide/hooks.md#configuresessionoptions).
   */
  configureSessionOptions?: ConfigureSessionOptions | undefined;
  /**
   * Code around a session, or around each request without one
   * (docs/guide/hooks.md#runsessionhandler).
   */
  runSessionHandler?: RunSessionHandler | undefined;
  /**
   * Your own storage of sessions: `{ allowSessionMigration, onSessionInitialized?, onSessionEnded? }`
   * (docs/guide/hooks.md#moving-sessions-yourself). Default: unknown ids get 404.
   */
  sessionMigrationHandler?: SessionMigrationHandler | undefined;
  /**
   * Makes session ids of visible ASCII, from `{ request, params, userKey }`. A guessable id is a security hole. For ids
   * above 256 characters set its property `maxLength`; `accepts(id, request)` says whether a request may name an id
   * (`false`: 404). Default: 16 random bytes, base64url.
   */
  sessionIdGenerator?: SessionIdGenerator | undefined;
  /**
   * The user whose session it is, from `authInfo`; `undefined`: an anonymous caller. **Without it `authInfo.extra.sub`
   * must be set**, else every request with an `authInfo` gets 500: all users of one application share its `clientId`.
   */
  sessionUser?: ((authInfo: AuthInfo) => string | undefined) | undefined;
  /** Clock and timers; `createFakeTime()` of `sojourn/testing` in a test. Default: the system's. */
  timeProvider?: TimeProvider | undefined;
  /**
   * Gets what handlers throw, and errors that would only be logged, unredacted, with `method`, `target` and
   * `sessionHash` of the request (docs/guide/operations.md#errors-in-sentry).
   */
  onerror?: OnError | undefined;
  /**
   * `{ debug, info, warn, error, fatal? }`, called with `(fields, message)` as pino's are; a winston logger; `false`
   * for silence. Default: stderr, `info` and above.
   */
  logger?: GivenLogger | false | undefined;
  /**
   * How a POST is answered. `'auto'`: sessions by SSE; 2026-07-28 by JSON, or by SSE once something is sent before the
   * result. `'sse'`: always SSE. `'json'`: always one JSON body, for clients and proxies that cannot stream; nothing can
   * be resumed.
   * @default `'auto'`
   */
  responseMode?: ResponseMode | undefined;
  /**
   * Also serves the transport of 2024-11-05, on paths that end in `/sse` and `/message`.
   * @default `false`
   */
  legacySse?: boolean | undefined;
  /**
   * How often a quiet SSE stream gets a comment, so that proxies do not close it. `Infinity` and
   * `0` send none.
   * @default 15,000
   */
  keepAliveMs?: number | undefined;
  /**
   * How long a client waits before it reconnects (`retry:`). Several clients try twice: a restart
   * should take less than two of it.
   * @default 4,000
   */
  retryMs?: number | undefined;
  /**
   * The answer of a `tools/call` that may have run and whose result is lost. `'result'`: a result
   * with `isError: true`, for hosts that repeat a call after any error.
   * @default `'error'`
   */
  lostCalls?: LostCalls | undefined;
  /**
   * Serves the extension `io.modelcontextprotocol/tasks` (docs/guide/long-running-tools.md): `true`, or an object with `fallback` and `authInfo`.
   * @default `false`
   */
  tasks?: boolean | TasksOptions | undefined;
  /**
   * Tells subscribed clients what happened, by MCP Events: `endpoint.emit()` stores an event, and webhooks and polls get
   * it ([guide](../guide/events.md)). Experimental: the extension is in Beta, and what is on the wire may change.
   * @default `false`
   */
  events?: EventsOptions | false | undefined;
  /**
   * What the event log of each session keeps for clients that reconnect: the first of `maxAgeMs`, `events` and
   * `bytes` to be reached drops the oldest events. `false` keeps nothing: no resuming.
   */
  eventRetention?: Some<EventRetention> | false | undefined;
  /**
   * Carries the events of `subscriptions/listen`, as in `createMcpHandler`. Default: a bus that
   * reaches every instance on the store. An `InMemoryServerEventBus` reaches this process alone.
   */
  bus?: ServerEventBus | undefined;
  /**
   * The `Host` names that are served, without port; others get 403. It protects against DNS rebinding. **Set it when
   * you mount the endpoint.** Default: loopback names and its `host` when `listen()` binds a loopback address, else any.
   */
  allowedHosts?: readonly string[] | undefined;
  /**
   * The web pages whose scripts may call: origins (`https://app.example`), host names, or `'*'`; `'null'` for pages
   * from files, and for every sandboxed frame. A request without `Origin` passes. CORS headers follow this list; an
   * empty one refuses every browser.
   * @default `localhost`, `127.0.0.1`, `[::1]`
   */
  allowedOrigins?: readonly string[] | undefined;
  /**
   * The proxies whose `X-Forwarded-For` names the address of a caller: addresses and CIDR ranges, or `'private'`, which
   * is loopback with all private, shared, link-local and unique local networks. Callers without a user count by that
   * address in `limits`, and by nothing else of the field (docs/guide/deployment.md#who-a-caller-is). `[]`: none.
   * @default loopback: `['127.0.0.0/8', '::1/128']`
   */
  trustedProxies?: readonly string[] | undefined;
  /**
   * Headers that your handlers read, such as `['x-tenant']`: an instance that relays a request keeps these and the
   * common ones, and no others (docs/guide/hooks.md#what-a-relayed-request-shows). `Authorization`,
   * `Proxy-Authorization`, `Cookie`, `X-Api-Key` and `X-Forwarded-Access-Token` cannot be named. Default: none.
   */
  relayedHeaders?: readonly string[] | undefined;
  /**
   * The header in which your proxy names an attempt, equal in all its tries of one request, such as
   * `X-Request-Id`. A POST of a session that arrives again runs once
   * (docs/guide/deployment.md#when-a-connection-breaks). **The proxy must replace what clients send
   * in it.** Ids have 8 to 128 visible ASCII characters; others are ignored. Default: none.
   */
  attemptHeader?: string | undefined;
  /**
   * Who may call, and what (docs/guide/auth.md). Set one of `jwt`, `verify` and `trustedProxyUser`. Default: every
   * request is served, and `authInfo` is what your middleware passes in.
   */
  auth?: AuthOptions | undefined;
  /**
   * What clients can make this instance hold. Some defaults follow from the heap
   * (`--max-old-space-size`), and are given for 4 GiB. A caller without a user counts by its address
   * (`trustedProxies`); of IPv6 the first 64 bits count.
   */
  limits?: LimitsOptions | undefined;
  /**
   * Your code around each run of a request, or a list, the outermost first
   * (docs/guide/hooks.md#middleware).
   */
  middleware?: Middleware | readonly Middleware[] | undefined;
  /**
   * Add-ons: `use: [telemetry()]` of `sojourn/otel`. Their `middleware` runs around yours. Default:
   * none.
   */
  use?: readonly AddOn[] | undefined;
  /**
   * Counts for `endpoint.metrics()`. On the command line `--metrics [host:]port` also serves them.
   * @default `false`
   */
  metrics?: boolean | undefined;
  /** Gets a notice of all that happens (docs/reference/metrics.md#notices). */
  observe?: Observe | undefined;
  /**
   * `true`: lines about what handlers throw have its message, which may hold arguments.
   * @default `false`
   */
  logErrorMessages?: boolean | undefined;
  /**
   * `true`: one `info` line for each answered request, at most 1,000 a second. On in a terminal under `serve`.
   * @default `false`
   */
  accessLog?: boolean | undefined;
  /**
   * `true`: one `info` line for each run of a call, at the instance that ran it: who did what
   * (docs/guide/operations.md#audit). No line is left out, so a client writes as many as it makes calls.
   * @default `false`
   */
  callLog?: boolean | undefined;
}
