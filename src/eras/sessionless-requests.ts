/**
 * The requests and notifications of an era without sessions: takes a place for each, makes and connects its server,
 * delivers it, answers it, and closes the server. What an era demands of its servers is in `SessionlessEra`.
 */
import { EntryList } from '../base/entry-list.ts';
import { hookReturned, requestClosed, SojournError } from '../errors.ts';
import { answerable, refuse } from '../http/answer.ts';
import type { Exchange } from '../http/exchange.ts';
import type { Admission } from '../limits/request-limits.ts';
import { type AnyServer, dropNotifications } from '../sdk/server-shape.ts';
import { afterTurn } from '../base/system.ts';
import { inHookTime, isHookTimeout } from '../session/hook-time.ts';
import type { MaybePromise } from '../stores/store.ts';
import { climb, type LadderSteps, type Shell, type Stop } from './ladder.ts';
import { OneRequestTransport } from './one-request.ts';
import { EARLY, RequestRuns } from './request-runs.ts';
import type { SessionlessCall } from './sessionless-call.ts';
import type { SentRpc, SessionlessOptions } from './sessionless-options.ts';

/** Both methods throw what the message is refused with. */
export interface SessionlessEra {
  /** The server was made, and is not connected. */
  accept(call: SessionlessCall, server: AnyServer): void;
  connected?(call: SessionlessCall, server: AnyServer): void;
}

export class SessionlessRequests implements Shell<SessionlessCall> {
  readonly #given: SessionlessOptions;
  readonly #era: SessionlessEra;
  readonly #runs: RequestRuns;
  readonly #calls = new EntryList<SessionlessCall>();
  /** Calls that run on as tasks. */
  readonly #asTasks = new Set<SessionlessCall>();
  #running = 0;

  constructor(given: SessionlessOptions, era: SessionlessEra) {
    this.#given = given;
    this.#era = era;
    this.#runs = new RequestRuns(given.servers, given.options.timeProvider);
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
      const { logger } = this.#given.options;
      const error = call.refusal ?? answerable(cause, logger, 'A request without a session could not be served');
      await this.#refuse(call, error);
    } finally {
      this.#running -= counted;
      this.#asTasks.delete(call);
      this.#calls.delete(call.entry);
      this.close(call);
      call.over();
    }
  }

  // ——— the steps of an era ———

  /** Runs the hooks and the factory. */
  make(call: SessionlessCall): MaybePromise<AnyServer> {
    const { servers, lifecycle } = this.#given;
    // Its head waits for an answer that may choose the status.
    if (call.era === 'modern') call.response.begin();
    if (lifecycle.refusal !== undefined) throw lifecycle.refusal;
    if (!servers.hasRun) return this.#make(call);
    const returned = (): void => {
      call.refuseWith(hookReturned(EARLY));
      this.close(call);
    };
    return this.#runs.build(call, () => this.#make(call), returned);
  }

  #make(call: SessionlessCall): MaybePromise<AnyServer> {
    const made = (server: AnyServer): AnyServer => {
      call.built(server);
      this.#era.accept(call, server);
      return server;
    };
    const server = this.#given.servers.build(call);
    return server instanceof Promise ? server.then(made) : made(server);
  }

  async connect(call: SessionlessCall): Promise<Stop> {
    const made = this.make(call);
    const server = made instanceof Promise ? await made : made;
    const stop = call.stopIfLeft();
    if (stop !== undefined) return stop;
    const transport = new OneRequestTransport(call, server, this.#given);
    call.transport = transport;
    if (call.id !== undefined) call.closes(transport);
    await this.#given.servers.connect(server, transport, undefined);
    this.#era.connected?.(call, server);
    return undefined;
  }

  dispatch(call: SessionlessCall): MaybePromise<Stop> {
    const { transport, rpcRequest: request, response } = call;
    if (transport === undefined) return undefined;
    if (request !== undefined) {
      response.begin();
      return transport.deliver(this.#given.servers.asked(request));
    }
    void transport.deliver(call.message);
    response.done(202);
    return this.#untilHandled(call);
  }

  async #refuse(call: SessionlessCall, error: SojournError): Promise<void> {
    const { transport, caller } = call;
    call.work.end();
    if (transport !== undefined) await transport.refuse(error);
    else if (!caller.closed) call.refuse(error);
  }

  /**
   * The client of a notification gets 202 as soon as the server has the notification. Then this waits for the handler,
   * at most `hookTimeoutMs`: until then the call holds its run hook, its place in `limits.requests` and its bytes.
   */
  async #untilHandled({ work }: SessionlessCall): Promise<Stop> {
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
    return 'done';
  }

  /** Closes the server that was made for a call. */
  close(call: SessionlessCall): void {
    const { logger, notices } = this.#given.options;
    // No other code may know this server, and it may have no connection.
    if (call.transport === undefined) dropNotifications(call.made, notices);
    call.closeServer()?.catch((err: unknown) => logger.warn({ err }, 'The server of a request could not be closed'));
  }

  /** Ends what runs, each with an error. */
  async closeAll(): Promise<void> {
    this.#runs.close();
    await Promise.all([...this.#calls].map(async (call) => call.transport?.refuse(requestClosed(call.isDispatched))));
  }
}
