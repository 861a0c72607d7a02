/** The types that applications program against. Every optional member also takes `undefined`. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type {
  AuthInfo,
  ClientCapabilities,
  Implementation,
  InitializeRequestParams,
  McpRequestContext,
  McpServer,
  RequestStateCodec,
  Server,
  ServerEvent,
  ServerOptions as McpServerOptions,
  Transport,
} from '@modelcontextprotocol/server';

export type { McpServerOptions };

/**
 * The HTTP request as hooks, factories and handlers see it. It is built lazily. The body is not readable, because it
 * was read before the message was dispatched.
 */
export type McpHttpRequest = Request & {
  /** The authentication that the caller of `fetch` or `node` passed in. */
  readonly authInfo?: AuthInfo | undefined;
  /** The key of the user, for comparisons: it holds the issuer and the subject. Sessions are bound to it. */
  readonly userKey?: string | undefined;
  /** The name in `userKey` for display: the subject, or what `sessionUser` returned. Two issuers may use the same name. */
  readonly userName?: string | undefined;
  /** The address by which `limits` count a caller without a user (`trustedProxies`). It proves nothing about a caller. */
  readonly clientAddress?: string | undefined;
  /** The Node request and response, on the instance that received the request over its `node` face. */
  readonly node?: { req: IncomingMessage; res: ServerResponse } | undefined;
};

/** Why a session ended. */
export type EndReason =
  | 'deleted'
  | 'idle'
  | 'idle_limit'
  | 'user_limit'
  | 'terminated'
  | 'server_closed'
  | 'handler_returned'
  | 'endpoint_closed';

/**
 * Why a session left this instance. Of one request of stateless and 2026-07-28 serving: `request_done` (it was
 * answered or refused), `disconnected` (its client disconnected before the answer), `closed` (the endpoint closed, or
 * the time of its drain was over), `handler_returned` (its `runSessionHandler` returned).
 */
export type LeaveReason =
  | EndReason
  | 'hibernated'
  | 'released'
  | 'fenced'
  | 'closed'
  | 'request_done'
  | 'disconnected';

/** What a factory must return at least. Servers of SDK v1 and v2 fit. */
export interface ConnectableServer {
  connect(transport: Transport): Promise<void>;
  close(): Promise<void>;
}

/**
 * Durable JSON key–value pairs of a session, of a user or behind a handle, at most `limits.stateBytes` of UTF-8 JSON in
 * all (error `STATE_TOO_LARGE`). A promise resolves when the store holds the change.
 */
export interface State {
  /** Resolves with a fresh copy of the stored value, or `undefined` when there is none. */
  get<T = unknown>(key: string): Promise<T | undefined>;
  /** Stores a JSON value; `undefined` and functions are refused with a `TypeError`. */
  set(key: string, value: unknown): Promise<void>;
  /** Resolves with `true` when the key existed. */
  delete(key: string): Promise<boolean>;
  /**
   * Reads, changes and stores a value. Updates take effect one after the other, each once. Resolves with the new value,
   * whose type is what `fn` returns. `fn` gets `undefined` when there is no value, so give its parameter a default:
   * `update('calls', (before = 0) => before + 1)`. Where `fn` throws or returns `undefined`, nothing changes.
   *
   * `fn` only computes: it runs again where another change was faster, and a promise is refused with a `TypeError`.
   */
  update<Fn extends (current: never) => unknown>(key: string, fn: Fn): Promise<ReturnType<Fn>>;
  update<T>(key: string, fn: (current: T | undefined) => T): Promise<T>;
  entries(): Promise<Array<[string, unknown]>>;
}

export interface UserStateOptions {
  /** How long the state is kept after its last change, in ms: 1,000 to 400 days. Default 90 days. */
  readonly keepMs?: number | undefined;
  /**
   * `'shared'`: all callers without a user have one state, as on a server that one person uses. Default: their calls of
   * `userState()` throw.
   */
  readonly anonymous?: 'shared' | undefined;
}

export interface HandleOptions {
  /** How long a new handle is kept after its last use, in ms: 1,000 to 400 days. Default 24 h. */
  readonly idleTimeoutMs?: number | undefined;
  /** What the state of a new handle holds at first. */
  readonly initial?: Readonly<Record<string, unknown>> | undefined;
}

/** Durable state that a model names. */
export interface Handle {
  /** `<kind>_` and 22 characters: 128 random bits in base64url. Without users, who has it has the state. */
  readonly id: string;
  readonly kind: string;
  /** This call made it. */
  readonly created: boolean;
  /** Its methods throw `HANDLE_NOT_FOUND` once the handle has ended. */
  readonly state: State;
  /** Ends it, with its state. `false`: it had ended. */
  end(): Promise<boolean>;
}

