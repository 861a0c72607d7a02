/** Errors that a handler throws to answer with them. */
import type { SojournError } from '../errors.ts';

/** The error of an answer. */
export interface RpcErrorObject {
  readonly code: number;
  readonly message: string;
  readonly data?: unknown;
}

/** What this library throws in place of a handler. Both versions of the SDK answer with its members. */
export class AnswerError extends Error implements RpcErrorObject {
  override readonly name = 'AnswerError';
  readonly code: number;
  readonly data?: unknown;

  constructor({ code, message, data }: RpcErrorObject) {
    super(message);
    this.code = code;
    if (data !== undefined) this.data = data;
  }
}

/** What a handler of this library throws so that its call is answered with a JSON-RPC error, not with `isError`. */
export class CallRefusal extends Error {
  override readonly name = 'CallRefusal';
  readonly refusal: SojournError;

  constructor(refusal: SojournError) {
    super(refusal.message, { cause: refusal });
    this.refusal = refusal;
  }
}

/** The error that a thrown value is answered with, as the SDK makes it. */
export function thrownAnswer(cause: unknown): RpcErrorObject {
  const { code, message, data } = Object(cause) as Record<string, unknown>;
  return {
    code: Number.isSafeInteger(code) ? (code as number) : INTERNAL,
    message: typeof message === 'string' ? message : 'Internal error',
    ...(data !== undefined && { data }),
  };
}

const INTERNAL = -32_603;

/** What was thrown, or an error in its place that can be read: a getter or a proxy may throw in what answers or logs. */
export function readable(thrown: unknown): unknown {
  try {
    thrownAnswer(thrown);
    if (!isAnswer(thrown)) Reflect.get(Object(thrown) as object, 'stack');
    return thrown;
  } catch {
    return new TypeError('A handler threw an error that cannot be read');
  }
}

/**
 * Whether a handler throws this to answer with it: a `ProtocolError`, or an `McpError` of version 1. Others have a number
 * as their code too: a `DOMException`, errors of gRPC and of MongoDB.
 */
export function isAnswer(error: unknown): error is Error & RpcErrorObject {
  if (!(error instanceof Error)) return false;
  const { code, name } = error as { readonly code?: unknown; readonly name: string };
  return (
    typeof code === 'number' && (ANSWERS.has(name) || (code >= FIRST_CODE && code <= LAST_CODE))
  );
}

/** The classes of both versions of the SDK, and that of this file. */
const ANSWERS: ReadonlySet<string> = new Set(['ProtocolError', 'McpError', 'AnswerError']);
/** What JSON-RPC reserves for its errors. */
const [FIRST_CODE, LAST_CODE] = [-32_768, -32_000];
