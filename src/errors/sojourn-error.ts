/** The class of all errors, its codes, and the shapes that several errors share. */

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
  'CALL_TIMEOUT',
  'EVENT_UNKNOWN',
  'STORE_AWAY',
  'LAPSED',
  'RESTORE_FAILED',
  'OWNER_UNREACHABLE',
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
  storeProblem?: StoreProblem | undefined;
}

/** Why the store cannot be used. */
export interface StoreProblem {
  /** What happened, where, and what to do. Never sent to clients. */
  readonly what: string;
  /** It lasts until an operator changes something: a refused password, a missing database, a missing directory. */
  readonly lasting: boolean;
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
  readonly #storeProblem: StoreProblem | undefined;

  constructor(code: ErrorCode, message: string, fields: SojournErrorFields) {
    super(message, fields.cause === undefined ? undefined : { cause: fields.cause });
    this.code = code;
    this.status = fields.status;
    this.rpc = fields.rpc;
    this.data = fields.data;
    this.headers = fields.headers;
    this.body = fields.body;
    this.retryable = fields.retryable ?? false;
    this.#storeProblem = fields.storeProblem;
  }

  /** Set for `STORE_AWAY`. A getter, because log lines show every own property. */
  get storeProblem(): StoreProblem | undefined {
    return this.#storeProblem;
  }
}

export const RETRY = { 'Retry-After': '1' };

export function unavailable(
  code: ErrorCode,
  reason: string,
  message: string,
  cause?: unknown,
  storeProblem?: StoreProblem,
): SojournError {
  return new SojournError(code, message, {
    status: 503,
    rpc: RPC.transport,
    data: { reason },
    headers: RETRY,
    retryable: true,
    cause,
    storeProblem,
  });
}

export function forbidden(code: ErrorCode, reason: string, message: string): SojournError {
  return new SojournError(code, message, { status: 403, rpc: RPC.transport, data: { reason } });
}

export function badRequest(
  code: ErrorCode,
  rpc: number,
  message: string,
  data?: Record<string, unknown>,
): SojournError {
  return new SojournError(code, message, { status: 400, rpc, ...(data && { data }) });
}

/** Sent to clients. The message with the store's address and user name is only for logs. */
const STORE_AWAY_FOR_CLIENTS = 'Service Unavailable: the session store cannot be reached';

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
