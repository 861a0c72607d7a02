/** The answers to the requests that still run when their session leaves. */
import { ownerLost, requestClosed, requestDrained, rpcError, sessionEnded, type SojournError } from '../../errors.ts';
import type { RpcResponse } from '../../protocol/jsonrpc.ts';
import type { LeaveReason } from '../../types.ts';

export function endError(reason: LeaveReason, mayHaveRun: boolean): SojournError {
  if (reason === 'closed' || reason === 'store_lost') return requestClosed(mayHaveRun);
  if (reason === 'released') return requestDrained(mayHaveRun);
  return reason === 'fenced' ? ownerLost(mayHaveRun) : sessionEnded(mayHaveRun);
}

export function errorAnswer(id: RpcResponse['id'], error: SojournError): RpcResponse {
  return { jsonrpc: '2.0', ...(id !== undefined && { id }), error: rpcError(error) };
}

/**
 * Whether the session stays resumable: its log keeps what its client has not read. Nothing of an ended session is kept.
 */
export function continuesElsewhere(reason: LeaveReason): boolean {
  return reason === 'closed' || reason === 'released' || reason === 'hibernated';
}
