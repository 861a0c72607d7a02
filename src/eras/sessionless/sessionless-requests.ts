/**
 * The requests and notifications of an era without sessions: takes a place for each, makes and connects its server,
 * delivers it, answers it, and closes the server. An era extends it by what it demands of its servers.
 */
import type { Implementation } from '@modelcontextprotocol/server';
import { EntryList } from '../../base/entry-list.ts';
import { hookReturned, SojournError } from '../../base/errors.ts';
import { answerable, refuse } from '../../http/answer.ts';
import type { LinkSink } from '../../cluster/relay/link-sink.ts';
import type { SentRequest } from '../../cluster/relay/sent-request.ts';
import type { Exchange } from '../../http/exchange.ts';
import type { Admission } from '../../http/limits/request-limits.ts';
import { type AnyServer, closeServer, isOwnOfSdk } from '../../sdk/server-shape.ts';
import { afterTurn } from '../../base/system.ts';
import { inHookTime, isHookTimeout } from '../../base/hook-time.ts';
import type { MaybePromise } from '../../stores/store.ts';
import { userName } from '../../base/shown.ts';
import { liveTools, placed } from '../../session/calls/live-tools.ts';
import type { SentSession } from '../../session/inbound/inbound.ts';
import { hasRun, SessionRun } from '../../session/session-run.ts';
import type { McpListen, McpRequestRun } from '../../base/types.ts';
import { authorize, climb, type LadderSteps, scopes, type Stop } from '../ladder.ts';
import { EarlyHome } from './early-home.ts';
import { OneRequestTransport } from './one-request.ts';
import {
  type Guest,
  type SentRpc,
  SessionlessCall,
  type SessionlessHost,
} from './sessionless-call.ts';

/** When the run hook of a request returned. */
const EARLY = 'before its request was answered';

const UNKNOWN_CLIENT: Implementation = { name: '', version: '' };

