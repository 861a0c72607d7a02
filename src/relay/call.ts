/**
 * One request to a session, as a value: what an attempt to serve it needs, and what the next attempt gets when this one
 * could not. `eras/legacy/call-loop.ts` drives the attempts.
 */
import type { RequestId } from '@modelcontextprotocol/server';
import type { Exchange } from '../http/exchange.ts';
import type { Checked } from '../protocol/jsonrpc.ts';

export interface InboundPost {
  readonly exchange: Exchange;
  /** Valid messages; more than one only in a batch. */
  readonly messages: readonly Checked[];
  readonly batch: boolean;
  /** The body's text; `undefined` where the caller had parsed it. */
  readonly text: string | undefined;
}

export type CallKind = 'post' | 'get' | 'delete';

export interface Call {
  readonly kind: CallKind;
  readonly exchange: Exchange;
  /** Of a POST. */
  readonly post?: InboundPost;
  /** The id that an error about this call carries. */
  readonly requestId: RequestId | null;
  /** An earlier attempt may have run it, and no instance can say whether. */
  readonly again: boolean;
  /** Until when it may wait for a lease or a store, by the monotonic clock; set when it first waits. */
  readonly waitUntil?: number;
  /** Of a GET that waits: when its client gets the head of its stream, by the monotonic clock. */
  readonly headAt?: number;
}

/** What an attempt leaves to do: `undefined`, the call is answered or will be; else the call for the next attempt. */
export type NextAttempt = Call | undefined;

export function postCall(post: InboundPost, again = false): Call {
  return { kind: 'post', exchange: post.exchange, post, requestId: requestIdOf(post), again };
}

/** The same call with another response, as its next attempt. */
export function continued(call: Call, exchange: Exchange): Call {
  return { ...call, exchange, again: true, ...(call.post !== undefined && { post: { ...call.post, exchange } }) };
}

export function isRequest({ kind }: Checked): boolean {
  return kind === 'request';
}

/** The id that an error about a POST carries. */
export function requestIdOf({ batch, messages: [first] }: InboundPost): RequestId | null {
  return !batch && first?.kind === 'request' ? first.message.id : null;
}
