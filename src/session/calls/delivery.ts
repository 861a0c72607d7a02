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

/** The session whose server gets the messages. */
export interface DeliveredSession {
  readonly id: string;
  readonly logger: Logger;
  readonly transport: MessageReceiver;
  readonly view: McpSession;
  readonly run: SessionRun | undefined;
}

export class Delivery {
  readonly #session: DeliveredSession;

  constructor(session: DeliveredSession) {
    this.#session = session;
  }

  /** `stream`: where the answer of a request goes. */
  contextOf(message: RpcRequest, source: MessageSource | undefined, stream: Stream | undefined): MessageContext {
    const { id, method, params } = message;
    return new MessageContext(source, this.#session.view, this.#hidesRequest, id, method, stream, targetOf(params));
  }

  /** Delivers a notification, or an answer without a `method`. `work`: of the handler of the notification. */
  send(
    message: RpcMessage | RpcNotification | RpcResponse,
    source: MessageSource | undefined,
    method?: string,
    work?: HandlerWork,
  ): void {
    const [view, hidden] = [this.#session.view, this.#hidesRequest];
    this.deliver(message, new MessageContext(source, view, hidden, undefined, method, undefined, undefined, work));
  }

  /** Returns the error of a server that threw. */
  deliver(
    message: RpcMessage | RpcRequest | RpcNotification | RpcResponse,
    context: MessageContext,
  ): SojournError | undefined {
    const enter = this.#session.run?.enter;
    try {
      if (enter === undefined) contexts.run(context, receive, this.#session.transport, message, context);
      else enter(() => contexts.run(context, receive, this.#session.transport, message, context));
      return undefined;
    } catch (cause) {
      this.#session.logger.error(
        { err: cause, sessionId: this.#session.id },
        'The server threw while it took a message',
      );
      return internal(cause);
    }
  }

  /** With `perSessionExecutionContext`, handlers see no request. */
  get #hidesRequest(): boolean {
    return this.#session.run?.enter !== undefined;
  }
}

function receive(receiver: MessageReceiver, message: unknown, context: MessageContext): void {
  receiver.receive(message, context);
}
