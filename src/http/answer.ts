/**
 * How a refusal reaches its client.
 *
 *     a request on a session      → 200 and a JSON-RPC error with the request's id, for 400, 406, 413, 415, 429, 503:
 *                                   clients of several SDKs crash or hang on these statuses. The header
 *                                   `Sojourn-Refused` names the reason
 *     an unknown session          → 404 with `id: null`: go-sdk takes a 404 with an id for the answer to its request
 *     what the specification asks → its status: an unsupported or changed `MCP-Protocol-Version`, 401, 403
 *     closed                      → 503: a load balancer sends the next request to another instance
 *     no session, 2026-07-28      → the error's own status
 */
import type { RequestId } from '@modelcontextprotocol/server';
import { type ErrorCode, internal, rpcError, SojournError } from '../errors.ts';
import type { Logger } from '../types.ts';
import type { Exchange, HeaderList } from './exchange.ts';

export const JSON_HEADERS: HeaderList = [['Content-Type', 'application/json']];

/**
 * Answers with the error's HTTP status and headers. The body is `error.body`, or a JSON-RPC error with `id` where there
 * is none. `id` is the request's id, or null.
 */
export function refuse(exchange: Exchange, error: SojournError, id: RequestId | null): void {
  const headers: Array<readonly [string, string]> = [...JSON_HEADERS, ...Object.entries(error.headers ?? {})];
  exchange.respond(error.status, headers, error.body ?? JSON.stringify({ jsonrpc: '2.0', error: rpcError(error), id }));
}

const HARMFUL: ReadonlySet<number> = new Set([400, 406, 413, 415, 429, 503]);
const KEPT: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'UNSUPPORTED_VERSION',
  'VERSION_CHANGED',
  'HEADER_MISMATCH',
  'SESSION_ID_MISSING',
  'SESSION_ID_INVALID',
  'CLOSED',
]);

/** The value of the header `Sojourn-Refused`, for operators and proxies. */
export function reasonOf({ code, data }: SojournError): string {
  const reason = data?.['reason'];
  return typeof reason === 'string' ? reason : code.toLowerCase();
}

/** Refuses a request of the 2025 era on an endpoint that keeps sessions. */
export function refuseOnSession(exchange: Exchange, error: SojournError, id: RequestId | null): void {
  const asAnswer =
    id !== null &&
    HARMFUL.has(error.status) &&
    !KEPT.has(error.code) &&
    exchange.method === 'POST' &&
    exchange.header('mcp-session-id') !== undefined;
  if (!asAnswer) return refuse(exchange, error, error.code === 'SESSION_NOT_FOUND' ? null : id);
  const headers: HeaderList = [...JSON_HEADERS, ['Sojourn-Refused', reasonOf(error)]];
  exchange.respond(200, headers, JSON.stringify({ jsonrpc: '2.0', error: rpcError(error), id }));
}

/**
 * The error to answer with. An error with status 500 is a bug of the application or of sojourn: it is logged with its
 * cause.
 */
export function answerable(cause: unknown, logger: Logger, what: string): SojournError {
  const error = asSojournError(cause);
  if (error.status === 500) logger.error({ err: error.cause ?? error }, `${what}: ${error.message}`);
  return error;
}

/** Turns an error that is not a `SojournError` into an internal error, so that no stack or path reaches the client. */
export function asSojournError(cause: unknown): SojournError {
  return cause instanceof SojournError ? cause : internal(cause);
}
