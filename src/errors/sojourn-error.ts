/** The class of all errors, its codes, and the shapes that several errors share. */

export const RPC = {
  parse: -32700,
  invalidRequest: -32600,
  invalidParams: -32602,
  internal: -32603,
  transport: -32000,
  sessionNotFound: -32001,
  headerMismatch: -32020,
  missingCapability: -32021,
  unsupportedVersion: -32022,
} as const;

/** The HTTP status and the JSON-RPC code of each error. An error may be built with another status. */
const ERRORS = {
  HOST_NOT_ALLOWED: [403, RPC.transport],
  ORIGIN_NOT_ALLOWED: [403, RPC.transport],
  UNAUTHORIZED: [401, RPC.transport],
  AUTH_AWAY: [503, RPC.transport],
  METHOD_NOT_ALLOWED: [405, RPC.transport],
  NOT_ACCEPTABLE: [406, RPC.transport],
  UNSUPPORTED_MEDIA_TYPE: [415, RPC.transport],
  BODY_TOO_LARGE: [413, RPC.transport],
  TOO_MANY_KEYS: [413, RPC.transport],
  BODY_UNREADABLE: [400, RPC.parse],
  PARSE_ERROR: [400, RPC.parse],
  INVALID_REQUEST: [400, RPC.invalidRequest],
  FIELDS_TOO_MANY: [431, RPC.invalidRequest],
  INVALID_PARAMS: [400, RPC.invalidParams],
  BATCH_NOT_ALLOWED: [400, RPC.invalidRequest],
  UNSUPPORTED_VERSION: [400, RPC.unsupportedVersion],
  HEADER_MISMATCH: [400, RPC.headerMismatch],
  SESSION_ID_MISSING: [400, RPC.transport],
  SESSION_ID_INVALID: [400, RPC.transport],
  SESSION_NOT_FOUND: [404, RPC.sessionNotFound],
  OTHER_USER: [403, RPC.transport],
  INSUFFICIENT_SCOPE: [403, RPC.transport],
  VERSION_CHANGED: [400, RPC.invalidRequest],
  ALREADY_INITIALIZED: [400, RPC.invalidRequest],
  REQUEST_ID_IN_FLIGHT: [400, RPC.invalidRequest],
  TOO_MANY_REQUESTS: [429, RPC.transport],
  TOO_MANY_SESSIONS: [503, RPC.transport],
  OVERLOADED: [503, RPC.transport],
  OVER_MEMORY: [503, RPC.transport],
  USER_LIMIT: [429, RPC.transport],
  TOOL_LIMIT: [429, RPC.transport],
  CALL_TIMEOUT: [200, RPC.transport],
  EVENT_UNKNOWN: [200, RPC.transport],
  STORE_AWAY: [503, RPC.transport],
  STORE_FULL: [503, RPC.transport],
  LAPSED: [503, RPC.transport],
  RESTORE_FAILED: [503, RPC.transport],
  OWNER_UNREACHABLE: [503, RPC.transport],
  MIGRATION_FAILED: [503, RPC.transport],
  HOOK_TIMEOUT: [503, RPC.transport],
  DRAINING: [503, RPC.transport],
  CLOSED: [503, RPC.transport],
  SESSION_ENDED: [200, RPC.transport],
  OWNER_LOST: [200, RPC.transport],
  ONCE_CONFLICT: [200, RPC.invalidParams],
  ONCE_NEEDS_USER: [200, RPC.invalidRequest],
  RESULT_NOT_KEPT: [200, RPC.transport],
  CANCELLED: [200, RPC.transport],
  TASK_REQUIRED: [400, RPC.missingCapability],
  TASK_UNKNOWN: [200, RPC.invalidParams],
  TASK_UNREADABLE: [200, RPC.internal],
  TOO_MANY_TASKS: [429, RPC.transport],
  TASK_TOO_LARGE: [200, RPC.invalidParams],
  TOO_MANY_ATTEMPTS: [200, RPC.internal],
  RESULT_TOO_LARGE: [200, RPC.internal],
  STEP_INVALID: [500, RPC.internal],
  FACTORY_FAILED: [500, RPC.internal],
  INTERNAL: [500, RPC.internal],
  NO_STREAM: [500, RPC.transport],
  NOT_INITIALIZED: [500, RPC.transport],
  STATELESS: [500, RPC.transport],
  SESSION_GONE: [500, RPC.transport],
  CALL_CUT: [500, RPC.transport],
  NEXT_TWICE: [500, RPC.internal],
  REQUEST_CHANGED: [500, RPC.internal],
  STATE_TOO_LARGE: [500, RPC.internal],
  SEAL_TOO_LONG: [500, RPC.internal],
  OUTSIDE_HANDLER: [500, RPC.internal],
  ONCE_WITHIN_ITSELF: [500, RPC.internal],
  ONCE_KEY_INVALID: [500, RPC.internal],
  DEFINITION_REFUSED: [500, RPC.internal],
  OPTION_INVALID: [500, RPC.internal],
  MODULE_INVALID: [500, RPC.internal],
  PACKAGE_UNSUPPORTED: [500, RPC.internal],
} as const satisfies Record<string, readonly [status: number, rpc: number]>;

