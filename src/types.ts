/** The shapes people program against. Every optional member also takes `undefined`. */
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
  ServerOptions as McpServerOptions,
  Transport,
} from '@modelcontextprotocol/server';

export type { McpServerOptions };

/**
 * The HTTP request as hooks, factories and handlers see it. Built lazily; the body is not readable
 * (it was read before the message was dispatched).
 */
export type McpHttpRequest = Request & {
  /** What the caller of `fetch` or `node` vouched for. */
  readonly authInfo?: AuthInfo | undefined;
  /** Whose request it is: the user key that sessions are bound to. */
  readonly user?: string | undefined;
  /** The Node pair, on the instance that received the request over its `node` face. */
  readonly node?: { req: IncomingMessage; res: ServerResponse } | undefined;
};

/** Why a session ended, for ever. */
export type EndReason =
  | 'deleted'
  | 'idle'
  | 'idle_limit'
  | 'terminated'
  | 'server_closed'
  | 'handler_returned'
  | 'store_lost';

/** Why a session left this instance. `request_done`: a stateless or modern request was answered. */
export type LeaveReason = EndReason | 'hibernated' | 'released' | 'fenced' | 'closed' | 'request_done';

/** The least a factory may return: SDK v1 and v2 servers fit. */
export interface ConnectableServer {
  connect(transport: Transport): Promise<void>;
  close(): Promise<void>;
}

/**
 * Durable JSON key–value of one session, at most `limits.stateBytes` of UTF-8 JSON in all
 * (`StateTooLarge` otherwise). A promise resolves when the store holds the change.
 */
export interface SessionState {
  /** A fresh copy of the stored value, `undefined` when there is none. */
  get<T = unknown>(key: string): Promise<T | undefined>;
  /** Stores a JSON value; `undefined` and functions are refused with a `TypeError`. */
  set(key: string, value: unknown): Promise<void>;
  /** `true` when there was something to delete. */
  delete(key: string): Promise<boolean>;
  /** Read, change, store: one at a time per session; `fn` runs exactly once. Resolves with the new value. */
  update<T>(key: string, fn: (current: T | undefined) => T | Promise<T>): Promise<T>;
  entries(): Promise<Array<[string, unknown]>>;
}

/** One client's session as its factory, hooks and handlers see it. */
export interface McpSession {
  readonly id: string;
  /** The user the session is bound to; `undefined`: nobody was authenticated when it was opened. */
  readonly user?: string | undefined;
  /** ms since 1970. */
  readonly createdAt: number;
  readonly clientInfo: Implementation;
  readonly clientCapabilities: ClientCapabilities;
  /** The requested version until `initialize` is answered, then the negotiated one. */
  readonly protocolVersion: string;
  /** What the factory returned; throws inside the factory. */
  readonly server: McpServer | Server | ConnectableServer;
  readonly state: SessionState;
  /** Aborts when the session leaves this instance; `signal.reason` is the {@link LeaveReason}. */
  readonly signal: AbortSignal;
}

/** What a factory gets: the SDK's `McpRequestContext` and what sojourn adds. */
export interface McpEndpointContext extends McpRequestContext {
  /** Absent in stateless and modern serving. */
  session?: McpSession;
  /** After `configureSessionOptions`; hand it on: `new McpServer(info, { ...ctx.serverOptions })`. */
  serverOptions: McpServerOptions;
  /** `true` when the handshake is being replayed: a takeover, a restart, a migration, a wake. */
  restored: boolean;
  /** Seals and opens `requestState` over `requestStateKeys`, bound to user and method, 600 s. */
  requestState: RequestStateCodec;
  requestInfo?: McpHttpRequest;
}

/** Makes the server of one session (2025 era) or of one request (stateless, 2026-07-28). */
export type McpEndpointFactory = (
  ctx: McpEndpointContext,
) => McpServer | Server | ConnectableServer | Promise<McpServer | Server | ConnectableServer>;

