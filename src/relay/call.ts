/**
 * One request to a session, as a value. It holds what an attempt to serve it needs, and an attempt that fails passes a
 * changed copy to the next. `eras/legacy/call-loop.ts` drives the attempts.
 */
import type { RequestId } from '@modelcontextprotocol/server';
import type { CallKind } from '../cluster/messages.ts';
import type { Exchange } from '../http/exchange.ts';
import type { Checked } from '../protocol/jsonrpc.ts';

export interface InboundPost {
  readonly exchange: Exchange;
  /** Valid messages; more than one only in a batch. */
  readonly messages: readonly Checked[];
  readonly batch: boolean;
  /** The text of the body; `undefined` when the caller of the endpoint had parsed it. */
  readonly text: string | undefined;
}

export interface Call {
  readonly kind: CallKind;
  readonly exchange: Exchange;
  /** Set for a POST. */
  readonly post?: InboundPost;
  /** The id for an error about this call. */
  readonly requestId: RequestId | null;
  /** An earlier attempt may have run it, and no instance can tell whether it did. */
  readonly again: boolean;
  /** How long it may wait for a lease or a store, as a time of the monotonic clock. Set when it first waits. */
  readonly waitUntil?: number;
  /** When the head of its response is sent at the latest, by the same clock. Set when a GET first waits. */
  readonly headAt?: number;
}

/** The result of an attempt: the call for the next attempt, or `undefined` when the call is answered or will be. */
export type NextAttempt = Call | undefined;

export function postCall(post: InboundPost, again = false): Call {
  return { kind: 'post', exchange: post.exchange, post, requestId: requestIdOf(post), again };
}

/** The same call for its next attempt, in this response. */
export function continued(call: Call, exchange: Exchange): Call {
  return { ...call, exchange, again: true, ...(call.post !== undefined && { post: { ...call.post, exchange } }) };
}

export function isRequest({ kind }: Checked): boolean {
  return kind === 'request';
}

/** The method of a POST's only request. */
export function methodOf(post: InboundPost | undefined): string | undefined {
  const first = post?.messages[0];
  return post?.batch === false && first?.kind === 'request' ? first.message.method : undefined;
}

/** The id that an error about a POST carries. */
export function requestIdOf({ batch, messages: [first] }: InboundPost): RequestId | null {
  return !batch && first?.kind === 'request' ? first.message.id : null;
}
