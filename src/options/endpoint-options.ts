/**
 * The types of the options of `createMcpEndpoint`. `table.ts` has check, default and flag of each;
 * `docs/reference/options.md` explains them at more length.
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
   * `'hybrid'` (default): sessions for clients that `initialize`, and 2026-07-28 requests served one by one, on one
   * endpoint. `'stateful'`: sessions only. A 2026-07-28 request is refused with −32022, so that a client of both eras
   * falls back to `initialize`, and a client of the new era alone cannot connect. `'stateless'`: no sessions. Nothing
   * is kept between requests, and the server cannot send requests to the client.
   */
  sessionMode?: SessionMode | undefined;
  /**
   * Shorthand: `true` is `sessionMode: 'stateless'`, `false` is `sessionMode: 'stateful'`. Contradicting `sessionMode`
   * is an error.
   */
  stateless?: boolean | undefined;
  /**
   * Changes the `ServerOptions` of a session by the request that starts it, and again at each restore; without
   * sessions, per request. The factory gets the result as `ctx.serverOptions` and must pass it on. Default: none.
   */
  configureSessionOptions?: ConfigureSessionOptions | undefined;
  /** Code around a whole session: set up, `await run()`, tear down. Returning ends the session. Default: none. */
  runSessionHandler?: RunSessionHandler | undefined;
  /**
   * `false` (default): handlers run in the async context of their HTTP request. `true`: in one context per session, so
   * that an `AsyncLocalStorage` set in a hook lasts the session; `currentRequest()` is then undefined in handlers.
   */
  perSessionExecutionContext?: boolean | undefined;
  /**
   * ms without a request or an open stream before a session ends; 0 or more, `Infinity` = never. Default 7,200,000 (2
   * h). Checked every 5 s. Short frees memory; a client that comes back later has to start again.
   */
  idleTimeoutMs?: number | undefined;
  /**
   * Idle sessions of one instance. Past it those of the user with the most sessions end on the memory store, where
   * hibernated sessions count too, and hibernate on a durable store, the longest idle first. 0 or more, `Infinity` = no
   * limit. Default 10,000, less in a small heap. It bounds memory: a live session holds a server object.
   */
  maxIdleSessionCount?: number | undefined;
  /**
   * ms idle after which a session's server object is dropped and its record kept; the next request wakes it. 0 or more,
   * default `Infinity` = never. Short frees memory; each wake runs the factory again. Checked every 5 s.
   */
  hibernateAfterMs?: number | undefined;
  /** Clock and timers. Default: the system's. `createFakeTime()` of `sojourn/testing` makes tests fast and exact. */
  timeProvider?: TimeProvider | undefined;
  /**
   * Your own persistence and authorisation for session ids that this deployment does not know. Default: none, such ids
   * get 404.
   */
  sessionMigrationHandler?: SessionMigrationHandler | undefined;
  /**
   * Where records and event logs are kept. Default: the memory of this process, so that sessions end with the process.
   */
  store?: Store | undefined;
  /**
   * ms an instance may be silent before others take its sessions over (shared stores). Default 3,000. A short lease
   * detects crashes sooner, but a handler that blocks the event loop for two thirds of it loses the instance's
   * sessions.
   */
  leaseMs?: number | undefined;
  /**
   * ms that a request waits for a lease or for an unreachable store before its client gets an error. 0 or more; 0:
   * never. Default 15,000. Clients do not retry a refused call, and give up by themselves after 20 to 60 s.
   */
  waitMs?: number | undefined;
  /** ms an ended session is remembered as ended. Default: `idleTimeoutMs`, at most 24 h. Costs a small record each. */
  tombstoneMs?: number | undefined;
  /**
   * What a session's event log keeps for clients that reconnect with `Last-Event-ID`; members left out keep their
   * defaults (`ttlMs` 3,600,000, `events` 10,000, `bytes` 8,388,608). `false` keeps nothing: no event ids, no resuming.
   */
  eventRetention?: Some<EventRetention> | false | undefined;
  /** Makes session ids of visible ASCII. Default: 16 random bytes as base64url. A guessable id is a security hole. */
  sessionIdGenerator?: SessionIdGenerator | undefined;
  /**
   * Keys of `ctx.requestState`, each at least 32 bytes, the same on every instance. The first seals, all open: rotate
   * by putting the new one in front. Default: from the store, else random for this process.
   */
  requestStateKeys?: readonly (string | Uint8Array)[] | undefined;
  /**
   * Keys that sign the messages between instances, each at least 32 bytes, the same on every instance. The first signs,
   * all are accepted: rotate by putting the new one in front. `'store'` in the list is a key that the instances share
   * through their store. Default `['store']`.
   */
  instanceKeys?: readonly (string | Uint8Array)[] | undefined;
  /**
   * Also serves the 2024-11-05 transport (`/sse` and `/message`). Default `false`. It needs sessions, so it contradicts
   * `'stateless'`.
   */
  legacySse?: boolean | undefined;
  /**
   * Lists that are the same for every caller: `'tools'`, `'prompts'`, `'resources'`, `'resourceTemplates'`. Their
   * answers are kept, and given to every caller until the list changes. Default: none. Never name a list that depends
   * on the caller, or one caller gets the list of another.
   */
  sharedLists?: readonly SharedList[] | undefined;
  /**
   * How POSTs are answered. `'auto'` (default): sessions by SSE; 2026-07-28 by JSON unless something is sent before the
   * result. `'sse'`: always SSE. `'json'`: always one JSON body, no resuming; a message that a handler sends before its
   * result goes to the GET stream or is dropped.
   */
  responseMode?: ResponseMode | undefined;
  /**
   * `Host` names that are served, without port. Default: loopback names when `listen()` binds a loopback address, every
   * name otherwise. `node` and `fetch` have no default: name your hosts there against DNS rebinding.
   */
  allowedHosts?: readonly string[] | undefined;
  /**
   * Origins (`https://app.example`) or host names that browsers may call from, `'*'` for any. Default: loopback names.
   * A request without `Origin` passes. Preflights and CORS headers follow the same list.
   */
  allowedOrigins?: readonly string[] | undefined;
  /**
   * Who may call: how a caller is identified (access tokens, or the user that a proxy names), and what a caller may
   * use. Default: every request is served, and `authInfo` is what your own middleware passes in.
   */
  auth?: AuthOptions | undefined;
  /**
   * Header names that your handlers and hooks read, besides the common ones. A request that another instance relays to
   * the session's owner keeps only the common fields, `Mcp-*` and these. Default: none. Credentials cannot be listed
   * here.
   */
  relayedHeaders?: readonly string[] | undefined;
  /**
   * Header names that carry a secret, besides `authorization`, `proxy-authorization`, `cookie`, `x-api-key` and
   * `x-forwarded-access-token`. Their values never reach another instance, the store or the log. Default: none.
   */
  credentialHeaders?: readonly string[] | undefined;
  /**
   * Limits on what clients can make this instance hold; see {@link SessionLimits}. Omitted members keep their defaults.
   */
  limits?:
    | (Some<SessionLimits> & {
        /** The limits of each user. Default: `subscriptions` 256, the others `Infinity`. */
        perUser?: Some<UserLimits> | undefined;
        /** The limits of a tool, by its name. Default: no limit. */
        perTool?: Readonly<Record<string, Some<ToolLimits>>> | undefined;
      })
    | undefined;
  /** Endpoints of one name on one store are one deployment and share sessions. Default `'mcp'`. */
  name?: string | undefined;
  /** The protocol revisions that may be negotiated or requested. Default: all that the SDK implements. */
  supportedProtocolVersions?: readonly string[] | undefined;
  /**
   * Returns the user that a session is bound to, from the result of authentication; `undefined`: an anonymous caller.
   * Default: `extra.iss` with `extra.sub`, and a request without a subject is refused with 500 (`clientId` names the
   * program, not the person).
   */
  sessionUser?: ((authInfo: AuthInfo) => string | undefined) | undefined;
  /**
   * Carries `subscriptions/listen` events, as in `createMcpHandler`. Default: one over the store, which reaches all
   * instances.
   */
  bus?: ServerEventBus | undefined;
  /**
   * Receives errors that would otherwise only be logged, as in `createMcpHandler`, and what handlers throw, with a
   * context. Default: none.
   */
  onerror?: OnError | undefined;
  /**
   * `true`: counts requests, sessions, waits and calls to the store, for `endpoint.metrics()`. Default `false`, which
   * costs nothing.
   */
  metrics?: boolean | undefined;
  /**
   * Called with each notice of all that is no call, in the turn in which it happens: refusals, the life cycle of
   * sessions, of this instance and its store, calls to the store, relays, waits, resumes. Keep it short; what it throws
   * is logged. Default: none, and no notice of a detail is made.
   */
  observe?: Observe | undefined;
  /**
   * Called around each run of a client's request in a server, in both eras: also when it runs again after a crash, and
   * for a relayed call at the owner of its session. `next()` runs the rest. Of several the first is the outermost.
   * Default: none, and nothing is made for it.
   */
  aroundRequest?: AroundRequest | readonly AroundRequest[] | undefined;
  /**
   * The target of log lines: a pino logger, `console` for every level, or `false` for silence. Default: the console,
   * info and above.
   */
  logger?: GivenLogger | false | undefined;
  /**
   * `true`: log lines about what handlers throw have its message, which may hold arguments and results. Default
   * `false`.
   */
  logErrors?: boolean | undefined;
  /** `true`: each request writes an `info` line when its answer is complete. Default `false`. */
  accessLog?: boolean | undefined;
  /**
   * ms that your factory, a hook or the handshake of your server may take before the request that waits for it is
   * answered with 503. 1 or more, `Infinity` = no limit. Default 30,000. Without a limit a hook that hangs blocks its
   * session.
   */
  hookTimeoutMs?: number | undefined;
  /**
   * ms between SSE comment frames on a quiet stream, which keep proxies from closing it. 1 or more, `Infinity` = none.
   * Default 15,000.
   */
  keepAliveMs?: number | undefined;
  /** `retry:` in ms, sent with the priming event: how soon a client reconnects. Default 4,000. */
  retryMs?: number | undefined;
  /**
   * `retry:` in ms while an instance on another host serves, if that is less than `retryMs`. Default `Infinity`: always
   * `retryMs`. Clients are back sooner after a crash; those that try twice give up after two of it, also when the load
   * balancer or every host is away.
   */
  fleetRetryMs?: number | undefined;
  /**
   * How a `tools/call` is answered whose result is lost although it may have run (`mayHaveRun`). `'error'` (default): a
   * JSON-RPC error. `'result'`: a tool result with `isError: true` and the same text. No host repeats a call for such a
   * result, and the model reads it.
   */
  lostCalls?: LostCalls | undefined;
  /**
   * Serves the extension `io.modelcontextprotocol/tasks` of 2026-07-28: a call of a tool whose handler `task()` of
   * `sojourn/tasks` wraps is answered at once, runs on, and survives its process on a durable store. `true`: with the
   * defaults of `TasksOptions`. Default `false`.
   */
  tasks?: boolean | TasksOptions | undefined;
  /**
   * `true`: a call of 2026-07-28 continues for two `retryMs` after its connection broke, and its client gets the answer
   * when it comes back. After a crash a call that may run twice runs again elsewhere, and any other call ends with
   * `owner_lost`. The specification has no resuming in this revision, and a disconnect cancels there. Default `false`:
   * a call is cancelled when its connection breaks.
   */
  resumeModernCalls?: boolean | undefined;
  /**
   * ms. A client that takes nothing of more than 64 KiB written to it for this long loses its connection. Default
   * 60,000; `Infinity`: never. It can resume an event stream.
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