/** A handle as its user lists it. Times are ms since 1970; `bytes` are those of its state. */
export interface UserHandle {
  readonly id: string;
  readonly kind: string;
  readonly createdAt: number;
  readonly expiresAt: number;
  readonly bytes: number;
}

/** A handle as the application sees it. */
export interface HandleInfo extends Omit<UserHandle, 'id'> {
  /** Names the handle, and opens nothing. */
  readonly hash: string;
  /** `undefined`: a caller without a user has made it. */
  readonly userKey: string | undefined;
}

/** One client's session as its factory, hooks and handlers see it. */
export interface McpSession {
  readonly kind: 'session';
  readonly id: string;
  /** The key of the user the session is bound to; `undefined` when an anonymous client opened it. */
  readonly userKey?: string | undefined;
  /** The name in `userKey` for display. Two issuers may use the same name, so compare `userKey`. */
  readonly userName?: string | undefined;
  /** ms since 1970. */
  readonly createdAt: number;
  readonly clientInfo: Implementation;
  readonly clientCapabilities: ClientCapabilities;
  /** The requested version until `initialize` is answered, then the negotiated one. */
  readonly protocolVersion: string;
  /** What the factory returned. Reading it inside the factory throws. */
  readonly server: McpServer | Server | ConnectableServer;
  readonly state: State;
  /**
   * Aborts when the session leaves this instance, or when its one request is over (`kind: 'request'`). `signal.reason`
   * is the {@link LeaveReason}.
   */
  readonly signal: AbortSignal;
}

/** One request without a session (stateless, 2026-07-28), as `runSessionHandler` sees it. */
export interface McpRequestRun extends Omit<McpSession, 'kind' | 'id' | 'state'> {
  readonly kind: 'request';
  readonly id?: undefined;
  readonly state?: undefined;
}

/**
 * The stream of a `subscriptions/listen` as its factory sees it, for events that are not for all clients.
 * `endpoint.notify` reaches all streams.
 */
export interface McpListen {
  /** URIs that the client names, without those that `auth.authorize` refuses. At most 64 KiB. */
  readonly resources: readonly string[];
  /** Aborts when the stream has ended, or did not begin. */
  readonly signal: AbortSignal;
  /** Sends an event to this stream alone, if its client asked for it. Does nothing before its head and after its end. */
  publish(event: ServerEvent): void;
}

/** What a factory gets: the SDK's `McpRequestContext` and what sojourn adds. */
export interface McpEndpointContext extends McpRequestContext {
  /** Absent in stateless and modern serving. */
  session?: McpSession;
  /** The result of `configureSessionOptions`. Pass it on: `new McpServer(info, { ...ctx.serverOptions })`. */
  serverOptions: McpServerOptions;
  /** `true` when the handshake is replayed: after a takeover, a restart, a migration or a wake. */
  restored: boolean;
  /**
   * Encrypts and opens `requestState` with the option `secrets`. A state is bound to the user, the method and its target,
   * and lasts 600 s; within that time a client may send it repeatedly, also with other arguments.
   */
  requestState: RequestStateCodec;
  requestInfo?: McpHttpRequest;
  /** Only for the server of a `subscriptions/listen` (2026-07-28). */
  listen?: McpListen;
}

/** What the factory of an endpoint with `sessionMode: 'stateful'` gets: there is always a session. */
export interface McpSessionContext extends McpEndpointContext {
  session: McpSession;
}

/** Creates the server of one session (2025 era) or of one request (stateless, 2026-07-28). */
export type McpEndpointFactory<Context extends McpEndpointContext = McpEndpointContext> = (
  ctx: Context,
) => McpServer | Server | ConnectableServer | Promise<McpServer | Server | ConnectableServer>;

export type ConfigureSessionOptions = (
  request: McpHttpRequest,
  serverOptions: McpServerOptions,
  signal: AbortSignal,
) => McpServerOptions | void | Promise<McpServerOptions | void>;

/**
 * Around a session (`kind: 'session'`), or around one request of stateless and 2026-07-28 serving (`kind: 'request'`,
 * without `id` and `state`). What it returns is ignored; a promise is awaited.
 */
export type RunSessionHandler = (
  request: McpHttpRequest,
  session: McpSession | McpRequestRun,
  run: () => Promise<LeaveReason>,
) => unknown;

export interface SessionMigrationHandler {
  /** Called for a session id that this deployment does not know. Return null or undefined to answer 404. */
  allowSessionMigration(
    request: McpHttpRequest,
    sessionId: string,
    signal: AbortSignal,
  ):
    | InitializeRequestParams
    | null
    | undefined
    | Promise<InitializeRequestParams | null | undefined>;
  /** Called once per session, before the answer to `initialize` is written. An error fails the `initialize`. */
  onSessionInitialized?(
    request: McpHttpRequest,
    sessionId: string,
    params: InitializeRequestParams,
    signal: AbortSignal,
  ): void | Promise<void>;
  /** Called at least once, on the instance that ended the session. Errors are logged. */
  onSessionEnded?(sessionId: string, reason: EndReason): void | Promise<void>;
}

