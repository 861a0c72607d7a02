/**
 * A call that runs at the instance of its object, as this instance sees it. Whatever the server there sends leaves through
 * the home of the call, as if the server here had sent it: its answer, notifications, questions to the client. What the
 * client answers goes back over the link.
 */
import type { JSONRPCMessage } from '@modelcontextprotocol/server';
import { internal, messagesCut, ownerLost, SojournError } from '../../base/errors.ts';
import { type RpcErrorObject, thrownAnswer } from '../../base/errors/answer-error.ts';
import { sentError } from '../../cluster/relay/link-sink.ts';
import type { RequestLife } from '../../cluster/relay/sent-request.ts';
import { errorAnswer } from '../../http/answer.ts';
import type { RunningWork } from '../../http/body.ts';
import type { ResponseSink, SinkListener } from '../../http/sink.ts';
import type { RpcMessage, RpcRequest } from '../../base/protocol/jsonrpc.ts';
import { answerState, STATE_METHOD, type StateAsked } from './guest-state.ts';
import { type Call, currentCall } from '../../session/calls/call.ts';
import type { FarServer, Home } from '../../session/calls/home.ts';

let count = 0;

export class FarCall implements ResponseSink, RequestLife, FarServer {
  readonly name = `far${(count += 1)}`;
  readonly takes = 'events';
  readonly lastId = undefined;
  listener: SinkListener | undefined = undefined;
  sessionId: string | undefined = undefined;
  /** Its client reads nothing of it: a call that moves on before its handler has not run. */
  readonly hasBegun = false;
  readonly #call: Call;
  readonly #home: Home;
  #isOpen = true;
  isRefused = false;
  reply: (message: object, size: number) => void = () => {};

  constructor(call: Call, home: Home) {
    this.#call = call;
    this.#home = home;
    call.far = this;
    home.begin?.();
  }

  // ——— of the call here ———

  get isOpen(): boolean {
    return this.#isOpen && !this.#call.isOver;
  }

  /** It was cancelled, or its time is over. */
  onClose(fn: () => unknown): void {
    const release = (): void => void (this.#close() && fn());
    this.#call.holds({ release });
  }

  /** `false`: it is closed. */
  #close(): boolean {
    if (!this.#isOpen) return false;
    this.#isOpen = false;
    return true;
  }

  /** The call was not served there: it is placed again. */
  drop(): void {
    this.#close();
    this.#call.far = undefined;
  }

  fail(cause: unknown): void {
    this.refuse(internal(cause));
  }

  heldBy(_work: RunningWork): void {}

  // ——— of the server there ———

  begin(): void {}

  message(json: string): void {
    const message = JSON.parse(json) as RpcMessage;
    if (!('method' in message)) this.#close();
    else if (message.method === STATE_METHOD) return void this.#answerState(message as RpcRequest);
    this.#send(message);
  }

  #send(message: RpcMessage): void {
    const send = () =>
      this.#home.send(message as JSONRPCMessage, { relatedRequestId: this.#call.id ?? 0 });
    currentCall.run(this.#call, send).catch((cause: unknown) => {
      if ('method' in message && 'id' in message)
        this.replied({ jsonrpc: '2.0', id: message.id, error: thrownAnswer(cause) });
    });
  }

  async #answerState({ id, params }: RpcRequest): Promise<void> {
    const asked = params as unknown as StateAsked;
    const { state } = this.#call.session ?? {};
    const answer = currentCall.run(this.#call, () => answerState(state, asked));
    this.replied(
      await answer.then(
        (value) => ({ jsonrpc: '2.0', id, result: { value } }),
        (cause: unknown) => ({ jsonrpc: '2.0', id, error: stateError(cause) }),
      ),
    );
  }

  replied(message: RpcMessage): void {
    this.reply(message, JSON.stringify(message).length);
  }

  refuse(error: SojournError): void {
    if (!this.#close()) return;
    this.isRefused = true;
    this.#call.refusal ??= error;
    this.#send(errorAnswer(this.#call.id, error));
  }

  /** There is no answer, if there was none before. */
  end(): void {
    this.refuse(ownerLost(true));
  }

  cut(): void {
    this.refuse(messagesCut());
  }

  done(): void {
    this.refuse(ownerLost(true));
  }

  handOver(): void {}
  withdraw(): void {}
  point(): void {}
  sendHead(): void {}
}

/** An error of this library is thrown there as it was thrown here. */
const stateError = (cause: unknown): RpcErrorObject =>
  cause instanceof SojournError
    ? { code: cause.rpcCode, message: cause.message, data: { refused: sentError(cause) } }
    : thrownAnswer(cause);
