/** Emits the notice of the end of a run: who did what. Only endpoints with a listener of `callEnded` make one. */
import type { Implementation } from '@modelcontextprotocol/server';
import { rpcError, type SojournError } from '../../base/errors.ts';
import type { StepNotice } from '../../base/observe/step-notices.ts';
import { failureIn } from '../../base/observe/watched-request.ts';
import type { ResolvedOptions } from '../../base/options/endpoint-options.ts';
import { isObject, type RpcResponse } from '../../base/protocol/jsonrpc.ts';
import { takesName } from '../../base/protocol/methods.ts';
import { keptText } from '../../base/shown.ts';
import type { Call, RunAround } from './call.ts';

type Ended = StepNotice<'callEnded'>;

export class WatchedRun implements RunAround {
  readonly run: RunAround['run'];
  readonly #inner: RunAround | undefined;
  readonly #options: Pick<ResolvedOptions, 'notices' | 'timeProvider'>;
  readonly #call: Call;
  readonly #attempt: number;
  readonly #began: number;
  /** The call forgets its message when it is over. */
  readonly #client: Ended['client'];
  #answer: RpcResponse | undefined = undefined;
  #isOver = false;

  constructor(
    options: Pick<ResolvedOptions, 'notices' | 'timeProvider'>,
    call: Call,
    attempt: number,
    inner: RunAround | undefined,
  ) {
    this.run = inner?.run?.bind(inner);
    this.#inner = inner;
    this.#options = options;
    this.#call = call;
    this.#attempt = attempt;
    this.#began = options.timeProvider.monotonic();
    this.#client = clientOf(call.clientInfo);
  }

  servedIn(answer: RpcResponse): RpcResponse | undefined {
    this.#answer = answer;
    return this.#inner === undefined ? answer : this.#inner.servedIn(answer);
  }

  over(error?: SojournError): void {
    this.#inner?.over(error);
    const call = this.#call;
    // It was withdrawn before its handler began.
    const hasRun = call.end !== 'withdrawn' || !call.isDone;
    if (this.#isOver || !hasRun || call.method === undefined) return;
    this.#isOver = true;
    const refusal = error ?? call.refusal;
    const ended: RpcResponse | undefined =
      refusal === undefined ? this.#answer : { jsonrpc: '2.0', error: rpcError(refusal) };
    const { notices, timeProvider } = this.#options;
    const failure = ended && failureIn({ ...ended });
    notices.emit({
      kind: 'callEnded',
      time: timeProvider.now(),
      userKey: call.caller?.userKey,
      client: this.#client,
      sessionId: call.session?.id,
      method: call.method,
      target: keptName(call.method, call.target),
      taskId: call.task?.taskId,
      outcome: outcomeOf(call, ended),
      error: failure?.error,
      reason: failure?.reason,
      ms: timeProvider.monotonic() - this.#began,
      instance: notices.instance,
      run: this.#attempt,
    });
  }
}

/** The name of a tool or prompt. The URI of a resource may hold a secret. */
export const keptName = (method: string, target: string | undefined): string | undefined =>
  target !== undefined && takesName(method) ? keptText(target) : undefined;

function outcomeOf({ end }: Call, ended: RpcResponse | undefined): Ended['outcome'] {
  if (end === 'timedOut') return 'timed_out';
  if (ended === undefined && end !== 'answered')
    return end === 'left' || end === 'handedOver' ? 'left' : 'cancelled';
  const result: unknown = ended?.result;
  // Its server closed before it answered.
  if (!isObject(result)) return 'error';
  if (result['isError'] === true) return 'tool_error';
  const { resultType } = result;
  return resultType === 'input_required' || resultType === 'task' ? resultType : 'ok';
}

function clientOf(info: Implementation | undefined): Ended['client'] {
  // A client of 2026-07-28 states what it likes.
  const { name, version } = (info ?? {}) as Readonly<Record<string, unknown>>;
  if (typeof name !== 'string' || typeof version !== 'string') return undefined;
  return { name: keptText(name), version: keptText(version) };
}
