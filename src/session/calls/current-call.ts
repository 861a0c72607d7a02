/** What a handler asks about its call, from wherever it runs. */
import { checkNumber } from '../../base/options/checks.ts';
import type { McpHttpRequest, McpSession } from '../../base/types.ts';
import { currentCall } from './call.ts';

/** The session whose handler is running; undefined outside of one and in stateless or modern serving. */
export function currentSession(): McpSession | undefined {
  return currentCall.getStore()?.session;
}

/** The HTTP request whose handler is running; undefined outside of one and with `perSessionExecutionContext`. */
export function currentRequest(): McpHttpRequest | undefined {
  const call = currentCall.getStore();
  return call?.services?.options.perSessionExecutionContext === true ? undefined : call?.request;
}

const POLL_RANGE = { min: 0, unit: 'ms', integer: true };

/**
 * Called in a handler that takes long: ends the response, and the client polls for the answer. It comes back every
 * `retryMs` (ms, default: the option `retryMs`), gets what was sent since, and holds no connection between its polls.
 *
 * Returns `false` where the client could not fetch the answer, and the response then stays open: without an event log,
 * before 2025-11-25, with `responseMode: 'json'`, in a batch, without a session (stateless, 2026-07-28), for a client
 * that is known not to come back, and outside of a handler. Throws a `TypeError` or `RangeError` for an invalid
 * `retryMs`.
 */
export function enablePolling({
  retryMs,
}: { readonly retryMs?: number | undefined } = {}): boolean {
  if (retryMs !== undefined) checkNumber('retryMs of enablePolling()', retryMs, POLL_RANGE);
  return currentCall.getStore()?.poll(retryMs) === true;
}
