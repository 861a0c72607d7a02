/**
 * Event ids on the streams of 2026-07-28 calls, in the form of `session/streams/event-id.ts`. No session guards them,
 * so each call has a secret of 22 characters, 128 bits. The epoch is 1, and one more each time another instance runs
 * the call again: a new run numbers its messages anew.
 */
import type { RequestId } from '@modelcontextprotocol/server';
import type { Exchange } from '../http/exchange.ts';
import { base64url, type RandomSource } from '../base/system.ts';
import type { RpcRequest } from '../protocol/jsonrpc.ts';
import { CALL_STREAM, callSuffix, type EventPosition, parsePosition } from '../session/streams/event-id.ts';

export interface CallPosition extends EventPosition {
  readonly call: RequestId;
}

const SECRET_BYTES = 16;

/** Where the stream of a request begins. `undefined`: no event id can carry the id of the request. */
export function firstPosition({ id: call, method }: RpcRequest, random: RandomSource): CallPosition | undefined {
  if (callSuffix(call) === '') return undefined;
  const [tag, isTool] = [base64url(random(SECRET_BYTES)), method === 'tools/call'];
  return { tag, epoch: 1, stream: CALL_STREAM, offset: 0, call, isTool, resumes: 0, ended: false };
}

/** `undefined`: no id of such a stream. */
export function parseCallPosition(text = ''): CallPosition | undefined {
  const position = parsePosition(text);
  const call = position?.call;
  return position?.stream === CALL_STREAM && call !== undefined ? { ...position, call } : undefined;
}

/** Whether a GET asks for what followed on the stream of a 2026-07-28 request. */
export function asksToResumeCall(exchange: Exchange): boolean {
  return exchange.method === 'GET' && parseCallPosition(exchange.header('last-event-id')) !== undefined;
}