export type ConfigureSessionOptions = (
  request: McpHttpRequest,
  serverOptions: McpServerOptions,
  signal: AbortSignal,
) => McpServerOptions | void | Promise<McpServerOptions | void>;

/** Stateless and modern serving: `session.id` and `session.state` are undefined. */
export type RunSessionHandler = (
  request: McpHttpRequest,
  session: McpSession,
  run: () => Promise<LeaveReason>,
) => Promise<void>;

export interface SessionMigrationHandler {
  /** Asked for a session id that this deployment does not know; null or undefined: answer 404. */
  allowSessionMigration(
    request: McpHttpRequest,
    sessionId: string,
    signal: AbortSignal,
  ): InitializeRequestParams | null | undefined | Promise<InitializeRequestParams | null | undefined>;
  /** Once per session, before the answer to `initialize` is written; a failure fails the `initialize`. */
  onSessionInitialized?(
    request: McpHttpRequest,
    sessionId: string,
    params: InitializeRequestParams,
    signal: AbortSignal,
  ): void | Promise<void>;
  /** At least once, on the instance that ended the session; errors are logged. */
  onSessionEnded?(sessionId: string, reason: EndReason): void | Promise<void>;
}

/** 1 to `limits.sessionIdLength` characters of visible ASCII (0x21–0x7E). */
export type SessionIdGenerator = (init: {
  request: McpHttpRequest;
  params: InitializeRequestParams;
  user?: string | undefined;
}) => string | Promise<string>;

/** `owner` is the instance where the session is live. Times are ms since 1970. */
export interface SessionInfo {
  id: string;
  status: 'live' | 'hibernated';
  owner?: string;
  user?: string;
  clientInfo: Implementation;
  protocolVersion: string;
  createdAt: number;
  activeAt: number;
}

export interface SessionEvent {
  sessionId: string;
  /** ms since 1970. */
  at: number;
  cause?: 'wake' | 'takeover' | 'migration' | 'reclaim';
  reason?: LeaveReason;
}

export type SessionEventName = 'opened' | 'restored' | 'hibernated' | 'released' | 'fenced' | 'ended';

/** A pino logger fits as it is. */
export interface Logger {
  debug(obj: object, msg: string): void;
  info(obj: object, msg: string): void;
  warn(obj: object, msg: string): void;
  error(obj: object, msg: string): void;
  fatal(obj: object, msg: string): void;
}

/** The clock and timers of an endpoint. Times in ms. */
export interface TimeProvider {
  /** ms since 1970. */
  now(): number;
  setTimeout(fn: () => void, ms: number): unknown;
  clearTimeout(handle: unknown): void;
  /** ms from any fixed point, never going back; absent: `now`. */
  monotonic?(): number;
}

export interface SessionLimits {
  /** Bytes of one POST body. */
  bodyBytes: number;
  /** Running requests of one session. */
  requestsPerSession: number;
  /** Live sessions of one instance. */
  sessions: number;
  /** Bytes that may wait for one slow reader. */
  streamBufferBytes: number;
  /** Messages in one JSON-RPC batch (2025-03-26 only). */
  batch: number;
  /** Bytes of `session.state` as UTF-8 JSON. */
  stateBytes: number;
  /** Characters of a session id. */
  sessionIdLength: number;
  /** Open `subscriptions/listen` streams of one instance. */
  subscriptions: number;
  /** Bytes of all event logs held in this process (memory store). */
  eventLogBytes: number;
  /** Ended sessions remembered in this process (memory store). */
  tombstones: number;
  /** Requests that wait for a lease or a store that is away, on one instance. */
  waitingRequests: number;
  /** Bytes of the bodies of those. */
  waitingBytes: number;
}

/** What the event log of one session keeps. */
export interface EventRetention {
  ttlMs: number;
  events: number;
  bytes: number;
}

/** How an endpoint is doing. */
export interface EndpointHealth {
  state: 'serving' | 'draining' | 'lapsed' | 'closed';
  store: 'ok' | 'away';
  instance: string;
  /** Live here. */
  sessions: number;
}
