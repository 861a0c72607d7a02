/** The home of a call for which no server was made here, because its live object is at another instance. */
import type { JSONRPCMessage } from '@modelcontextprotocol/server';
import { answerJson } from '../../http/answer.ts';
import type { RpcRequest, RpcResponse } from '../../base/protocol/jsonrpc.ts';
import { openRun } from '../../session/calls/around-requests.ts';
import type { Home } from '../../session/calls/home.ts';
import { liveToolOf } from '../../session/calls/live-tools.ts';
import type { AnyServer } from '../../sdk/server-shape.ts';
import type { MaybePromise } from '../../stores/store.ts';
import type { SessionlessCall } from './sessionless-call.ts';

const DONE = Promise.resolve();
const NO_SCOPES = { checkScopes: () => undefined };

/** What makes the server of a call. */
interface ServerMaker {
  make(call: SessionlessCall): MaybePromise<AnyServer>;
}

export class EarlyHome implements Home {
  readonly #call: SessionlessCall;
  readonly #maker: ServerMaker;

  constructor(call: SessionlessCall, maker: ServerMaker) {
    this.#call = call;
    this.#maker = maker;
  }

  /** Makes the server of the call. If that fails, nothing is known of its tools. */
  async toolOf(request: RpcRequest): Promise<unknown> {
    try {
      return liveToolOf(request, await this.#maker.make(this.#call))?.tool;
    } catch {
      return undefined;
    }
  }

  begin(): void {
    const call = this.#call;
    call.response.begin();
    call.around ??= openRun(call.host.options, NO_SCOPES, call, call.response.attempt);
  }

  send(message: JSONRPCMessage): Promise<void> {
    const call = this.#call;
    const { response, host } = call;
    const { responseMode, logger } = host.options;
    if (!('method' in message)) {
      const answer = message as RpcResponse;
      this.begin();
      call.around?.servedIn(answer);
      const outcome = call.outcomeOf(answer);
      response.answer(answerJson(outcome, call.id ?? null, logger), call.statusOf(outcome));
    } else if (responseMode !== 'json') response.message(JSON.stringify(message));
    return DONE;
  }
}
