/**
 * Messages that enter the server of one session, other than the requests of its client (`session-calls.ts`): the
 * notifications and answers of the client, and what this library asks the server or repeats to it.
 */
import { type SojournError, tooManyRequests } from '../../errors.ts';
import type { CallerRequest } from '../../http/exchange.ts';
import { afterTurn } from '../../base/system.ts';
import type { Checked, RpcNotification, RpcRequest, RpcResponse } from '../../protocol/jsonrpc.ts';
import { shownId } from '../../base/shown.ts';
import type { Logger } from '../../types.ts';
import type { Caller } from './call.ts';
import { endError } from '../../inbound/retries.ts';
import { errorAnswer } from '../../http/answer.ts';
import { HandlerWork } from './handler-work.ts';
import { HANDSHAKE_STREAM } from '../streams/event-id.ts';
import type { SessionOwnership } from '../ownership/session-ownership.ts';
import type { Questions } from './questions.ts';
import type { UnsentQuestions } from './unsent-questions.ts';
import type { SessionCalls } from './session-calls.ts';
import { inHookTime } from '../hook-time.ts';
import type { SessionHost } from '../session-host.ts';
import type { EnteredServer } from './calls-session.ts';

/** What inbound messages need of their session. */
interface InboundSession {
  readonly host: Pick<SessionHost, 'options'>;
  readonly id: string;
  readonly logger: Logger;
  readonly ownership: Pick<SessionOwnership, 'leaveReason'>;
  readonly record: { setInitialized(): void };
  readonly calls: Pick<SessionCalls, 'ask' | 'cancel'>;
  /** `undefined`: streams have no event ids. */
  readonly streamLog: { forget(stream: string): void } | undefined;
  readonly transport: Pick<EnteredServer, 'deliverSilent'>;
  /** Made on first use. */
  readonly questions: Questions;
  readonly usedUnsent: Pick<UnsentQuestions, 'send'> | undefined;
}

export class ServerInput {
  readonly #session: InboundSession;
  /** Notifications of the client whose handlers run. */
  #notified = 0;

  constructor(session: InboundSession) {
    this.#session = session;
  }

  /**
   * Asks the server on behalf of this library: the client does not get the answer. Rejects with HOOK_TIMEOUT when the
   * answer takes too long. `saw`: the request is a client's own, and this gets what the server answers.
   */
  ask(message: RpcRequest, caller: Caller | undefined, saw?: (answer: RpcResponse) => void): Promise<RpcResponse> {
    const { host, id: sessionId, ownership, calls } = this.#session;
    const { leaveReason } = ownership;
    const answer = new Promise<RpcResponse>((answered) => {
      if (leaveReason !== undefined) answered(errorAnswer(message.id, endError(leaveReason, false)));
      else calls.ask(message, caller, { takes: 'answer', run: answered, saw });
    });
    return inHookTime(host.options, { hook: `${message.method} of the server`, sessionId }, answer);
  }

  /** Repeats a notification to a rebuilt server. Records nothing. */
  replay(message: RpcNotification, caller: Caller | undefined): void {
    this.#session.transport.deliverSilent(message, caller, message.method);
  }

  /** Why these must wait. As many handlers of notifications may run as requests; a cancellation never waits. */
  refusal(messages: readonly Checked[], limit: number): SojournError | undefined {
    if (this.#notified < limit) return undefined;
    const some = messages.some(
      (one) => one.kind === 'notification' && one.message.method !== 'notifications/cancelled',
    );
    return some ? tooManyRequests(limit) : undefined;
  }

  /** It counts as running, and its bytes are charged, until its handler has settled. */
  notification(message: RpcNotification, caller: CallerRequest): void {
    const session = this.#session;
    const work = new HandlerWork();
    this.#notified += 1;
    work.holds({ release: () => (this.#notified -= 1) });
    caller.heldBy(work);
    const { method } = message;
    if (method === 'notifications/initialized') this.#initialized();
    const isProgress = method === 'notifications/progress';
    const delivered = isProgress ? session.questions.progress(message) : message;
    session.transport.deliverSilent(delivered, caller, method, work);
    if (method === 'notifications/cancelled') session.calls.cancel(message);
    // The SDK starts a handler in a microtask.
    afterTurn(() => work.end());
  }

  /** The client has read the answer to its `initialize`, so no client resumes the stream of that answer any more. */
  #initialized(): void {
    this.#session.record.setInitialized();
    this.#session.usedUnsent?.send();
    this.#session.streamLog?.forget(HANDSHAKE_STREAM);
  }

  /** The client's answer to a server→client request. */
  response(message: RpcResponse, caller: Caller | undefined): void {
    const { id: sessionId, logger, questions, transport } = this.#session;
    const answer = questions.answer(message);
    if (answer !== undefined) return transport.deliverSilent(answer, caller);
    logger.info(
      { sessionId, id: shownId(message.id) },
      'A client answered a request that is not pending; the answer is dropped',
    );
  }
}