export abstract class SessionlessRequests {
  protected readonly host: SessionlessHost;
  readonly #calls = new EntryList<SessionlessCall>();
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
  /**
   * The steps of a guest: a call that another instance has sent here. That instance has authorized it, and
   * has checked its scopes where it has a server for it.
   */
  readonly #guestSteps: LadderSteps<SessionlessCall> = [
    (call) => this.#connect(call),
    (call) => (call.guest === undefined ? scopes(call) : undefined),
    (call) => call.takeToolPlace(),
    (call) => this.#dispatch(call),
  ];

  constructor(host: SessionlessHost) {
    this.host = host;
  }

  /** The server was made, and is not connected. Throws what the message is refused with. */
  protected abstract accept(call: SessionlessCall, server: AnyServer): void;
  /** The same for a server that is connected. */
  protected connected(_call: SessionlessCall, _server: AnyServer): MaybePromise<void> {}

  /** From their admission on, hooks and factory included. A drain does not wait for a listen stream, nor for a task. */
  get running(): number {
    let running = 0;
    for (const { listens, response } of this.#calls)
      if (!listens && response.taskId === undefined) running += 1;
    return running;
  }

  /** Comes before `authorize`, because hooks and the factory run for each message. `undefined`: it is refused. */
  protected takePlace(exchange: Exchange, { kind, message }: SentRpc): Admission | undefined {
    const admission = this.host.gate.enter(exchange, message.method, false);
    if (!(admission instanceof SojournError)) return admission;
    refuse(exchange, admission, kind === 'request' ? message.id : null);
    return undefined;
  }

  /**
   * Serves a guest: its live object is here. `session`: that of its client, which is live on the instance that sent it;
   * none where it is of 2026-07-28, or of an endpoint without sessions.
   */
  serveGuest(
    sent: SentRpc,
    version: string,
    session: SentSession | undefined,
    caller: SentRequest,
    sink: LinkSink,
  ): void {
    const admission = this.host.gate.enter(caller, sent.message.method, false);
    if (admission instanceof SojournError)
      return sink.refuse(admission, sent.kind === 'request' ? sent.message.id : null);
    const call = new SessionlessCall(this.host, sent, caller, version, admission, sink);
    call.own = caller;
    call.guest = session && this.guestOf(call, session, sink);
    void this.serve(call, this.#guestSteps);
  }

  protected guestOf(_call: SessionlessCall, _session: SentSession, _sink: LinkSink): Guest {
    throw new Error('this era has no sessions');
  }

  async serve(call: SessionlessCall, steps = this.#steps): Promise<void> {
    this.#calls.add(call.entry);
    try {
      const climbed = climb(steps, call);
      const stop = climbed instanceof Promise ? await climbed : climbed;
      if (stop instanceof SojournError) await this.#refuse(call, stop);
    } catch (cause) {
      const { logger } = this.host.options;
      const error =
        call.refusal ??
        answerable(cause, logger, 'A request without a session could not be served');
      await this.#refuse(call, error);
    } finally {
      this.#calls.delete(call.entry);
      this.closeServer(call);
      call.over();
      call.run?.leave('request_done');
    }
  }

  // ——— the steps of an era ———

  /** Runs the hooks and the factory. */
  make(call: SessionlessCall, listen?: McpListen): MaybePromise<AnyServer> {
    const { options, lifecycle } = this.host;
    // Its head waits for an answer that may choose the status.
    if (call.era === 'modern') call.response.begin();
    if (lifecycle.refusal !== undefined) throw lifecycle.refusal;
    return hasRun(options) ? this.#makeInRun(call, listen) : this.#make(call, listen);
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
  #makeInRun(call: SessionlessCall, listen: McpListen | undefined): Promise<AnyServer> {
    const handlerReturned = (): void => {
      run.leave('handler_returned');
      call.refusal = hookReturned(EARLY);
      this.closeServer(call);
      // No server holds its stream.
      if (call.listens) call.refuse(call.refusal);
    };
    const run = new SessionRun(this.host.options, handlerReturned);
    call.caller.onClose(() => run.leave('disconnected'));
    call.run = run;
    return run.inOwnContext(async () => {
      const server = await this.#make(call, listen);
      await run.start(call.caller.request, this.#runOf(call, run, server));
      if (run.left === 'handler_returned') throw hookReturned(EARLY);
      return server;
    });
  }

  /** What `runSessionHandler` gets for one request. */
  #runOf(
    { caller, clientInfo, clientCapabilities, version }: SessionlessCall,
    run: SessionRun,
    server: AnyServer,
  ): McpRequestRun {
    return {
      kind: 'request',
      server,
      createdAt: this.host.options.timeProvider.now(),
      protocolVersion: version,
      userKey: caller.userKey,
      userName: caller.userKey && userName(caller.userKey),
      // Making it is not free, and most hooks do not read it.
      get signal() {
        return run.signal;
      },
      clientInfo: clientInfo ?? UNKNOWN_CLIENT,
      clientCapabilities: clientCapabilities ?? {},
    };
  }

  #make(call: SessionlessCall, listen: McpListen | undefined): MaybePromise<AnyServer> {
    const made = (server: AnyServer): AnyServer => {
      call.made = server;
      this.accept(call, server);
      return server;
    };
    const server = this.host.servers.build(call, listen);
    return server instanceof Promise ? server.then(made) : made(server);
  }

  async #connect(call: SessionlessCall): Promise<Stop> {
    const sent = liveTools.any && call.own === undefined && call.sent;
    if (sent) {
      // Where its object is at another instance, no server is made for it here.
      const { live } = this.host.services;
      const placing = live.placeKnown(call, sent, new EarlyHome(call, this));
      if (placing && !(await placing)) return 'done';
    }
    const made = call.made ?? this.make(call);
    const server = made instanceof Promise ? await made : made;
    const stop = call.stopIfLeft();
    if (stop !== undefined) return stop;
    const transport = new OneRequestTransport(call, server);
    call.transport = transport;
    await this.host.servers.connect(server, transport, undefined);
    const connected = this.connected(call, server);
    if (connected !== undefined) await connected;
    return undefined;
  }

  #dispatch(call: SessionlessCall): MaybePromise<Stop> {
    const { transport, sent: request, response } = call;
    if (transport === undefined) return undefined;
    if (request !== undefined) {
      response.begin();
      const placing = liveTools.any && placed(call, request, call.made, transport);
      const asked = this.host.servers.asked(request);
      if (!placing) return transport.deliver(asked);
      return placing.then((isHere) =>
        isHere ? (call.stopIfLeft() ?? transport.deliver(asked)) : 'done',
      );
    }
    void transport.deliver(call.message);
    response.done(202);
    return this.#untilHandled(call);
  }

  async #refuse(call: SessionlessCall, error: SojournError): Promise<void> {
    const { transport, caller } = call;
    call.endAs('answered');
    if (transport !== undefined) await transport.refuse(error);
    else if (!caller.closed) call.refuse(error);
  }

  /**
   * The client of a notification gets 202 as soon as the server has the notification. Then this waits for the handler,
   * at most `hookTimeoutMs`: until then the call holds its run hook, its place in `limits.sessionlessRequests` and its bytes.
   */
  async #untilHandled(call: SessionlessCall): Promise<Stop> {
    // The SDK starts a handler in a microtask.
    await new Promise<void>(afterTurn);
    const settled = new Promise<void>((release) => call.holds({ release }));
    call.endAs('answered');
    try {
      await inHookTime(
        this.host.options,
        { hook: 'the handler of a notification', sessionId: undefined },
        settled,
      );
    } catch (cause) {
      // It is in the log.
      if (!isHookTimeout(cause)) throw cause;
      call.abandon();
    }
    return 'done';
  }

  /** Closes the server that was made for a call, once. */
  closeServer(call: SessionlessCall): void {
    const { made, transport } = call;
    const { logger } = this.host.options;
    call.made = undefined;
    // The SDK's own method would only close the transport.
    if (made === undefined || (transport?.closed === true && isOwnOfSdk(made, 'close'))) return;
    closeServer(made).catch((err: unknown) =>
      logger.warn({ err }, 'The server of a request could not be closed'),
    );
  }

  /** Ends what runs, each with an error. */
  async close(): Promise<void> {
    for (const { run } of this.#calls) run?.leave('closed');
    await Promise.all([...this.#calls].map(async ({ transport }) => transport?.refuse()));
  }
}
