/**
 * One inbound request, as a value. It holds what an attempt to serve it needs, and an attempt that fails passes a
 * changed copy to the next. `eras/sessions/router.ts` drives the attempts of a request to a session. An
 * `initialize` has no session yet: `eras/sessions/legacy-era.ts` opens one.
 */
import type { RequestId } from '@modelcontextprotocol/server';
import type { CallerRequest } from '../../http/caller-request.ts';
import type { ResponseSink } from '../../http/sink.ts';
import type { Checked, RpcRequest } from '../../base/protocol/jsonrpc.ts';
import { roleOf } from '../../base/protocol/methods.ts';

/**
 * `resume`: the rest of a POST's response. `terminate`: a DELETE by the application. `handle`: a call whose live object
 * is at the receiver.
 */
export type InboundKind = 'post' | 'get' | 'delete' | 'resume' | 'terminate' | 'handle';

/** The body of a POST, read and checked. */
export interface PostBody {
  /** Valid messages; more than one only in a batch. */
  readonly messages: readonly Checked[];
  /** Those that are requests, in their order. */
  readonly requests: readonly RpcRequest[];
  readonly batch: boolean;
  /** Its request, if it is no batch: an error about the POST carries its id. */
  readonly only: RpcRequest | undefined;
  /** The text of the body. */
  readonly text: string;
}

export function postOf(messages: readonly Checked[], batch: boolean, text: string): PostBody {
  const requests: RpcRequest[] = [];
  for (const checked of messages) if (checked.kind === 'request') requests.push(checked.message);
  return { messages, requests, batch, only: batch ? undefined : requests[0], text };
}

/** A session, for the instance that runs one of its calls. */
export interface SentSession {
  readonly id: string;
  readonly createdAt: number;
  readonly version: string;
  readonly clientInfo: unknown;
  readonly capabilities: unknown;
  readonly logLevel: string | null;
}

/** What makes two arrivals of a request one call (`session/calls/attempts.ts`). */
export interface AttemptId {
  readonly id: string;
  /** Else an instance made it. */
  readonly ofProxy: boolean;
}

export interface Inbound {
  readonly kind: InboundKind;
  readonly caller: CallerRequest;
  /** The response. It is the same in every attempt. */
  readonly sink: ResponseSink;
  /** Set for a POST. */
  readonly post?: PostBody | undefined;
  /** The id for an error about this call. */
  readonly requestId: RequestId | null;
  /** The last event that the client has. */
  readonly after?: string | undefined;
  /** How many earlier attempts may have run it: no instance can tell whether they did. */
  readonly mayHaveRun?: number;
  /** What names its attempts (`session/calls/attempts.ts`). */
  readonly attemptId?: AttemptId | undefined;
  /**
   * The stream that an attempt stored, or may have stored, without running its call. The next owner
   * may run it from there.
   */
  readonly storedAs?: string;
  /** Its client can resume nothing: the session that it opens logs no messages (the 2024-11-05 transport). */
  readonly unlogged?: boolean;
  /** Answered with 202 before its messages reached their session. They are delivered even if the client disconnects. */
  readonly isAccepted?: boolean;
  /** The session of a call of the kind `handle`. */
  readonly session?: SentSession | undefined;
  /** Gets what sends the answers to questions of a call of that kind. `size`: their bytes. */
  onReplies?(reply: (answer: unknown, size: number) => void): void;
  /** How long it may wait for a lease or a store, as a time of the monotonic clock. Set when it first waits. */
  readonly waitUntil?: number;
}

/** The result of an attempt: the call for the next attempt, or `undefined` when the call is answered or will be. */
export type NextAttempt = Inbound | undefined;

/** It reads a stream, and is not counted among the running requests. */
export function reads({ kind }: Pick<Inbound, 'kind'>): boolean {
  return kind === 'get' || kind === 'resume';
}

export function endsSession({ kind }: Pick<Inbound, 'kind'>): boolean {
  return kind === 'delete' || kind === 'terminate';
}

/** Whether a request of the call counts against `limits.requestsPerSession`. */
export function counts({ kind, post }: Inbound): boolean {
  if (kind !== 'post') return false;
  return post?.requests.some(({ method }) => roleOf(method) !== 'ping') === true;
}

/** How often it runs if it runs now, as far as this instance can tell. */
export function attemptOf({ mayHaveRun = 0 }: Pick<Inbound, 'mayHaveRun'>): number {
  return 1 + mayHaveRun;
}

/** Only answers and notifications, which are delivered even if the client disconnects: it sends them once. */
export function isSilent({ post }: Inbound): boolean {
  return post?.requests.length === 0;
}

/** No client waits for the outcome any more. */
export function isAbandoned(inbound: Inbound): boolean {
  return inbound.caller.closed && !isSilent(inbound);
}
