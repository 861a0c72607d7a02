/**
 * Every error that sojourn answers with or throws. There is one class, and a named function builds each error. Its
 * message says what happened, with which value, and what to do. `docs/reference/errors.md` lists every code.
 */

import { quoted, sessionHash, shown } from './shown.ts';

export const RPC = {
  parse: -32700,
  invalidRequest: -32600,
  methodNotFound: -32601,
  invalidParams: -32602,
  internal: -32603,
  transport: -32000,
  sessionNotFound: -32001,
  headerMismatch: -32020,
  missingCapability: -32021,
  unsupportedVersion: -32022,
} as const;

export const ERROR_CODES = [
  'HOST_NOT_ALLOWED',
  'ORIGIN_NOT_ALLOWED',
  'UNAUTHORIZED',
  'AUTH_AWAY',
  'METHOD_NOT_ALLOWED',
  'NOT_ACCEPTABLE',
  'UNSUPPORTED_MEDIA_TYPE',
  'BODY_TOO_LARGE',
  'BODY_UNREADABLE',
  'PARSE_ERROR',
  'INVALID_REQUEST',
  'INVALID_PARAMS',
  'BATCH_NOT_ALLOWED',
  'UNSUPPORTED_VERSION',
  'HEADER_MISMATCH',
  'SESSION_ID_MISSING',
  'SESSION_ID_INVALID',
  'SESSION_NOT_FOUND',
  'OTHER_USER',
  'INSUFFICIENT_SCOPE',
  'VERSION_CHANGED',
  'ALREADY_INITIALIZED',
  'REQUEST_ID_IN_FLIGHT',
  'TOO_MANY_REQUESTS',
  'TOO_MANY_SESSIONS',
  'OVERLOADED',
  'OVER_MEMORY',
  'USER_LIMIT',
  'TOOL_LIMIT',
  'EVENT_UNKNOWN',
  'STORE_AWAY',
  'LAPSED',
  'RESTORE_FAILED',
  'MIGRATION_FAILED',
  'HOOK_TIMEOUT',
  'DRAINING',
  'CLOSED',
  'SESSION_ENDED',
  'OWNER_LOST',
  'FACTORY_FAILED',
  'INTERNAL',
  'NO_STREAM',
  'NOT_INITIALIZED',
  'STATELESS',
  'SESSION_GONE',
  'STATE_TOO_LARGE',
  'SEAL_TOO_LONG',
  'OUTSIDE_HANDLER',
  'DEFINITION_REFUSED',
  'OPTION_INVALID',
  'MODULE_INVALID',
] as const;

export type ErrorCode = (typeof ERROR_CODES)[number];

export interface SojournErrorFields {
  /** The HTTP status, where the error is answered as one. */
  status: number;
  /** JSON-RPC error code. */
  rpc: number;
  /** JSON-RPC `error.data`. */
  data?: Readonly<Record<string, unknown>>;
  headers?: Readonly<Record<string, string>>;
  /** The body of the HTTP answer, where it is not the JSON-RPC error. */
  body?: string;
  /** The same call may succeed later. */
  retryable?: boolean;
  cause?: unknown;
}

export class SojournError extends Error {
  override readonly name = 'SojournError';
  readonly code: ErrorCode;
  readonly status: number;
  readonly rpc: number;
  readonly data: Readonly<Record<string, unknown>> | undefined;
  readonly headers: Readonly<Record<string, string>> | undefined;
  readonly body: string | undefined;
  readonly retryable: boolean;

  constructor(code: ErrorCode, message: string, fields: SojournErrorFields) {
    super(message, fields.cause === undefined ? undefined : { cause: fields.cause });
    this.code = code;
    this.status = fields.status;
    this.rpc = fields.rpc;
    this.data = fields.data;
    this.headers = fields.headers;
    this.body = fields.body;
    this.retryable = fields.retryable ?? false;
  }
}

const RETRY = { 'Retry-After': '1' };

function unavailable(code: ErrorCode, reason: string, message: string, cause?: unknown): SojournError {
  return new SojournError(code, message, {
    status: 503,
    rpc: RPC.transport,
    data: { reason },
    headers: RETRY,
    retryable: true,
    cause,
  });
}

function forbidden(code: ErrorCode, reason: string, message: string): SojournError {
  return new SojournError(code, message, { status: 403, rpc: RPC.transport, data: { reason } });
}