/** Makes ids of 1 to 256 characters of visible ASCII (0x21–0x7E). */
export interface SessionIdGenerator {
  (init: {
    request: McpHttpRequest;
    params: InitializeRequestParams;
    userKey?: string | undefined;
  }): string | Promise<string>;
  /** The length in characters of the longest id, if that is more than 256. */
  readonly maxLength?: number | undefined;
  /** Whether this request may name a session of that id, such as one of its path. `false`: 404. Default: any may. */
  readonly accepts?: ((sessionId: string, request: McpHttpRequest) => boolean) | undefined;
}

/** `owner` is the instance that serves the session now. Times are ms since 1970. */
export interface SessionInfo {
  id: string;
  /** The hash of its id, as log lines and `sojourn sessions` show it. The id is a credential. */
  hash: string;
  /**
   * `hibernated`: it was idle. `released`: its instance drained. `orphaned`: its instance died. The next request of its
   * client continues all three.
   */
  status: 'live' | 'hibernated' | 'released' | 'orphaned';
  owner?: string;
  /** The key that authorises, for comparisons. */
  userKey?: string;
  /** The name in `userKey` for display. */
  userName?: string;
  clientInfo: Implementation;
  protocolVersion: string;
  createdAt: number;
  /**
   * When it was in use, as the store has it: the instance of a live session saves it each tenth of `idleTimeoutMs`, so it
   * may have been in use since.
   */
  activeAt: number;
}

/** Why a session became live on this instance again. */
export type RestoreCause = 'wake' | 'takeover' | 'migration' | 'reclaim';

/** A pino logger can be passed as it is. */
export interface Logger {
  debug(obj: object, msg: string): void;
  info(obj: object, msg: string): void;
  warn(obj: object, msg: string): void;
  error(obj: object, msg: string): void;
  fatal(obj: object, msg: string): void;
}

/** What the option `logger` takes: also `console` and other loggers without `fatal`; their `error` gets those lines. */
export type GivenLogger = Omit<Logger, 'fatal'> & Partial<Pick<Logger, 'fatal'>>;

/** What `onerror` gets beside an error that a handler threw. */
export interface ErrorContext {
  /** The JSON-RPC method: `tools/call`, for example. */
  readonly method: string;
  /** The name of the tool or prompt. */
  readonly target?: string;
  /** The hash of the session's id, as log lines show it. Absent without a session. */
  readonly sessionHash?: string;
}

/** `context`: only for what a handler threw. A promise that it returns may reject. */
export type OnError = (error: Error, context?: ErrorContext) => unknown;

/** The clock and timers of an endpoint. Times in ms. */
export interface TimeProvider {
  /** ms since 1970. */
  now(): number;
  setTimeout(fn: () => void, ms: number): unknown;
  clearTimeout(handle: unknown): void;
  /** ms from any fixed point, never decreasing. Default: `now`. */
  monotonic?(): number;
}

/** How an answer to a POST is framed. */
export type ResponseMode = 'auto' | 'sse' | 'json';

/** A list that is the same for every caller (`sharedLists`). */
export type SharedList = 'tools' | 'prompts' | 'resources' | 'resourceTemplates';

/** How a `tools/call` is answered that may have run, but has no result. */
export type LostCalls = 'error' | 'result';

/** A value, or a promise of it. */
export type MaybePromise<T> = T | Promise<T>;

/** What the event log of one session keeps. */
export interface EventRetention {
  /**
   * The age at which an event is dropped.
   * @default 3,600,000 (1 h)
   */
  maxAgeMs: number;
  /**
   * Events of one session.
   * @default 10,000
   */
  events: number;
  /**
   * Bytes of one session's events, at least `limits.streamBufferBytes`.
   * @default 8,388,608 (8 MiB)
   */
  bytes: number;
}

/** The state of an endpoint, as `/readyz` answers it. */
export interface EndpointHealth {
  /** What a readiness check says: this instance should get requests. */
  ready: boolean;
  state: 'serving' | 'draining' | 'lapsed' | 'closed';
  /** `'unavailable'`: it cannot be reached, or refuses calls. */
  store: 'ok' | 'unavailable';
  instance: string;
  /** Sessions that are live on this instance. */
  sessions: number;
  /**
   * Why an instance that serves is not ready: no older instance accepts its messages, or calls to the
   * store have failed for 10 s although its lease is renewed.
   */
  reason?: string;
}
