/**
 * The requests and notifications of an era without sessions: takes a place for each, counts, answers and closes them.
 * What differs is in the two shells, `legacy/stateless-era.ts` and `modern/direct.ts`: how a server is made, connected
 * and called.
 */
import { EntryList } from '../base/entry-list.ts';
import { requestClosed, SojournError } from '../errors.ts';
import { answerable, refuse } from '../http/answer.ts';
import type { Exchange } from '../http/exchange.ts';
import type { Admission } from '../limits/request-limits.ts';
import { dropNotifications } from '../sdk/server-shape.ts';
import { afterTurn } from '../base/system.ts';
import { inHookTime, isHookTimeout } from '../session/hook-time.ts';
import { climb, type LadderSteps } from './ladder.ts';
import { RequestRuns } from './request-runs.ts';
import type { SessionlessCall } from './sessionless-call.ts';
import type { SentRpc, SessionlessOptions } from './sessionless-options.ts';

export class SessionlessRequests {
  readonly #given: SessionlessOptions;
  readonly runs: RequestRuns;
  readonly #calls = new EntryList<SessionlessCall>();
  /** Calls that run on as tasks. */
  readonly #asTasks = new Set<SessionlessCall>();
  #running = 0;

  constructor(given: SessionlessOptions) {
    this.#given = given;
    this.runs = new RequestRuns(given.servers, given.options.timeProvider);
  }

  /** From their admission on, hooks and factory included. A drain does not wait for a listen stream. */
  get running(): number {
    return this.#running - this.#asTasks.size;
  }

  /** The call runs on as a task. */
  becomeTask(call: SessionlessCall): void {
    this.#asTasks.add(call);
  }

  /** Comes before `authorize`, because hooks and the factory run for each message. `undefined`: it is refused. */
  takePlace(exchange: Exchange, { kind, message }: SentRpc): Admission | undefined {
    const admission = this.#given.gate.enter(exchange, message.method, false);
    if (!(admission instanceof SojournError)) return admission;
    refuse(exchange, admission, kind === 'request' ? message.id : null);
    return undefined;
  }

  async serve(call: SessionlessCall, steps: LadderSteps<SessionlessCall>): Promise<void> {
    const counted = call.listens ? 0 : 1;
    this.#running += counted;
    this.#calls.add(call.entry);
    try {
      const climbed = climb(steps, call);
      const stop = climbed instanceof Promise ? await climbed : climbed;
      if (stop instanceof SojournError) await this.#refuse(call, stop);
    } catch (cause) {
      await this.#refuse(
        call,
        call.refusal ??
          answerable(cause, this.#given.options.logger, 'A request without a session could not be served'),
      );
    } finally {
      this.#running -= counted;
      this.#asTasks.delete(call);
      this.#calls.delete(call.entry);
      call.over();
    }
  }

  async #refuse(call: SessionlessCall, error: SojournError): Promise<void> {
    const { transport, caller } = call;
    call.work.end();
    if (transport !== undefined) await transport.refuse(error);
    else if (!caller.closed) call.refuse(error);
    this.close(call);
  }

  /**
   * The client of a notification gets 202 as soon as the server has the notification. Then this waits for the handler,
   * at most `hookTimeoutMs`: until then the call holds its run hook, its place in `limits.requests` and its bytes.
   */
  async untilHandled({ work }: SessionlessCall): Promise<void> {
    // The SDK starts a handler in a microtask.
    await new Promise<void>(afterTurn);
    const settled = new Promise<void>((release) => work.holds({ release }));
    work.end();
    try {
      await inHookTime(this.#given.options, { hook: 'the handler of a notification', sessionId: undefined }, settled);
    } catch (cause) {
      // It is in the log.
      if (!isHookTimeout(cause)) throw cause;
    }
  }

  /** Closes the server that was made for a call. */
  close(call: SessionlessCall): void {
    const { logger, notices } = this.#given.options;
    // No other code may know this server, and it may have no connection.
    if (call.transport === undefined) dropNotifications(call.made, notices);
    call.closeServer().catch((err: unknown) => logger.warn({ err }, 'The server of a request could not be closed'));
  }

  /** Ends what runs, each with an error. */
  async closeAll(): Promise<void> {
    this.runs.close();
    await Promise.all([...this.#calls].map(async (call) => call.transport?.refuse(requestClosed(call.isDispatched))));
  }
}
