/** Every option of `createMcpEndpoint`. `docs/reference/options.md` says the same at more length. */
import type { AuthInfo, ServerEventBus } from '@modelcontextprotocol/server';
import type { Store } from '../stores/store.ts';
import type {
  ConfigureSessionOptions,
  EventRetention,
  Logger,
  RunSessionHandler,
  SessionIdGenerator,
  SessionLimits,
  SessionMigrationHandler,
  TimeProvider,
} from '../types.ts';
import type { SessionMode } from '../protocol/versions.ts';

/** How an answer to a POST is framed. */
export type ResponseMode = 'auto' | 'sse' | 'json';

/** Some members of `T`; `undefined` means the default. */
export type Some<T> = { [K in keyof T]?: T[K] | undefined };

export interface McpEndpointOptions {
  /**
   * `'hybrid'` (default): sessions for clients that `initialize`, 2026-07-28 requests served one by one, on one endpoint.
   * `'stateful'`: sessions only; a 2026-07-28 request is refused with −32022, so that a client of both eras falls back to
   * `initialize` (and a client of the new era alone cannot connect). `'stateless'`: no session for anyone, so nothing is
   * kept between requests and the server can ask the client nothing.
   */
  sessionMode?: SessionMode | undefined;
  /** Shorthand: `true` is `sessionMode: 'stateless'`, `false` is `sessionMode: 'stateful'`. Contradicting both is an error. */
  stateless?: boolean | undefined;
  /**
   * Shapes the `ServerOptions` of a session from the request that starts it; again at each restore; per request when there
   * is no session. The factory gets the outcome as `ctx.serverOptions` and must hand it on. Default: none.
   */
  configureSessionOptions?: ConfigureSessionOptions | undefined;
  /** Code around a whole session: set up, `await run()`, tear down. Returning ends the session. Default: none. */
  runSessionHandler?: RunSessionHandler | undefined;
  /**
   * `false` (default): handlers run in the async context of their HTTP request. `true`: in one context per session, so that
   * an `AsyncLocalStorage` set in a hook lasts the session; `currentRequest()` is then undefined in handlers.
   */
  perSessionExecutionContext?: boolean | undefined;
  /**
   * ms without a request or an open stream before a session ends; 0 or more, `Infinity` = never. Default 7,200,000 (2 h).
   * Checked every 5 s. Short frees memory; a client that comes back later has to start again.
   */
  idleTimeoutMs?: number | undefined;
  /**
   * Idle sessions of one instance; past it the ones idle the longest end. 0 or more, `Infinity` = no limit. Default 10,000.
   * It bounds memory (a live session holds a server object); raise it with the memory you have. Hibernated sessions count on
   * the memory store; on a durable one, with `hibernateAfterMs`, the ones past it are hibernated instead of ended.
   */
  maxIdleSessionCount?: number | undefined;
  /**
   * ms idle after which a session's server object is dropped and its record kept; the next request wakes it. 0 or more,
   * default `Infinity` = never. Short frees memory; each wake runs the factory again. Checked every 5 s.
   */
  hibernateAfterMs?: number | undefined;
  /** Clock and timers. Default: the system's. `createFakeTime()` of `sojourn/testing` makes tests fast and exact. */
  timeProvider?: TimeProvider | undefined;
  /** Your own persistence and authorisation of sessions this deployment does not know. Default: none, they get 404. */
  sessionMigrationHandler?: SessionMigrationHandler | undefined;
  /** What keeps records and event logs. Default: the memory of this process, where sessions end with it. */
  store?: Store | undefined;
  /**
   * ms an instance may be silent before others take its sessions over (shared stores). Default 3,000. Short: crashes are
   * noticed sooner, and a handler that blocks the event loop for two thirds of it loses its sessions.
   */
  leaseMs?: number | undefined;
  /**
   * ms that a request waits for a lease or a store that is away, before its client gets an error. 0 or more; 0: never.
   * Default 15,000. Clients do not send a refused call again, and give up by themselves after 20 to 60 s.
   */
  waitMs?: number | undefined;
  /** ms an ended session is remembered as ended. Default: `idleTimeoutMs`, at most 24 h. Costs a small record each. */
  tombstoneMs?: number | undefined;
  /**
   * What a session's event log keeps for clients that reconnect with `Last-Event-ID`; members left out keep their defaults
   * (`ttlMs` 3,600,000, `events` 1,000, `bytes` 1,048,576). `false` keeps nothing: no event ids, no resuming.
   */
  eventRetention?: Some<EventRetention> | false | undefined;
  /** Makes session ids of visible ASCII. Default: 16 random bytes as base64url. A guessable id is a security hole. */
  sessionIdGenerator?: SessionIdGenerator | undefined;
  /**
   * Keys of `ctx.requestState`, each at least 32 bytes, the same on every instance. The first seals, all open: rotate by
   * putting the new one in front. Default: from the store, else random for this process.
   */
  requestStateKeys?: readonly (string | Uint8Array)[] | undefined;
  /** Also serve the 2024-11-05 transport (`/sse` and `/message`). Default `false`. Not with `'stateless'`: it needs sessions. */
  legacySse?: boolean | undefined;
  /**
   * How POSTs are answered. `'auto'` (default): sessions by SSE; 2026-07-28 by JSON unless something is sent before the
   * result. `'sse'`: always SSE. `'json'`: always one JSON body, no resuming; what a handler sends meanwhile takes the GET
   * stream or is dropped.
   */
  responseMode?: ResponseMode | undefined;
  /**
   * `Host` names that are served, without port. Default: loopback names when `listen()` binds a loopback address, any
   * otherwise. `node` and `fetch` guess nothing: name your hosts there against DNS rebinding.
   */
  allowedHosts?: readonly string[] | undefined;
  /**
   * Origins (`https://app.example`) or host names that browsers may call from, `'*'` for any. Default: loopback names. A
   * request without `Origin` passes. `listen()` answers CORS by the same list.
   */
  allowedOrigins?: readonly string[] | undefined;
  /**
   * Header names that your handlers and hooks read, besides the common ones. A request that another instance relays to the
   * session's owner keeps only the common fields, `Mcp-*` and these. Default: none. A credential cannot be named here.
   */
  relayedHeaders?: readonly string[] | undefined;
  /**
   * Header names that carry a secret, besides `authorization`, `proxy-authorization`, `cookie`, `x-api-key` and
   * `x-forwarded-access-token`. Their values never reach another instance, the store or the log. Default: none.
   */
  credentialHeaders?: readonly string[] | undefined;
  /** What clients can make this instance hold; see {@link SessionLimits}. Members left out keep their defaults. */
  limits?: Some<SessionLimits> | undefined;
  /** Endpoints of one name on one store are one deployment and share sessions. Default `'mcp'`. */
  name?: string | undefined;
  /** The protocol revisions that may be negotiated or asked for. Default: all that the SDK implements. */
  supportedProtocolVersions?: readonly string[] | undefined;
  /**
   * The user whose session it is, from what authentication found; `undefined`: an anonymous caller. Default: `extra.iss` with
   * `extra.sub`, and a request without a subject is refused with 500 (`clientId` names the program and not the person).
   */
  sessionUser?: ((authInfo: AuthInfo) => string | undefined) | undefined;
  /** Carries `subscriptions/listen` events, as in `createMcpHandler`. Default: one over the store, which reaches all instances. */
  bus?: ServerEventBus | undefined;
  /** Gets errors that would otherwise only be logged, as in `createMcpHandler`. Default: none. */
  onerror?: ((error: Error) => void) | undefined;
  /** Where log lines go; a pino logger fits as it is. Default: the console, warn and above. */
  logger?: Logger | undefined;
  /**
   * ms that your factory, a hook or the handshake of your server may take before the request that waits for it is answered
   * with 503. 1 or more, `Infinity` = no limit. Default 30,000. Without a limit a hook that hangs blocks its session.
   */
  hookTimeoutMs?: number | undefined;
  /** ms between SSE comment frames on a quiet stream; 0 = none. Default 15,000. Keeps proxies from closing it. */
  keepAliveMs?: number | undefined;
  /** `retry:` in ms, sent with the priming event: how soon a client reconnects. Default 1,000. */
  retryMs?: number | undefined;
}

