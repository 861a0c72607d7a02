/** 2026-07-28 requests that this instance runs by itself. */
import type { AnswerSink } from '../../http/answer-sink.ts';
import type { RpcRequest } from '../../protocol/jsonrpc.ts';
import type { RequestLife, SentRequest } from '../../relay/sent-request.ts';

/**
 * A request that no client sends now, and the sink of its answer: a run of a task, a list of the tools.
 */
export interface UnattendedRequest extends AnswerSink, RequestLife {
  readonly caller: SentRequest;
  readonly request: RpcRequest;
  readonly version: string;
  /** Set: a request of its user waits for it, and is counted. */
  readonly launched?: object | undefined;
  /** Called when the call has become a task. */
  onStart?: (() => void) | undefined;
}

export interface UnattendedServer {
  /** `counts`: the request takes a place in the limits of its user. */
  serveUnattended(request: UnattendedRequest, counts: boolean): void;
}