function badRequest(code: ErrorCode, rpc: number, message: string, data?: Record<string, unknown>): SojournError {
  return new SojournError(code, message, { status: 400, rpc, ...(data && { data }) });
}

// ——— request checks ———

export const hostNotAllowed = (host: string | undefined): SojournError =>
  forbidden(
    'HOST_NOT_ALLOWED',
    'host',
    `Host ${quoted(host ?? '')} is not allowed here; name it in the option allowedHosts`,
  );

export const originNotAllowed = (origin: string): SojournError =>
  forbidden(
    'ORIGIN_NOT_ALLOWED',
    'origin',
    `Origin ${quoted(origin)} is not allowed here; name it in the option allowedOrigins`,
  );

/** `challenge` is the `WWW-Authenticate` header, empty where no token is expected. The body has OAuth's format. */
export const unauthorized = (challenge: string, description: string): SojournError =>
  new SojournError('UNAUTHORIZED', description, {
    status: 401,
    rpc: RPC.transport,
    data: { reason: 'unauthorized' },
    ...(challenge !== '' && { headers: { 'WWW-Authenticate': challenge } }),
    body: JSON.stringify({ error: 'invalid_token', error_description: description }),
  });

export const authAway = (cause?: unknown): SojournError =>
  unavailable(
    'AUTH_AWAY',
    'auth_away',
    'Service Unavailable: access tokens cannot be verified now, because the authorization server cannot be reached',
    cause,
  );

export const methodNotAllowed = (method: string, allow: string): SojournError =>
  new SojournError('METHOD_NOT_ALLOWED', `Method ${shown(method)} is not allowed here; use ${allow}`, {
    status: 405,
    rpc: RPC.transport,
    headers: { Allow: allow },
  });

export const notAcceptable = (needed: string): SojournError =>
  new SojournError('NOT_ACCEPTABLE', `Not Acceptable: the client must accept ${needed}`, {
    status: 406,
    rpc: RPC.transport,
  });

export const unsupportedMediaType = (got: string | undefined): SojournError =>
  new SojournError(
    'UNSUPPORTED_MEDIA_TYPE',
    `Unsupported Media Type: Content-Type must be application/json, not ${quoted(got ?? '')}`,
    { status: 415, rpc: RPC.transport },
  );

export const bodyTooLarge = (limit: number): SojournError =>
  new SojournError('BODY_TOO_LARGE', `Payload Too Large: a body may have ${limit} bytes (limits.bodyBytes)`, {
    status: 413,
    rpc: RPC.transport,
    data: { reason: 'body_too_large' },
    headers: { Connection: 'close' },
  });

export const bodyUnreadable = (cause?: unknown): SojournError =>
  new SojournError('BODY_UNREADABLE', 'Parse error: the request body could not be read', {
    status: 400,
    rpc: RPC.parse,
    cause,
  });

export const parseError = (why: string): SojournError => badRequest('PARSE_ERROR', RPC.parse, `Parse error: ${why}`);

export const invalidRequest = (why: string): SojournError =>
  badRequest('INVALID_REQUEST', RPC.invalidRequest, `Invalid Request: ${why}`);

export const invalidParams = (why: string): SojournError =>
  badRequest('INVALID_PARAMS', RPC.invalidParams, `Invalid params: ${why}`);

export const batchNotAllowed = (why: string): SojournError =>
  badRequest('BATCH_NOT_ALLOWED', RPC.invalidRequest, `Invalid Request: ${why}`);

export const unsupportedVersion = (requested: string, supported: readonly string[]): SojournError =>
  badRequest(
    'UNSUPPORTED_VERSION',
    RPC.unsupportedVersion,
    `Unsupported protocol version ${quoted(requested)}; this endpoint serves ${supported.join(', ')}`,
    { supported: [...supported], requested: shown(requested) },
  );

export const headerMismatch = (header: string, got: string | undefined, body: string): SojournError =>
  badRequest(
    'HEADER_MISMATCH',
    RPC.headerMismatch,
    `Header mismatch: ${header} is ${got === undefined ? 'missing' : quoted(got)}, ${body}`,
    { mismatch: { header: got === undefined ? '(missing)' : shown(got), body } },
  );

// ——— the session ———

