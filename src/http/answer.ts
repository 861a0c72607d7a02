/**
 * How a refusal reaches its client.
 *
 *     a POST that names a session → 200 and a JSON-RPC error with the request's id, for 400, 406, 413, 415, 429, 503:
 *                                   clients of several SDKs crash or hang on these statuses. The header
 *                                   `Sojourn-Refused` names the reason. On a connection of 2024-11-05: 202, and the
 *                                   error on its stream
 *     an unknown session          → 404 with `id: null`: go-sdk takes a 404 with an id for the answer to its request
 *     what the specification asks → its status: an unsupported or changed `MCP-Protocol-Version`, 401, 403
 *     closed                      → 503: a load balancer sends the next request to another instance
 *     no session, 2026-07-28      → the error's own status
 *     a call that may have run    → 200: the error, or with `lostCalls: 'result'` the result of a tool that failed
 *
 * `docs/internals/answers.md` shows the cases. No other file answers with a status of 400 or more,
 * but for errors that the SDK finds before a handler runs (`eras/sessionless/one-request.ts`, `eras/sessionless/listen.ts`),
 * paths that are not served and probes (`http/listen/listen.ts`), and the documents of `http/auth/well-known.ts`.
 */
import type { RequestId } from '@modelcontextprotocol/server';
import { type ErrorCode, internal, rpcError, SojournError } from '../base/errors.ts';
import { isObject, type RpcResponse } from '../base/protocol/jsonrpc.ts';
import { callsTool } from '../base/protocol/methods.ts';
import { responseJson } from '../base/protocol/list-texts.ts';
import { isModern } from '../base/protocol/versions.ts';
import { shown, userName } from '../base/shown.ts';
import type { Logger } from '../base/types.ts';
import type { ResolvedOptions } from '../base/options/endpoint-options.ts';
import { type Exchange, type HeaderList, JSON_HEADERS } from './exchange.ts';

/**
 * How a request learns that it may have run: by a JSON-RPC error, or by the result of a tool (`lostCalls`). Results of
 * 2026-07-28 name their type.
 */
export type LostForm = 'error' | 'result' | 'modern-result';

/** `method`: of the request. */
export function lostForm(
  { lostCalls }: Pick<ResolvedOptions, 'lostCalls'>,
  method: string | undefined,
  era: 'legacy' | 'modern' = 'legacy',
): LostForm {
  if (lostCalls === 'error' || !callsTool(method)) return 'error';
  return era === 'modern' ? 'modern-result' : 'result';
}

/** The JSON-RPC message that tells an error. `form` decides only about errors that say `mayHaveRun`. */
export function errorJson(
  error: SojournError,
  id: RequestId | null,
  form: LostForm = 'error',
): string {
  if (form === 'error' || error.data?.['mayHaveRun'] !== true)
    return JSON.stringify({ jsonrpc: '2.0', error: rpcError(error), id });
  const { message, ...told } = rpcError(error);
  const result = {
    ...(form === 'modern-result' && { resultType: 'complete' }),
    content: [{ type: 'text', text: message }],
    isError: true,
    _meta: { 'sojourn/error': told },
  };
  return JSON.stringify({ jsonrpc: '2.0', id, result });
}

/** The same as a message. */
export function errorAnswer(
  id: RequestId | undefined,
  error: SojournError,
  form?: LostForm,
): RpcResponse {
  return JSON.parse(errorJson(error, id ?? null, form)) as RpcResponse;
}

/**
 * The JSON of a server's answer. A result that is not JSON (a cycle, a BigInt) or no object must not leave its request
 * without an answer, nor an error whose message is no text: clients ignore such a message and wait.
 */
export function answerJson(answer: RpcResponse, id: RequestId | null, logger: Logger): string {
  try {
    const { error, result } = answer;
    // The SDK takes the message of what was thrown, whatever it is.
    if (error !== undefined && typeof error.message !== 'string')
      throw new TypeError('The message of an error is no text');
    if (error !== undefined || isObject(result)) return responseJson(answer);
    throw new TypeError(
      `A result must be an object, not ${result === null ? 'null' : typeof result}`,
    );
  } catch (cause) {
    logger.warn(
      { err: cause },
      'A handler returned a result that cannot be sent: its client gets an error',
    );
    return errorJson(internal(cause), id);
  }
}

/** The answer to a request of the 2025 era that ends without its result. */
export function lostCallJson(
  options: Pick<ResolvedOptions, 'lostCalls'>,
  {
    id = null,
    method,
  }: { readonly id: RequestId | null | undefined; readonly method: string | undefined },
  error: SojournError,
): string {
  return errorJson(error, id, lostForm(options, method));
}

