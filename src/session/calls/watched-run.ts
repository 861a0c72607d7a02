/** Emits the notice of the end of a run: who did what. Only endpoints with a listener of `callEnded` make one. */
import { entryOf } from '../../base/entry-list.ts';
import { rpcError, type SojournError } from '../../base/errors.ts';
import type { StepNotice } from '../../base/observe/step-notices.ts';
import { kindOf } from '../../base/observe/log-lines.ts';
import type { RunningCall } from '../../base/observe/notices.ts';
import { failureIn } from '../../base/observe/watched-request.ts';
import type { ResolvedOptions } from '../../base/options/endpoint-options.ts';
import { isObject, type RpcResponse } from '../../base/protocol/jsonrpc.ts';
import { takesName } from '../../base/protocol/methods.ts';
import { keptClient, keptText } from '../../base/shown.ts';
import type { Call, RunAround } from './call.ts';

type CallEnded = StepNotice<'callEnded'>;

export class WatchedRun implements RunAround, RunningCall {
  readonly run: RunAround['run'];
  readonly began: number;
  /** The call forgets its message when it is over. */
  readonly client: CallEnded['client'];
  readonly #entry = entryOf<RunningCall>(this);
  readonly #inner: RunAround | undefined;
  readonly #options: Pick<ResolvedOptions, 'notices' | 'timeProvider'>;
  readonly #call: Call;
  readonly #attempt: number;
  #answer: RpcResponse | undefined = undefined;
  #threw: string | undefined = undefined;
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
    this.began = options.timeProvider.monotonic();
    this.client = keptClient(call.clientInfo);
    options.notices.running.add(this.#entry);
    call.holds(this);
  }

  // ——— while it runs ———

  get userKey(): string | undefined {
    return this.#call.caller?.userKey;
  }

  get sessionId(): string | undefined {
    return this.#call.session?.id;
  }

  get method(): string | undefined {
    return this.#call.method;
  }

  get target(): string | undefined {
    return keptName(this.#call.method, this.#call.target);
  }

  get isOver(): boolean {
    return this.#call.isOver;
  }

  get isElsewhere(): boolean {
    return this.#call.far?.isRefused === false;
  }

  threw(error: unknown): void {
    this.#threw = kindOf(error);
  }

  /** It is over, and its handler has settled. */
  release(): void {
    this.#options.notices.running.delete(this.#entry);
  }

  // ——— its end ———

  servedIn(answer: RpcResponse): RpcResponse | undefined {
    this.#answer = answer;
    return this.#inner === undefined ? answer : this.#inner.servedIn(answer);
  }

  over(error?: SojournError): void {
    this.#inner?.over(error);
    const call = this.#call;
    // It was withdrawn before its handler began.
    const hasRun = call.end !== 'withdrawn' || !call.isDone;
    const { method } = call;
    if (this.#isOver || !hasRun || method === undefined || this.isElsewhere) return;
    this.#isOver = true;
    const refusal = error ?? call.refusal;
    const ended: RpcResponse | undefined =
      refusal === undefined ? this.#answer : { jsonrpc: '2.0', error: rpcError(refusal) };
    const { notices, timeProvider } = this.#options;
    const failure = ended && failureIn({ ...ended });
    notices.emit({
      kind: 'callEnded',
      time: timeProvider.now(),
      userKey: this.userKey,
      client: this.client,
      sessionId: this.sessionId,
      method,
      target: this.target,
      taskId: call.task?.taskId,
      outcome: outcomeOf(call, ended),
      error: failure?.error,
      reason: failure?.reason,
      threw: this.#threw,
      ms: timeProvider.monotonic() - this.began,
      instance: notices.instance,
      run: this.#attempt,
    });
  }
}

/** The name of a tool or prompt. The URI of a resource may hold a secret. */
export const keptName = (
  method: string | undefined,
  target: string | undefined,
): string | undefined => (target !== undefined && takesName(method) ? keptText(target) : undefined);

function outcomeOf({ end }: Call, ended: RpcResponse | undefined): CallEnded['outcome'] {
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
