/**
 * Delivers messages to the server of one session: in the context of their request (`context.ts`), and within the
 * context of the session's run hook where there is one.
 */
import { internal, type SojournError } from '../../errors.ts';
import type { RpcMessage, RpcNotification, RpcRequest, RpcResponse } from '../../protocol/jsonrpc.ts';
import type { Logger, McpSession } from '../../types.ts';
import { contexts, MessageContext, type MessageSource, targetOf } from './context.ts';
import type { HandlerWork } from './handler-work.ts';
import type { SessionRun } from '../server/run.ts';
import type { Stream } from '../streams/stream.ts';

/** Takes messages into a server. */
export interface MessageReceiver {
  receive(message: unknown, context: MessageContext): void;
}

export interface DeliveryOptions {
  readonly sessionId: string;
  readonly logger: Logger;
  readonly receiver: MessageReceiver;
  readonly view: McpSession;
  readonly run: SessionRun | undefined;
}

export class Delivery {
  readonly #sessionId: string;
  readonly #logger: Logger;
  readonly #receiver: MessageReceiver;
  readonly #view: McpSession;
  readonly #run: SessionRun | undefined;

  constructor({ sessionId, logger, receiver, view, run }: DeliveryOptions) {
    this.#sessionId = sessionId;
    this.#logger = logger;
    this.#receiver = receiver;
    this.#view = view;
    this.#run = run;
  }

  /** `stream`: where the answer of a request goes. */
  contextOf(message: RpcRequest, source: MessageSource | undefined, stream: Stream | undefined): MessageContext {
    const { id, method, params } = message;
    return new MessageContext(source, this.#view, this.#hidesRequest, id, method, stream, targetOf(params));
  }

  /** Delivers a notification, or an answer without a `method`. `work`: of the handler of the notification. */
  send(
    message: RpcMessage | RpcNotification | RpcResponse,
    source: MessageSource | undefined,
    method?: string,
    work?: HandlerWork,
  ): void {
    const [view, hidden] = [this.#view, this.#hidesRequest];
    this.deliver(message, new MessageContext(source, view, hidden, undefined, method, undefined, undefined, work));
  }

  /** Returns the error of a server that threw. */
  deliver(
    message: RpcMessage | RpcRequest | RpcNotification | RpcResponse,
    context: MessageContext,
  ): SojournError | undefined {
    const enter = this.#run?.enter;
    try {
      if (enter === undefined) contexts.run(context, receive, this.#receiver, message, context);
      else enter(() => contexts.run(context, receive, this.#receiver, message, context));
      return undefined;
    } catch (cause) {
      this.#logger.error({ err: cause, sessionId: this.#sessionId }, 'The server threw while it took a message');
      return internal(cause);
    }
  }

  /** With `perSessionExecutionContext`, handlers see no request. */
  get #hidesRequest(): boolean {
    return this.#run?.enter !== undefined;
  }
}

function receive(receiver: MessageReceiver, message: unknown, context: MessageContext): void {
  receiver.receive(message, context);
}