export const sessionIdMissing = (method: string): SojournError =>
  badRequest(
    'SESSION_ID_MISSING',
    RPC.transport,
    method === 'POST'
      ? 'Bad Request: the Mcp-Session-Id header is required; send initialize first, without it, to get one'
      : `Bad Request: ${method} needs the Mcp-Session-Id header of an initialized session; a stateless server takes POST only`,
  );

export const sessionIdInvalid = (limit: number): SojournError =>
  badRequest(
    'SESSION_ID_INVALID',
    RPC.transport,
    `Bad Request: Mcp-Session-Id must be 1 to ${limit} characters of visible ASCII (0x21-0x7E)`,
  );

export const sessionNotFound = (): SojournError =>
  new SojournError('SESSION_NOT_FOUND', 'Session not found', { status: 404, rpc: RPC.sessionNotFound });

/**
 * The same, said to a call that its client comes back for. Some hosts repeat a call when the message names a session.
 */
export const callSessionNotFound = (): SojournError =>
  new SojournError('SESSION_NOT_FOUND', 'The server no longer knows this request; it may have run', {
    status: 404,
    rpc: RPC.sessionNotFound,
    data: { reason: 'session_not_found', mayHaveRun: true },
  });

export const otherUser = (): SojournError =>
  forbidden('OTHER_USER', 'user', 'Forbidden: this session belongs to another user');

/** `challenge` is the `WWW-Authenticate` header. The body has OAuth's format, as in the SDK's own transports. */
export const insufficientScope = (challenge: string, description: string): SojournError =>
  new SojournError('INSUFFICIENT_SCOPE', description, {
    status: 403,
    rpc: RPC.transport,
    data: { reason: 'insufficient_scope' },
    headers: { 'WWW-Authenticate': challenge },
    body: JSON.stringify({ error: 'insufficient_scope', error_description: description }),
  });

export const versionChanged = (got: string, negotiated: string): SojournError =>
  badRequest(
    'VERSION_CHANGED',
    RPC.invalidRequest,
    `Invalid Request: MCP-Protocol-Version is ${shown(got)}, but this session was negotiated at ${negotiated}`,
  );

export const alreadyInitialized = (): SojournError =>
  badRequest(
    'ALREADY_INITIALIZED',
    RPC.invalidRequest,
    'Invalid Request: this session is initialized; open a new one without Mcp-Session-Id',
  );

export const requestIdInFlight = (id: string | number): SojournError =>
  badRequest(
    'REQUEST_ID_IN_FLIGHT',
    RPC.invalidRequest,
    `Invalid Request: the request id ${quoted(id)} is still in flight on this session`,
  );

export const tooManyRequests = (limit: number): SojournError =>
  new SojournError(
    'TOO_MANY_REQUESTS',
    `Too Many Requests: ${limit} requests are running on this session (limits.requestsPerSession)`,
    {
      status: 429,
      rpc: RPC.transport,
      data: { reason: 'too_many_requests' },
      headers: RETRY,
      retryable: true,
    },
  );

export const uriTooLarge = (limit: number): SojournError =>
  invalidParams(`a resource URI of a subscription may have ${limit} bytes (limits.uriBytes)`);

export const subscriptionsTooLarge = (limit: number): SojournError =>
  invalidParams(`the resource URIs of a session's subscriptions may have ${limit} bytes (limits.subscriptionBytes)`);

export const handshakeTooLarge = (limit: number): SojournError =>
  new SojournError(
    'BODY_TOO_LARGE',
    `Payload Too Large: the parameters of initialize exceed ${limit} bytes (limits.handshakeBytes)`,
    { status: 413, rpc: RPC.transport, data: { reason: 'handshake_too_large' } },
  );

export const tooManyWithoutSession = (limit: number): SojournError =>
  unavailable(
    'OVERLOADED',
    'overloaded',
    `Service Unavailable: ${limit} requests run on this instance without a session (limits.requests)`,
  );

/** `limit`: the member of `limits.perUser`. `waitMs`: until one more request is admitted. */
export const overUserLimit = (limit: string, value: number, waitMs?: number): SojournError =>
  tooMany('USER_LIMIT', `Too Many Requests: this user has reached ${value} (limits.perUser.${limit})`, waitMs);

export const overToolLimit = (tool: string, limit: string, value: number, waitMs?: number): SojournError =>
  tooMany(
    'TOOL_LIMIT',
    `Too Many Requests: the tool ${quoted(tool)} has reached ${value} (limits.perTool, ${limit})`,
    waitMs,
  );

