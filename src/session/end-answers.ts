/** How the running requests of a session that leaves are answered. */
import { ownerLost, requestClosed, requestDrained, rpcError, sessionEnded, type SojournError } from '../errors.ts';
import type { RpcResponse } from '../protocol/jsonrpc.ts';
import type { LeaveReason } from '../types.ts';

export function endError(reason: LeaveReason, mayHaveRun: boolean): SojournError {
  if (reason === 'closed' || reason === 'store_lost') return requestClosed(mayHaveRun);
  if (reason === 'released') return requestDrained(mayHaveRun);
  return reason === 'fenced' ? ownerLost(mayHaveRun) : sessionEnded(mayHaveRun);
}

export function errorAnswer(id: RpcResponse['id'], error: SojournError): RpcResponse {
  return { jsonrpc: '2.0', ...(id !== undefined && { id }), error: rpcError(error) };
}

/** A session that goes on elsewhere keeps what its client has not read; of one that ended nothing can be resumed. */
export function goesOn(reason: LeaveReason): boolean {
  return reason === 'closed' || reason === 'released' || reason === 'hibernated';
}
