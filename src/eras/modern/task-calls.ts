/** What this era needs of tasks (`tasks/`), with the option `tasks`, and what runs of tasks need of this era. */
import type { AnswerSink } from '../../http/sink.ts';
import type { CallerRequest, Exchange } from '../../http/exchange.ts';
import type { RpcRequest } from '../../protocol/jsonrpc.ts';
import type { RequestLife, SentRequest } from '../../relay/sent-request.ts';

/** Revision of August 2026. */
export const TASKS_EXTENSION = 'io.modelcontextprotocol/tasks';

/** The sink of a call that may become a task. */
export interface TaskCall extends AnswerSink, RequestLife {
  readonly caller: SentRequest;
  /** Called when the call has become a task. */
  onStart?: (() => void) | undefined;
}

/** A request that no client sends now, and the sink of its answer: a run of a task, a list of the tools. */
export interface UnattendedRequest extends TaskCall {
  readonly request: RpcRequest;
  readonly version: string;
  /** Set: a request of its user waits for it, and is counted. */
  readonly launched?: object | undefined;
}

export interface UnattendedServer {
  /** `counts`: the request takes a place in the limits of its user. */
  serveUnattended(request: UnattendedRequest, counts: boolean): void;
}

export interface TaskCalls {
  /** Whether the request asks for a task, or about one, or for notifications about tasks that its client may not get. */
  serves(request: RpcRequest): boolean;
  /** The result of such a request: JSON text. Rejects with the error that it is refused with. */
  answer(request: RpcRequest, caller: CallerRequest): Promise<string>;
  /** `undefined`: the call cannot become a task. */
  open(call: {
    readonly exchange: Exchange;
    readonly response: AnswerSink;
    readonly request: RpcRequest;
    readonly version: string;
  }): TaskCall | undefined;
}