function tooMany(code: ErrorCode, message: string, waitMs = 0): SojournError {
  return new SojournError(code, message, {
    status: 429,
    rpc: RPC.transport,
    data: { reason: code.toLowerCase() },
    headers: { 'Retry-After': String(Math.max(1, Math.ceil(Math.round(waitMs) / 1_000))) },
    retryable: true,
  });
}

export const overMemory = (): SojournError =>
  unavailable(
    'OVER_MEMORY',
    'over_memory',
    'Service Unavailable: requests and unread answers fill the memory of this instance (limits.memoryBytes)',
  );

export const tooManySessions = (limit: number): SojournError =>
  unavailable(
    'TOO_MANY_SESSIONS',
    'too_many_sessions',
    `Service Unavailable: this instance has ${limit} live sessions (limits.sessions)`,
  );

// ——— retry later ———

export const storeAway = (what: string, cause?: unknown): SojournError =>
  unavailable('STORE_AWAY', 'store_away', `Service Unavailable: the session store cannot be reached (${what})`, cause);

/** Sent to clients. The message with the store's address and user name is only for logs. */
const STORE_AWAY_FOR_CLIENTS = 'Service Unavailable: the session store cannot be reached';

/** The error that a handler gets. The handler may pass it on to its client. */
export const storeAwayForClients = (what: string, cause: unknown): unknown =>
  cause instanceof SojournError && cause.code === 'STORE_AWAY' ? storeAway(what, cause) : cause;

export const lapsed = (): SojournError =>
  unavailable(
    'LAPSED',
    'lapsed',
    'Service Unavailable: this instance lost its lease and is taking a new one; try again',
  );

export const restoreFailed = (cause?: unknown): SojournError =>
  unavailable(
    'RESTORE_FAILED',
    'restore_failed',
    'Service Unavailable: this instance could not rebuild the session; the session is kept, try again',
    cause,
  );

export const migrationFailed = (cause?: unknown): SojournError =>
  unavailable(
    'MIGRATION_FAILED',
    'migration_failed',
    'Service Unavailable: the sessionMigrationHandler failed; the session is kept, try again',
    cause,
  );

export const hookTimeout = (hook: string, ms: number): SojournError =>
  unavailable(
    'HOOK_TIMEOUT',
    'hook_timeout',
    `Service Unavailable: ${hook} did not return within ${ms} ms (hookTimeoutMs); try again`,
  );

export const draining = (): SojournError =>
  unavailable('DRAINING', 'draining', 'Service Unavailable: this instance is draining');

export const closedEndpoint = (): SojournError =>
  unavailable('CLOSED', 'closed', 'Service Unavailable: this endpoint is closed');

// ——— how an accepted request can end without its result ———
// Some hosts repeat a call by words of the message: `REPEATED_WORDS` in test/docs/errors-reference.test.ts lists them.

function ended(code: ErrorCode, reason: string, message: string, more?: Record<string, unknown>): SojournError {
  return new SojournError(code, message, { status: 200, rpc: RPC.transport, data: { reason, ...more } });
}

export const sessionEnded = (mayHaveRun = true): SojournError =>
  ended('SESSION_ENDED', 'session_ended', `The server ended its work for this client ${ranOrNot(mayHaveRun)}`, {
    mayHaveRun,
  });

export const requestDrained = (mayHaveRun = true): SojournError =>
  ended('DRAINING', 'draining', `The instance was drained ${ranOrNot(mayHaveRun)}`, { mayHaveRun });

export const requestClosed = (mayHaveRun = true): SojournError =>
  ended('CLOSED', 'closed', `The endpoint was closed ${ranOrNot(mayHaveRun)}`, { mayHaveRun });

const ranOrNot = (mayHaveRun: boolean): string =>
  mayHaveRun ? 'while this request was running; it may have run' : 'before this request ran';

/** As an event: its client came back for the answer. */
export const answerNotKept = (): SojournError =>
  ended(
    'EVENT_UNKNOWN',
    'answer_not_kept',
    'The answer to this request is not kept (any more); the request may have run',
    {
      mayHaveRun: true,
    },
  );

