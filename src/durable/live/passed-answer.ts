/**
 * The answer to a call that runs at the instance of its object, as that instance sends it. Messages of the handler leave
 * through the context of the call here, so a session asks its client itself. Its result becomes the result of the
 * handler here.
 */
import type { RequestId } from '@modelcontextprotocol/server';
import { callCut, ownerLost, type SojournError } from '../../base/errors.ts';
import { AnswerError, CallRefusal, thrownAnswer } from '../../base/errors/answer-error.ts';
import type { RequestLife } from '../../cluster/relay/sent-request.ts';
import type { RunningWork } from '../../http/body.ts';
import type { ResponseSink, SinkListener } from '../../http/sink.ts';
import {
  isObject,
  type RpcNotification,
  type RpcRequest,
  type RpcResponse,
} from '../../base/protocol/jsonrpc.ts';
import { roleOf } from '../../base/protocol/methods.ts';
import { GuestStates, STATE_METHOD, type StateAsked } from '../../session/inbound/guest-state.ts';
import { type Call, currentCall } from '../../session/calls/call.ts';
import { signalOf } from '../../session/calls/handler-context.ts';

type Sent = RpcRequest | RpcNotification | RpcResponse;

type Send = (message: object, ...options: unknown[]) => unknown;

/** The instance of the handler gives up earlier. */
const LONGEST_MS = 2_147_483_647;
/** SDK 1 wants a schema. The server that asked checks the answer. */
const ANY = {
  parse: (value: unknown) => value,
  safeParse: (data: unknown) => ({ success: true, data }),
};

export class PassedAnswer implements ResponseSink, RequestLife {
  readonly takes = 'events';
  readonly lastId = undefined;
  listener: SinkListener | undefined = undefined;
  sessionId: string | undefined = undefined;
  /** Its client reads nothing of it: a call that moves on before its handler has not run. */
  readonly hasBegun = false;
  /** Settles as the handler did there. */
  readonly result: Promise<unknown>;
  readonly #call: Call;
  readonly #ctx: unknown;
  readonly #signal: AbortSignal;
  readonly #listening = new AbortController();
  #isOpen = true;
  #settle!: (result: Promise<unknown>) => void;
  /** What was sent before. */
  #sent: Promise<unknown> = Promise.resolve();
  readonly #states: GuestStates;
  /** Questions to the client without an answer, by the ids that the other instance gave them. */
  readonly #asked = new Map<RequestId, AbortController>();
  reply: (answer: RpcResponse, size: number) => void = () => {};

  /** `ctx`: of the handler of `call` here. */
  constructor(call: Call, ctx: unknown) {
    this.#call = call;
    this.#ctx = ctx;
    this.#states = new GuestStates(call.session?.state);
    this.#signal = signalOf(ctx);
    this.result = new Promise((resolve) => (this.#settle = resolve));
    // Its call may be over before anyone waits for it.
    this.result.catch(() => {});
    this.onClose(() => this.#end(Promise.reject(callCut())));
  }

  // ——— of the call here ———

  get isOpen(): boolean {
    return this.#isOpen && !this.#signal.aborted;
  }

  onClose(fn: () => unknown): void {
    const options = { once: true, signal: this.#listening.signal };
    this.#signal.addEventListener('abort', () => void fn(), options);
  }

  /** There is no answer, and no handler that waits for one: the call was refused there, or its instance is lost. */
  drop(): void {
    this.#listening.abort();
    this.#lost();
  }

  fail(cause: unknown): void {
    this.#end(Promise.reject(cause));
  }

  heldBy(_work: RunningWork): void {}

  // ——— of the answer ———

  begin(): void {}

  message(json: string): void {
    const message = JSON.parse(json) as Sent;
    if (!('method' in message)) return this.#end(this.#sent.then(() => resultOf(message)));
    if ('id' in message) return void this.#answer(message);
    const { method, params } = message;
    if (roleOf(method) === 'cancel')
      return this.#asked.get(params?.['requestId'] as RequestId)?.abort(params?.['reason']);
    const sent = methodOfContext(this.#ctx, 'notify', 'sendNotification');
    // A client that has left gets nothing more.
    this.#sent = this.#sent
      .then(() => sent?.({ method, ...(params && { params }) }))
      .catch(() => {});
  }

  async #answer(request: RpcRequest): Promise<void> {
    const { id } = request;
    let answer: RpcResponse;
    try {
      answer = { jsonrpc: '2.0', id, result: await this.#resultFor(request) };
    } catch (cause) {
      answer = { jsonrpc: '2.0', id, error: thrownAnswer(cause) };
    }
    this.#asked.delete(id);
    this.reply(answer, JSON.stringify(answer).length);
  }

  async #resultFor({ id, method, params }: RpcRequest): Promise<Record<string, unknown>> {
    if (method === STATE_METHOD) {
      const asked = params as unknown as StateAsked;
      return { value: await currentCall.run(this.#call, () => this.#states.answer(asked)) };
    }
    const asking = new AbortController();
    this.#asked.set(id, asking);
    const message = { method, ...(params && { params }) };
    const signal = AbortSignal.any([this.#signal, asking.signal]);
    const options = { signal, timeout: LONGEST_MS };
    await this.#sent;
    const older = isObject(this.#ctx) && !isObject(this.#ctx['mcpReq']);
    const send = methodOfContext(this.#ctx, 'send', 'sendRequest');
    return (await send?.(message, ...(older ? [ANY] : []), options)) as Record<string, unknown>;
  }

  refuse(error: SojournError): void {
    this.#end(Promise.reject(new CallRefusal(error)));
  }

  end(): void {
    this.#lost();
  }

  cut(): void {
    this.#lost();
  }

  done(): void {
    this.#lost();
  }

  handOver(): void {}
  withdraw(): void {}
  point(): void {}
  sendHead(): void {}

  /** There is no answer, if there was none before. */
  #lost(): void {
    this.#end(Promise.reject(new CallRefusal(ownerLost(true))));
  }

  #end(result: Promise<unknown>): void {
    if (!this.#isOpen) return void result.catch(() => {});
    this.#isOpen = false;
    this.#states.over();
    for (const asking of this.#asked.values()) asking.abort();
    this.#settle(result);
  }
}

function resultOf({ result, error }: RpcResponse): unknown {
  if (error !== undefined) throw new AnswerError(error);
  return result;
}

/** A method of `ctx.mcpReq` (SDK 2), or of `extra` (SDK 1). */
function methodOfContext(ctx: unknown, name: string, older: string): Send | undefined {
  const request = isObject(ctx) ? ctx['mcpReq'] : undefined;
  const [of, method] = isObject(request) ? [request, request[name]] : [ctx, Object(ctx)[older]];
  return typeof method === 'function' ? (...given) => method.apply(of, given) : undefined;
}
