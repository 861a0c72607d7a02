import type { RequestId } from '@modelcontextprotocol/server';
import { internal, rpcError, SojournError } from '../errors.ts';
import type { Logger } from '../types.ts';
import type { Exchange, HeaderList } from './exchange.ts';

export const JSON_HEADERS: HeaderList = [['Content-Type', 'application/json']];

/**
 * Answers with an error: its HTTP status and headers, and as body a JSON-RPC error unless it has a body of its own. `id` is the
 * request's, else null.
 */
export function refuse(exchange: Exchange, error: SojournError, id: RequestId | null): void {
  const headers: Array<readonly [string, string]> = [...JSON_HEADERS, ...Object.entries(error.headers ?? {})];
  exchange.respond(error.status, headers, error.body ?? JSON.stringify({ jsonrpc: '2.0', error: rpcError(error), id }));
}

/** The error to answer with. What is somebody's bug (status 500) is logged, with its cause. */
export function answerable(cause: unknown, logger: Logger, what: string): SojournError {
  const error = asSojournError(cause);
  if (error.status === 500) logger.error({ err: error.cause ?? error }, `${what}: ${error.message}`);
  return error;
}

/** What is not ours becomes an internal error: a stack or a path never leaves. */
export function asSojournError(cause: unknown): SojournError {
  return cause instanceof SojournError ? cause : internal(cause);
}