export const ownerLost = (mayHaveRun: boolean): SojournError =>
  ended(
    'OWNER_LOST',
    'owner_lost',
    mayHaveRun
      ? 'The instance that ran this request crashed or lost its lease; the request may have run'
      : 'The instance that received this request crashed or lost its lease before this request ran',
    { mayHaveRun },
  );

// ——— application code ———

export const factoryFailed = (what: string, cause?: unknown): SojournError =>
  new SojournError('FACTORY_FAILED', `Internal error: ${what}`, { status: 500, rpc: RPC.internal, cause });

export const internal = (cause?: unknown): SojournError =>
  new SojournError('INTERNAL', 'Internal error', { status: 500, rpc: RPC.internal, cause });

// ——— thrown to server code ———

export const noStream = (method: string): SojournError =>
  new SojournError(
    'NO_STREAM',
    `${method} cannot be sent: the client has no GET stream open and no request is running here. ` +
      'Send it from a handler, through its context (ctx.mcpReq.send, ctx.mcpReq.elicitInput), so that it takes the stream of that request',
    { status: 500, rpc: RPC.transport },
  );

export const notInitialized = (method: string): SojournError =>
  new SojournError(
    'NOT_INITIALIZED',
    `${method} cannot be sent before the client's notifications/initialized; only ping and logging can`,
    { status: 500, rpc: RPC.transport },
  );

export const statelessUnsupported = (what: string): SojournError =>
  new SojournError(
    'STATELESS',
    `${what} is not supported in stateless mode: without a session the client has no way to answer`,
    { status: 500, rpc: RPC.transport },
  );

export const sessionGone = (id: string, reason: string): SojournError =>
  new SojournError('SESSION_GONE', `Session ${sessionHash(id)} is no longer live on this instance (${reason})`, {
    status: 500,
    rpc: RPC.transport,
  });

export const outsideHandler = (what: string): SojournError =>
  new SojournError(
    'OUTSIDE_HANDLER',
    `${what} was called on the shared server while none of its handlers runs, so its client is unknown. ` +
      'In a handler, use its context (ctx.mcpReq). For one session at a later time, keep currentSession().server. ' +
      'For the clients of every instance, use endpoint.notify',
    { status: 500, rpc: RPC.internal },
  );

export const stateTooLarge = (bytes: number, limit: number): SojournError =>
  new SojournError(
    'STATE_TOO_LARGE',
    `session.state would have ${bytes} bytes of JSON; ${limit} are allowed (limits.stateBytes). Nothing was changed`,
    { status: 500, rpc: RPC.internal },
  );

export const sealTooLong = (length: number, limit: number): SojournError =>
  new SojournError(
    'SEAL_TOO_LONG',
    `The handshake does not fit into a session id: it takes ${length} characters, ${limit} are allowed; use a store for such clients`,
    { status: 500, rpc: RPC.internal },
  );

// ——— thrown while configuring ———

/** Builds a `RangeError` or a `TypeError`, as JavaScript does for such values, with a `code`. */
export function optionInvalid(kind: 'range' | 'type', option: string, got: unknown, takes: string): Error {
  const message = `Option ${option}: got ${describe(got)}, takes ${takes}`;
  const error = kind === 'range' ? new RangeError(message) : new TypeError(message);
  return Object.assign(error, { code: 'OPTION_INVALID' satisfies ErrorCode });
}

/** `why` continues the sentence "The server passed to createMcpEndpoint cannot be used: …". */
export const definitionRefused = (why: string): SojournError =>
  new SojournError('DEFINITION_REFUSED', `The server passed to createMcpEndpoint cannot be used: ${why}`, {
    status: 500,
    rpc: RPC.internal,
  });

export function optionsContradict(message: string): Error {
  return Object.assign(new TypeError(message), { code: 'OPTION_INVALID' satisfies ErrorCode });
}

function describe(value: unknown): string {
  if (typeof value === 'function') return 'a function';
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value === 'number' || value === undefined) return String(value);
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return Object.prototype.toString.call(value);
  }
}

/** The JSON-RPC error object of an error. */
export function rpcError(error: SojournError): {
  code: number;
  message: string;
  data?: Readonly<Record<string, unknown>>;
} {
  const { rpc: code, data } = error;
  const message = error.code === 'STORE_AWAY' ? STORE_AWAY_FOR_CLIENTS : error.message;
  return data === undefined ? { code, message } : { code, message, data };
}