/**
 * Refuses a request: on a session as above, else with the error's HTTP status and headers. The body is `error.body`, or
 * a JSON-RPC error with `id` where there is none. `id` is the request's id, or null.
 */
export function refuse(
  exchange: Exchange,
  error: SojournError,
  id: RequestId | null,
  form?: LostForm,
): void {
  noticeRefusal(exchange, error);
  if (id !== null && isAnsweredOnSession(error) && namesSession(exchange)) {
    const headers: HeaderList = [...JSON_HEADERS, ['Sojourn-Refused', reasonOf(error)]];
    return exchange.respond(200, headers, errorJson(error, id, form));
  }
  const own = Object.entries(error.headers ?? {}).filter(
    ([name]) => name !== 'Connection' || !exchange.isHttp2,
  );
  const body = error.body ?? errorJson(error, error.code === 'SESSION_NOT_FOUND' ? null : id, form);
  // The status does not tell that it failed.
  if (error.status === 200) exchange.watched?.sent(body);
  exchange.respond(error.status, [...JSON_HEADERS, ...own], body);
}

/** Stateless endpoints and 2026-07-28 have no sessions, and ignore the header of one. */
export function namesSession(exchange: Exchange): boolean {
  const version = exchange.header('mcp-protocol-version');
  const isPost = exchange.method === 'POST' && exchange.header('mcp-session-id') !== undefined;
  return isPost && exchange.host.keepsSessions && (version === undefined || !isModern(version));
}

/** What a notice says instead of the message of an error. */
const WHY: Partial<Record<ErrorCode, string>> = {
  HEADER_MISMATCH: 'A header is missing, or differs from the body',
  SESSION_NOT_FOUND:
    'Session not found: its client ended it, it was idle for idleTimeoutMs, or it was in the memory of a process that ' +
    'ended (option store)',
};

function noticeRefusal(exchange: Exchange, error: SojournError): void {
  const { status, code, message, notice } = error;
  const sharer =
    exchange.userKey === undefined ? exchange.clientAddress : shown(userName(exchange.userKey));
  const share = code === 'USER_LIMIT' ? sharer : undefined;
  exchange.refused({
    status,
    reason: reasonOf(error),
    why: notice ?? WHY[code] ?? message,
    share,
  });
}

const HARMFUL: ReadonlySet<number> = new Set([400, 406, 413, 415, 429, 503]);
const KEPT: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'UNSUPPORTED_VERSION',
  'VERSION_CHANGED',
  'HEADER_MISMATCH',
  'SESSION_ID_MISSING',
  'SESSION_ID_INVALID',
  'ENDPOINT_CLOSED',
  // Before the body is read.
  'AUTH_UNAVAILABLE',
]);

/** The value of the header `Sojourn-Refused`, for operators and proxies. */
export function reasonOf({ code, data }: SojournError): string {
  const reason = data?.['reason'];
  return typeof reason === 'string' ? reason : code.toLowerCase();
}

/** Whether a request on a session gets status 200 and this error, not the error's own status. */
export function isAnsweredOnSession({ status, code }: SojournError): boolean {
  return HARMFUL.has(status) && !KEPT.has(code);
}

/** Accepts a POST of the 2024-11-05 transport whose refusal goes out on its connection. */
export function acceptRefused(exchange: Exchange, error: SojournError): void {
  noticeRefusal(exchange, error);
  exchange.respond(202, [...PLAIN_HEADERS, ['Sojourn-Refused', reasonOf(error)]], 'Accepted');
}

/** The 2024-11-05 transport refuses with plain text, as the SDK's own does. */
export function refusePlain(exchange: Exchange, text: string): void {
  exchange.refused({ status: 400, reason: 'legacy_sse', why: text });
  exchange.respond(400, PLAIN_HEADERS, text);
}

export const PLAIN_HEADERS: HeaderList = [['Content-Type', 'text/plain; charset=utf-8']];

/** The level of a line about an error: the application's factory and hooks are its own, anything else is ours. */
export const levelOf = (cause: unknown): 'warn' | 'error' =>
  cause instanceof SojournError && cause.code === 'FACTORY_FAILED' ? 'warn' : 'error';

/**
 * The error to answer with. An error with status 500 is a bug of the application or of sojourn: it is logged with its
 * cause.
 */
export function answerable(cause: unknown, logger: Logger, what: string): SojournError {
  const error = asSojournError(cause);
  if (error.status === 500)
    logger[levelOf(error)]({ err: error.cause ?? error }, `${what}: ${error.message}`);
  return error;
}

/** Turns an error that is not a `SojournError` into an internal error, so that no stack or path reaches the client. */
export function asSojournError(cause: unknown): SojournError {
  return cause instanceof SojournError ? cause : internal(cause);
}
