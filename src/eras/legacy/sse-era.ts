/**
 * The 2024-11-05 transport (`legacySse`): GET …/sse opens the stream of a session, POST …/message?sessionId=… takes its
 * messages, and every answer goes to the stream. The session lives as long as that connection, on this instance.
 * Nothing of it is stored, so nothing can be resumed. Its server is made at `initialize`.
 */
import {
  bodyTooLarge,
  draining,
  invalidRequest,
  methodNotAllowed,
  notAcceptable,
  otherUser,
  overUserLimit,
  SojournError,
  unsupportedMediaType,
} from '../../errors.ts';
import { isJsonContentType } from '@modelcontextprotocol/server';
import { acceptsStream } from '../../http/accept.ts';
import { answerable, errorJson, PLAIN_HEADERS, refuse, refusePlain } from '../../http/answer.ts';
import { attempt } from '../../http/attempt.ts';
import type { Exchange } from '../../http/exchange.ts';
import type { KeepAlive } from '../../http/keep-alive.ts';
import { admitOnSession, type RequestGate } from '../../http/request-gate.ts';
import type { StreamExpiry } from '../../http/stream-expiry.ts';
import { SSE_HEADERS } from '../../http/sse.ts';
import { SseSink } from '../../http/sse-sink.ts';
import { checkMessage, type Checked, type RpcRequest } from '../../protocol/jsonrpc.ts';
import type { ResolvedOptions } from '../../options/endpoint-options.ts';
import { checkedHandshake, type SessionBuilder } from '../../session/builder.ts';
import type { Lifecycle } from '../../session/lifecycle.ts';
import type { Registry } from '../../session/registry.ts';
import type { LiveSession } from '../../session/session.ts';
import type { Sink, SinkListener } from '../../http/sink.ts';
import { sessionHash } from '../../shown.ts';
import type { Handshake, MaybePromise } from '../../stores/store.ts';
import { base64url, type RandomSource } from '../../options/system.ts';
import { checkRequests } from './session-checks.ts';
import { checkTextDepth, checkValueDepth, type TooDeep } from '../json-depth.ts';

export interface LegacySseOptions {
  readonly options: ResolvedOptions;
  /** Its connections count against the limits of sessions, users and memory like the sessions of the registry. */
  readonly registry: Pick<Registry, 'takePlace' | 'shares' | 'held'>;
  readonly builder: SessionBuilder;
  readonly keepAlive: KeepAlive;
  readonly gate: RequestGate;
  readonly expiry: StreamExpiry;
  readonly ownerId: () => string;
  readonly random: RandomSource;
  readonly lifecycle: Lifecycle;
}

interface Connection {
  readonly id: string;
  readonly exchange: Exchange;
  readonly sink: SseSink;
  /** Gives back its places in `limits.sessions` and `limits.perUser.sessions`. */
  readonly leave: () => void;
  /** Set by its `initialize`. */
  session: LiveSession | undefined;
  state: 'connected' | 'opening' | 'open';
}

const NO_BYTES = new Uint8Array(0);
const ID_BYTES = 16;

/** `undefined`: not a path of this transport. */
export function legacySsePath(url: string): 'sse' | 'message' | undefined {
  const path = url.split('?', 1)[0]?.replace(/\/$/, '') ?? '';
  if (path.endsWith('/sse')) return 'sse';
  return path.endsWith('/message') ? 'message' : undefined;
}

export class LegacySseEra {
  readonly #options: ResolvedOptions;
  readonly #registry: LegacySseOptions['registry'];
  readonly #builder: SessionBuilder;
  readonly #keepAlive: KeepAlive;
  readonly #gate: RequestGate;
  readonly #expiry: StreamExpiry;
  readonly #ownerId: () => string;
  readonly #random: RandomSource;
  readonly #connections = new Map<string, Connection>();
  readonly #lifecycle: Lifecycle;

  constructor({ options, registry, builder, gate, keepAlive, expiry, ownerId, random, lifecycle }: LegacySseOptions) {
    this.#options = options;
    this.#registry = registry;
    this.#builder = builder;
    this.#keepAlive = keepAlive;
    this.#gate = gate;
    this.#expiry = expiry;
    this.#ownerId = ownerId;
    this.#random = random;
    this.#lifecycle = lifecycle;
  }

  /** Host and Origin have been checked. */
  serve(exchange: Exchange, path: 'sse' | 'message'): void {
    if (path === 'sse') {
      if (exchange.method === 'GET') this.#connect(exchange);
      else refuse(exchange, methodNotAllowed(exchange.method, 'GET'), null);
    } else if (exchange.method === 'POST') {
      this.#message(exchange);
    } else {
      refuse(exchange, methodNotAllowed(exchange.method, 'POST'), null);
    }
  }

