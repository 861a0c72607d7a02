/** The class of all errors, and the shapes that several errors share. */
import { type ErrorCode, ERRORS } from './codes.ts';

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

/** What sojourn throws, but for options: those errors are a `TypeError` or `RangeError` with a `code`. */
export class SojournError extends Error {
  override readonly name = 'SojournError';
  readonly code: ErrorCode;
  /** The HTTP status, where the error is answered as one. */
  readonly status: number;
  /** JSON-RPC error code. */
  readonly rpcCode: number;
  /** JSON-RPC `error.data`. */
  readonly data: Readonly<Record<string, unknown>> | undefined;
  /** The same call may succeed later. */
  readonly retryable: boolean;
  /** @internal */
  readonly headers: Readonly<Record<string, string>> | undefined;
  /** @internal */
  readonly body: string | undefined;
  /** @internal What the log says in place of a message that quotes the client. */
  readonly notice: string | undefined;
  readonly #storeProblem: StoreProblem | undefined;

  /** @internal Named functions of this folder build errors. */
  constructor(code: ErrorCode, message: string, fields: SojournErrorFields = {}) {
    const { cause, data, headers, body, retryable = false, notice, storeProblem } = fields;
    super(message, cause === undefined ? undefined : { cause });
    const [status, rpcCode] = ERRORS[code];
    this.code = code;
    this.status = fields.status ?? status;
    this.rpcCode = rpcCode;
    this.data = data;
    this.headers = headers;
    this.body = body;
    this.retryable = retryable;
    this.notice = notice;
    this.#storeProblem = storeProblem;
  }

  /** @internal Set for `STORE_UNAVAILABLE`. A getter, because log lines show every own property. */
  get storeProblem(): StoreProblem | undefined {
    return this.#storeProblem;
  }
}

/** For `data.reason`. */
export const reasonOf = (code: ErrorCode): string => code.toLowerCase();

const RETRY = { 'Retry-After': '1' };

/** The same request may succeed later. */
export function unavailable(
  code: ErrorCode,
  what: string,
  more?: SojournErrorFields,
): SojournError {
  const data = { reason: reasonOf(code) };
  const message = `Service Unavailable: ${what}`;
  return new SojournError(code, message, { data, headers: RETRY, retryable: true, ...more });
}

/**
 * Takes the place of the result of an accepted request. `mayHaveRun`: the request, or an earlier one with its key, may
 * have had its effect; `undefined`: it had none, and no client asks.
 */
export function ended(
  code: ErrorCode,
  message: string,
  mayHaveRun?: boolean,
  reason = reasonOf(code),
): SojournError {
  return new SojournError(code, message, {
    status: 200,
    data: { reason, ...(mayHaveRun !== undefined && { mayHaveRun }) },
  });
}

/** Sent to clients. The message with the store's address and user name is only for logs. */
const STORE_UNAVAILABLE_FOR_CLIENTS = 'Service Unavailable: the session store cannot be reached';

/** The JSON-RPC error object of an error. */
export function rpcError(error: SojournError): {
  code: number;
  message: string;
  data?: Readonly<Record<string, unknown>>;
} {
  const { rpcCode: code, data } = error;
  const message =
    error.code === 'STORE_UNAVAILABLE' ? STORE_UNAVAILABLE_FOR_CLIENTS : error.message;
  return data === undefined ? { code, message } : { code, message, data };
}
