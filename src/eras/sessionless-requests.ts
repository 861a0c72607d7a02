/**
 * The requests and notifications of an era without sessions: takes a place for each, makes and connects its server,
 * delivers it, answers it, and closes the server. What an era demands of its servers is in `SessionlessEra`.
 */
import type { Implementation } from '@modelcontextprotocol/server';
import { EntryList } from '../base/entry-list.ts';
import { hookReturned, requestClosed, SojournError } from '../errors.ts';
import { answerable, refuse } from '../http/answer.ts';
import type { Exchange } from '../http/exchange.ts';
import type { Admission } from '../limits/request-limits.ts';
import { type AnyServer, dropNotifications } from '../sdk/server-shape.ts';
import { afterTurn } from '../base/system.ts';
import { inHookTime, isHookTimeout } from '../session/hook-time.ts';
import type { MaybePromise } from '../stores/store.ts';
import { userName } from '../base/shown.ts';
import type { SessionRun } from '../session/server/run.ts';
import type { McpRequestRun } from '../types.ts';
import { authorize, climb, type LadderSteps, scopes, type Stop } from './ladder.ts';
import { OneRequestTransport } from './one-request.ts';
import type { SentRpc, SessionlessCall, SessionlessOptions } from './sessionless-call.ts';

/** When the run hook of a request returned. */
const EARLY = 'before its request was answered';

const UNKNOWN_CLIENT: Implementation = { name: '', version: '' };

/** Both methods throw what the message is refused with. */
export interface SessionlessEra {
  /** The server was made, and is not connected. */
  accept(call: SessionlessCall, server: AnyServer): void;
  connected?(call: SessionlessCall, server: AnyServer): void;
}

export class SessionlessRequests {
  readonly #given: SessionlessOptions;
  readonly #era: SessionlessEra;
  readonly #runs = new Set<SessionRun>();
  readonly #calls = new EntryList<SessionlessCall>();
  /** Calls that run on as tasks. */
  readonly #asTasks = new Set<SessionlessCall>();
  #running = 0;
  /**
   * Limits come first, before the call is made (`takePlace`): hooks and the factory run for each message. Those of its
   * tool follow the scopes, as in sessions.
   */
  readonly #steps: LadderSteps<SessionlessCall> = [
    authorize,
    (call) => this.#connect(call),
    scopes,
    (call) => call.takeToolPlace(),
    (call) => this.#dispatch(call),
  ];

  constructor(given: SessionlessOptions, era: SessionlessEra) {
    this.#given = given;
    this.#era = era;
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

  async serve(call: SessionlessCall, steps = this.#steps): Promise<void> {
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
      if (call.run !== undefined) this.#runs.delete(call.run);
      call.run?.leave('request_done');
    }
  }

  // ——— the steps of an era ———

  /** Runs the hooks and the factory. */
  make(call: SessionlessCall): MaybePromise<AnyServer> {
    const { servers, lifecycle } = this.#given;
    // Its head waits for an answer that may choose the status.
    if (call.era === 'modern') call.response.begin();
    if (lifecycle.refusal !== undefined) throw lifecycle.refusal;
    return servers.hasRun ? this.#makeInRun(call) : this.#make(call);
  }

  /**
   * `runSessionHandler` around the server of a call.
   *
   *     open ──answered, or refused──▶ request_done
   *      ├──its client disconnected before the answer──▶ disconnected
   *      ├──its hook returned──▶ handler_returned
   *      ╰──the endpoint closed, or the time of its drain was over──▶ closed
   *
   * The first reason counts: `session.signal` aborts with it, and `run()` resolves with it.
   */
  #makeInRun(call: SessionlessCall): Promise<AnyServer> {
    const handlerReturned = (): void => {
      run.leave('handler_returned');
      call.refusal = hookReturned(EARLY);
      this.close(call);
    };
    const run = this.#given.servers.run({ handlerReturned });
    if (run.isWatched) {
      this.#runs.add(run);
      call.caller.onClose(() => run.leave('disconnected'));
    }
    call.run = run;
    return run.inOwnContext(async () => {
      const server = await this.#make(call);
      await run.start(call.caller.request, this.#runOf(call, run, server));
      if (run.left === 'handler_returned') throw hookReturned(EARLY);
      return server;
    });
  }

  /** What `runSessionHandler` gets for one request. */
  #runOf({ caller, client, version }: SessionlessCall, run: SessionRun, server: AnyServer): McpRequestRun {
    return {
      kind: 'request',
      server,
      createdAt: this.#given.options.timeProvider.now(),
      protocolVersion: version,
      user: caller.user,
      userName: caller.user && userName(caller.user),
      // Making it is not free, and most hooks do not read it.
      get signal() {
        return run.signal;
      },
      clientInfo: client.clientInfo ?? UNKNOWN_CLIENT,
      clientCapabilities: client.clientCapabilities ?? {},
    };
  }

  #make(call: SessionlessCall): MaybePromise<AnyServer> {
    const made = (server: AnyServer): AnyServer => {
      call.made = server;
      this.#era.accept(call, server);
      return server;
    };
    const server = this.#given.servers.build(call);
    return server instanceof Promise ? server.then(made) : made(server);
  }

  async #connect(call: SessionlessCall): Promise<Stop> {
    const made = this.make(call);
    const server = made instanceof Promise ? await made : made;
    const stop = call.stopIfLeft();
    if (stop !== undefined) return stop;
    const transport = new OneRequestTransport(call, server, this.#given);
    call.transport = transport;
    await this.#given.servers.connect(server, transport, undefined);
    this.#era.connected?.(call, server);
    return undefined;
  }

  #dispatch(call: SessionlessCall): MaybePromise<Stop> {
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
    for (const run of this.#runs) run.leave('closed');
    await Promise.all(
      [...this.#calls].map(async ({ transport }) => transport?.refuse(requestClosed(transport.isDispatched))),
    );
  }
}