  get busy(): boolean {
    for (const { session } of this.#connections.values()) if (session?.busy === true) return true;
    return false;
  }

  *sessions(): Generator<LiveSession> {
    for (const { session } of this.#connections.values()) if (session !== undefined) yield session;
  }

  #connect(exchange: Exchange): void {
    if (!acceptsStream(exchange.header('accept'))) return refuse(exchange, notAcceptable('text/event-stream'), null);
    attempt(exchange, async () => {
      let leave;
      try {
        leave = await this.#admitConnection(exchange);
      } catch (cause) {
        return refuse(exchange, answerable(cause, this.#options.logger, 'A connection could not be opened'), null);
      }
      if (exchange.closed) leave();
      else this.#begin(exchange, leave);
    });
  }

  /** Resolves with a function that gives back what the connection takes of the limits. */
  async #admitConnection({ user, clientAddress }: Exchange): Promise<() => void> {
    if (this.#lifecycle.prefersOthers) throw draining();
    const { sessions } = this.#options.perUser;
    const leaveShare = this.#registry.shares.reserve(user, clientAddress, sessions);
    if (leaveShare === undefined) throw overUserLimit('sessions', sessions);
    let leavePlace: (() => void) | undefined;
    const leave = (): void => {
      leaveShare();
      leavePlace?.();
    };
    try {
      leavePlace = await this.#registry.takePlace();
      if (this.#lifecycle.prefersOthers) throw draining();
    } catch (cause) {
      leave();
      throw cause;
    }
    return leave;
  }

  #begin(exchange: Exchange, leave: () => void): void {
    const id = base64url(this.#random(ID_BYTES));
    const sink = new SseSink(exchange, SSE_HEADERS, {
      keepAlive: this.#keepAlive,
      bufferBytes: this.#options.limits.streamBufferBytes,
      expiry: this.#expiry,
    });
    const connection: Connection = { id, exchange, sink, leave, session: undefined, state: 'connected' };
    this.#connections.set(id, connection);
    sink.listener = { sinkDone: () => this.#gone(connection) };
    const [path = ''] = exchange.url.split('?', 1);
    sink.event('endpoint', `${path.replace(/\/?$/, '').slice(0, -'/sse'.length)}/message?sessionId=${id}`);
  }

  #gone(connection: Connection): void {
    if (!this.#connections.delete(connection.id)) return;
    this.#giveBack(connection);
    void connection.session?.leave('deleted');
  }

  #giveBack({ leave, session }: Connection): void {
    leave();
    if (session !== undefined) this.#registry.held.delete(session);
  }

  #message(exchange: Exchange): void {
    const id = new URLSearchParams(exchange.url.split('?', 2)[1]).get('sessionId');
    if (id === null) return refusePlain(exchange, 'Missing sessionId parameter');
    const connection = this.#connections.get(id);
    if (connection === undefined) return refusePlain(exchange, 'Session not found: open GET /sse first');
    if (connection.exchange.user !== exchange.user) return refuse(exchange, otherUser(), null);
    const type = exchange.header('content-type');
    if (!isJsonContentType(type)) return refuse(exchange, unsupportedMediaType(type), null);
    const { bodyBytes } = this.#options.limits;
    if (Number(exchange.header('content-length')) > bodyBytes) return refuse(exchange, bodyTooLarge(bodyBytes), null);
    const received = (refusal: SojournError | undefined, bytes: Uint8Array): void => {
      if (refusal !== undefined) return refuse(exchange, refusal, null);
      const checked = this.#parse(exchange, bytes);
      if (typeof checked === 'string') return refusePlain(exchange, checked);
      if ('error' in checked) return refuse(exchange, checked.error, checked.id);
      const answer = (error: SojournError | undefined): void => {
        if (error === undefined) exchange.respond(202, PLAIN_HEADERS, 'Accepted');
        else refuse(exchange, error, checked.kind === 'request' ? checked.message.id : null);
      };
      const taken = this.#take(connection, exchange, checked);
      if (taken instanceof Promise) attempt(exchange, () => taken.then(answer));
      else answer(taken);
    };
    if (exchange.parsedBody === undefined) exchange.readBody(bodyBytes, received);
    else received(undefined, NO_BYTES);
  }

  #parse(exchange: Exchange, bytes: Uint8Array): Checked | TooDeep | string {
    let body = exchange.parsedBody;
    let deep: TooDeep | undefined;
    try {
      if (body === undefined) {
        const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
        deep = checkTextDepth(text);
        body = deep === undefined ? JSON.parse(text) : undefined;
      } else deep = checkValueDepth(body);
    } catch {
      return 'Invalid message: the body is not JSON in UTF-8';
    }
    if (deep !== undefined) return deep;
    const checked = checkMessage(body);
    return checked.kind === 'invalid' ? `Invalid message: ${checked.why}` : checked;
  }

  #take(connection: Connection, exchange: Exchange, checked: Checked): MaybePromise<SojournError | undefined> {
    const { session, state } = connection;
    if (session === undefined || state !== 'open') {
      if (checked.kind !== 'request' || checked.message.method !== 'initialize' || state === 'opening') {
        return checked.kind === 'request' ? invalidRequest('initialize comes first') : undefined;
      }
      return this.#initialize(connection, exchange, checked.message);
    }
    if (checked.kind === 'notification') session.inbound.notification(checked.message, exchange);
    else if (checked.kind === 'response') session.inbound.response(checked.message, exchange);
    else if (checked.kind === 'request') return this.#admit(session, connection, exchange, checked.message);
    return undefined;
  }

  #initialize(connection: Connection, exchange: Exchange, message: RpcRequest): SojournError | undefined {
    const handshake = checkedHandshake(message, this.#options.limits.handshakeBytes);
    if (handshake instanceof SojournError) return handshake;
    connection.state = 'opening';
    attempt(exchange, () => this.#open(connection, message, handshake));
    return undefined;
  }

  #admit(
    session: LiveSession,
    connection: Connection,
    exchange: Exchange,
    message: RpcRequest,
  ): MaybePromise<SojournError | undefined> {
    const admitted = session.authorizer?.admit(message, exchange.authInfo) ?? message;
    if (!(admitted instanceof Promise)) return this.#checkRequest(session, connection, exchange, admitted);
    return admitted.then((request) =>
      !session.left ? this.#checkRequest(session, connection, exchange, request) : undefined,
    );
  }

  #checkRequest(
    session: LiveSession,
    connection: Connection,
    exchange: Exchange,
    message: RpcRequest,
  ): MaybePromise<SojournError | undefined> {
    const scopes = session.transport.checkScopes([message], exchange.authInfo);
    if (!(scopes instanceof Promise)) return scopes ?? this.#request(session, connection, exchange, message);
    return scopes.then((refusal) => {
      if (refusal !== undefined || session.left) return refusal;
      return this.#request(session, connection, exchange, message);
    });
  }