export type ErrorCode = keyof typeof ERRORS;
export const ERROR_CODES = Object.keys(ERRORS) as ErrorCode[];

interface SojournErrorFields {
  /** The HTTP status, where it is not the usual one of the code. */
  status?: number;
  /** JSON-RPC `error.data`. */
  data?: Readonly<Record<string, unknown>> | undefined;
  headers?: Readonly<Record<string, string>> | undefined;
  /** The body of the HTTP answer, where it is not the JSON-RPC error. */
  body?: string | undefined;
  /** The same call may succeed later. */
  retryable?: boolean;
  cause?: unknown;
  /** What the log says in place of a message that quotes the client. */
  notice?: string;
  storeProblem?: StoreProblem;
}

/** Why the store cannot be used. */
export interface StoreProblem {
  /** What happened, where, and what to do. Never sent to clients. */
  readonly what: string;
  /** It lasts until an operator changes something: a refused password, a missing database, a missing directory. */
  readonly lasting: boolean;
  /** It has no room for the write. */
  readonly isFull?: boolean;
}

export class SojournError extends Error {
  override readonly name = 'SojournError';
  readonly code: ErrorCode;
  /** The HTTP status, where the error is answered as one. */
  readonly status: number;
  /** JSON-RPC error code. */
  readonly rpc: number;
  readonly data: Readonly<Record<string, unknown>> | undefined;
  readonly headers: Readonly<Record<string, string>> | undefined;
  readonly body: string | undefined;
  readonly retryable: boolean;
  /** What the log says in place of a message that quotes the client. */
  readonly notice: string | undefined;
  readonly #storeProblem: StoreProblem | undefined;

  constructor(code: ErrorCode, message: string, fields: SojournErrorFields = {}) {
    const { cause, data, headers, body, retryable = false, notice, storeProblem } = fields;
    super(message, cause === undefined ? undefined : { cause });
    const [status, rpc] = ERRORS[code];
    this.code = code;
    this.status = fields.status ?? status;
    this.rpc = rpc;
    this.data = data;
    this.headers = headers;
    this.body = body;
    this.retryable = retryable;
    this.notice = notice;
    this.#storeProblem = storeProblem;
  }

  /** Set for `STORE_AWAY`. A getter, because log lines show every own property. */
  get storeProblem(): StoreProblem | undefined {
    return this.#storeProblem;
  }
}

/** For `data.reason`. */
export const reasonOf = (code: ErrorCode): string => code.toLowerCase();

const RETRY = { 'Retry-After': '1' };

/** The same request may succeed later. */
export function unavailable(code: ErrorCode, what: string, more?: SojournErrorFields): SojournError {
  const data = { reason: reasonOf(code) };
  const message = `Service Unavailable: ${what}`;
  return new SojournError(code, message, { data, headers: RETRY, retryable: true, ...more });
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
