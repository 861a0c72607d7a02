/**
 * Makes live sessions: from an `initialize` (open), from a record (restore), or from the handshake that a migration
 * handler returned (migrate). Each runs the options callback, the factory (`server-builder.ts`), the run hook and
 * `connect`, and then sends the server its handshake. A failure at any step leaves nothing behind.
 */
import { factoryFailed, SojournError } from '../../base/errors.ts';
import type { RpcRequest, RpcResponse } from '../../base/protocol/jsonrpc.ts';
import { roleOf } from '../../base/protocol/methods.ts';
import type { CallerRequest } from '../../http/caller-request.ts';
import { afterTurn } from '../../base/system.ts';
import type { Call, Caller } from '../calls/call.ts';
import { replayed } from '../calls/replayed-messages.ts';
import type { Handshake } from '../record/handshake.ts';
import { answerOf } from '../record/server-answer.ts';
import type { ServerBuilder } from '../server/server-builder.ts';
import { memoryOfFields } from '../record/memory.ts';
import type { SessionRecord } from '../record/session-record.ts';
import { LiveSession, type LiveSessionHost, type SessionStart } from '../session.ts';

type Negotiated = Pick<SessionRecord, 'version' | 'answer'>;

export class SessionBuilder {
  readonly #host: LiveSessionHost;
  readonly #servers: ServerBuilder;

  constructor(host: LiveSessionHost, servers: ServerBuilder) {
    this.#host = host;
    this.#servers = servers;
  }

  /**
   * Makes a new session for this caller, whose record is not stored yet. `unlogged`: see `SessionStart`.
   */
  make(
    id: string,
    handshake: Handshake,
    caller: CallerRequest,
    unlogged = false,
  ): Promise<LiveSession> {
    const start = {
      id,
      fence: { epoch: 1, owner: this.#host.lease.owner },
      userKey: caller.userKey,
      address: caller.clientAddress,
      handshake,
      createdAt: this.#host.options.timeProvider.now(),
      unlogged,
    };
    return this.connect(start, caller);
  }

  /** Makes a session whose server waits for its handshake. */
  async connect(start: SessionStart, caller: CallerRequest): Promise<LiveSession> {
    const session = new LiveSession(this.#host, start, memoryOfFields(caller.headers));
    const { run } = session;
    try {
      const restored = start.record !== undefined;
      if (run === undefined) await this.#start(session, caller, restored);
      else await run.inOwnContext(() => this.#start(session, caller, restored));
      return session;
    } catch (error) {
      await session.giveUp('closed', error);
      throw error instanceof SojournError
        ? error
        : factoryFailed('the session could not be started', error);
    }
  }

  async #start(session: LiveSession, caller: CallerRequest, restored: boolean): Promise<void> {
    const made = this.#servers.build({ era: 'legacy', caller, session: session.view, restored });
    const server = made instanceof Promise ? await made : made;
    session.useServer(server);
    if (session.run !== undefined) await session.run.start(caller.request, session.view);
    await this.#servers.connect(server, session.transport, session.id);
  }

  /** Dispatches the client's `initialize`. The caller passes the server's answer on. */
  async initialize(
    session: LiveSession,
    message: RpcRequest,
    caller: Caller,
  ): Promise<RpcResponse> {
    let isNegotiated = false;
    const saw = (answer: RpcResponse): void => {
      isNegotiated = answer.error === undefined;
      if (isNegotiated) session.negotiated(readAnswer(answer, session.version));
    };
    const answer = await session.calls.ask(this.#servers.asked(message), caller, saw);
    if (answer.error === undefined && !isNegotiated)
      throw factoryFailed('middleware answered initialize, and its server did not');
    return answer;
  }

  /**
   * Repeats to a rebuilt server the messages that set its state. The client does not get its answers. Returns its
   * answer to `initialize`.
   */
  async replay(session: LiveSession, caller: Caller): Promise<Negotiated> {
    let negotiated: Negotiated | undefined;
    let initialized: Call | undefined;
    for (const message of replayed(session.handshake, session.record)) {
      if (!('id' in message)) {
        initialized = session.transport.callOf(message, caller);
        session.transport.deliver(message, initialized);
        continue;
      }
      if ((await this.#host.services.authorizer?.allows(message, caller.authInfo)) === false) {
        const { id: sessionId } = session;
        this.#host.logger.info(
          { sessionId, method: message.method },
          'A session is restored without one of its recorded messages: the caller that woke it may not send that one',
        );
        continue;
      }
      const answer = await session.calls.ask(this.#servers.asked(message), caller);
      if (roleOf(message.method) === 'handshake') {
        if (answer.error !== undefined)
          throw new Error(`The rebuilt server refused initialize: ${answer.error.message}`);
        negotiated = readAnswer(answer, session.version);
      } else if (answer.error !== undefined) {
        this.#host.logger.warn(
          { sessionId: session.id, method: message.method, error: answer.error.code },
          'A session is restored, but its new server refused a recorded message of its client',
        );
      }
    }
    if (negotiated === undefined) throw new Error('The rebuilt server was not initialized');
    if (initialized !== undefined) await this.#initialized(session, initialized);
    return negotiated;
  }

  /** A handler of `notifications/initialized` may ask the client. The SDK starts it in a microtask. */
  async #initialized(session: LiveSession, call: Call): Promise<void> {
    await new Promise<void>(afterTurn);
    const returned = new Promise<void>((release) => call.holds({ release }));
    call.endAs('answered');
    session.usedQuestions?.restored(returned);
  }
}

function readAnswer(answer: RpcResponse, fallback: string): Negotiated {
  const version = answer.result?.['protocolVersion'];
  return {
    version: typeof version === 'string' ? version : fallback,
    answer: answerOf(JSON.stringify(answer.result ?? {})),
  };
}