  #request(
    session: LiveSession,
    { sink }: Connection,
    exchange: Exchange,
    message: RpcRequest,
  ): SojournError | undefined {
    const refusal = checkRequests(session, [message], this.#options.limits, this.#registry.held);
    if (refusal !== undefined) return refusal;
    const admissions = admitOnSession(this.#gate, exchange, [message]);
    if (admissions instanceof SojournError) return admissions;
    const stream = session.requests.open([message], false);
    stream.begin(new Channel(sink));
    session.requests.run(message, exchange, stream, admissions?.[0]);
    return undefined;
  }

  async #open(connection: Connection, message: RpcRequest, handshake: Handshake): Promise<void> {
    const { id, exchange, sink } = connection;
    try {
      const session = await this.#builder.connect(
        {
          id,
          fence: { epoch: 1, owner: this.#ownerId() },
          user: exchange.user,
          handshake,
          createdAt: this.#options.timeProvider.now(),
          unlogged: true,
        },
        exchange,
        false,
      );
      connection.session = session;
      if (!sink.open) {
        await session.leave('deleted');
        return;
      }
      const answer = await this.#builder.initialize(session, message, exchange);
      sink.message(JSON.stringify(answer), undefined);
      if (answer.error === undefined) {
        connection.state = 'open';
        session.getStream.use(new Channel(sink, () => sink.end()));
      } else {
        // The server refused, or the session ended while it was being opened.
        connection.session = undefined;
        connection.state = 'connected';
        await session.leave('closed');
      }
    } catch (cause) {
      connection.state = 'connected';
      const error = answerable(
        cause,
        this.#options.logger,
        `Session ${sessionHash(id)} of the 2024-11-05 transport could not be opened`,
      );
      sink.message(errorJson(error, message.id), undefined);
    }
  }

  /** Ends every connection, cleanly. */
  async close(): Promise<void> {
    const connections = [...this.#connections.values()];
    this.#connections.clear();
    await Promise.all(
      connections.map(async (connection) => {
        this.#giveBack(connection);
        await connection.session?.leave('closed');
        connection.sink.end();
      }),
    );
  }
}

/** Sends the messages of one POST, or of the session, on the only connection. Only the end of the session closes it. */
class Channel implements Sink {
  readonly #sink: SseSink;
  readonly #onEnd: (() => void) | undefined;
  listener: SinkListener | undefined = undefined;

  constructor(sink: SseSink, onEnd?: () => void) {
    this.#sink = sink;
    this.#onEnd = onEnd;
  }
  message(json: string): void {
    this.#sink.message(json, undefined);
  }
  prime(): void {}
  end(): void {
    this.#onEnd?.();
  }
  get open(): boolean {
    return this.#sink.open;
  }
}