/**
 * The options as the endpoint uses them: validated, filled in, frozen. What stays `undefined` is made by the endpoint or has
 * no default. Objects that are yours (`store`, `logger`, handlers, `bus`) are passed on as they are, not frozen.
 */
export interface ResolvedOptions {
  /** `stateless` is folded in. */
  readonly sessionMode: SessionMode;
  readonly configureSessionOptions: ConfigureSessionOptions | undefined;
  readonly runSessionHandler: RunSessionHandler | undefined;
  readonly perSessionExecutionContext: boolean;
  readonly idleTimeoutMs: number;
  readonly maxIdleSessionCount: number;
  readonly hibernateAfterMs: number;
  readonly timeProvider: Required<TimeProvider>;
  readonly sessionMigrationHandler: SessionMigrationHandler | undefined;
  /** `undefined`: the endpoint makes a memory store. */
  readonly store: Store | undefined;
  readonly leaseMs: number;
  readonly waitMs: number;
  readonly tombstoneMs: number;
  readonly eventRetention: Readonly<EventRetention> | false;
  /** `undefined`: 16 random bytes, base64url. */
  readonly sessionIdGenerator: SessionIdGenerator | undefined;
  /** `undefined`: the store's secret, else random. */
  readonly requestStateKeys: readonly (string | Uint8Array)[] | undefined;
  readonly legacySse: boolean;
  readonly responseMode: ResponseMode;
  /** Lower case, IPv6 in brackets. `undefined`: `listen()` on a loopback address allows loopback names, anything else any. */
  readonly allowedHosts: readonly string[] | undefined;
  /** `'*'`, origins as browsers spell them, or host names in lower case (IPv6 in brackets). */
  readonly allowedOrigins: readonly string[];
  /** Lower case; those that every relayed request keeps are not listed. */
  readonly relayedHeaders: readonly string[];
  /** Lower case; those that are credentials everywhere are not listed. */
  readonly credentialHeaders: readonly string[];
  readonly limits: Readonly<SessionLimits>;
  readonly name: string;
  /** Newest first; `servedVersions` of versions.ts says what of it this mode serves. */
  readonly supportedProtocolVersions: readonly string[];
  /** The same when it was given, `undefined` when it is the default: what `ctx.serverOptions` starts with. */
  readonly pinnedProtocolVersions: readonly string[] | undefined;
  readonly sessionUser: ((authInfo: AuthInfo) => string | undefined) | undefined;
  readonly bus: ServerEventBus | undefined;
  readonly onerror: ((error: Error) => void) | undefined;
  /** Never throws. */
  readonly logger: Logger;
  readonly hookTimeoutMs: number;
  readonly keepAliveMs: number;
  readonly retryMs: number;
}
