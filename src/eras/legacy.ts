/**
 * The 2025 era with sessions (2025-03-26 to 2025-11-25, streamable HTTP): POST, GET, DELETE of one session, wherever it
 * lives. Order of checks after the door: session id → lookup → user → version of the session → id in flight → running
 * requests → dispatch.
 */
import type { RequestId } from '@modelcontextprotocol/server';
import type { Finder } from '../cluster/finder.ts';
import type { Instance } from '../cluster/instance.ts';
import {
  alreadyInitialized,
  batchNotAllowed,
  eventUnknown,
  lapsed,
  otherUser,
  requestIdInFlight,
  resumeUnsupported,
  restoreFailed,
  sessionIdInvalid,
  sessionIdMissing,
  type SojournError,
  storeAway,
  tooManyRequests,
  versionChanged,
} from '../errors.ts';
import { answerable, JSON_HEADERS, refuse } from '../http/answer.ts';
import type { Exchange } from '../http/exchange.ts';
import { JsonSink } from '../http/json-sink.ts';
import type { KeepAlive } from '../http/keep-alive.ts';
import { SSE_HEADERS } from '../http/sse.ts';
import { SseSink } from '../http/sse-sink.ts';
import type { Checked, RpcRequest } from '../jsonrpc.ts';
import type { ResolvedOptions } from '../options.ts';
import type { Opener } from '../session/opener.ts';
import { GET_STREAM, parseEventId } from '../session/event-id.ts';
import type { Registry } from '../session/registry.ts';
import type { SessionRecord } from '../stores/store.ts';
import type { LiveSession } from '../session/session.ts';
import { replayEvents, type Stream, type WriteResult } from '../session/stream.ts';
import type { MessageContext } from '../session/context.ts';
import { allowsBatches } from '../versions.ts';
import type { InboundPost } from './inbound.ts';

/** A POST whose request ids are taken. */
interface AdmittedPost {
  readonly post: InboundPost;
  readonly stream: Stream;
  readonly admitted: readonly MessageContext[];
  readonly echoed: RequestId | null;
}

/** What is relayed to the instance where the session lives. */
type LegacyCall =
  | { readonly kind: 'post'; readonly post: InboundPost }
  | { readonly kind: 'get'; readonly exchange: Exchange }
  | { readonly kind: 'delete'; readonly exchange: Exchange };

export interface LegacyOptions {
  readonly options: ResolvedOptions;
  readonly registry: Registry;
  readonly finder: Finder;
  readonly instance: Instance;
  readonly opener: Opener;
  readonly keepAlive: KeepAlive;
}

const SESSION_ID = /^[\x21-\x7e]+$/;

export class LegacyEra {
  readonly #options: ResolvedOptions;
  readonly #registry: Registry;
  readonly #finder: Finder;
  readonly #instance: Instance;
  readonly #opener: Opener;
  readonly #keepAlive: KeepAlive;

  constructor({ options, registry, finder, instance, opener, keepAlive }: LegacyOptions) {
    this.#options = options;
    this.#registry = registry;
    this.#finder = finder;
    this.#instance = instance;
    this.#opener = opener;
    this.#keepAlive = keepAlive;
  }

  post(post: InboundPost): void {
    const { exchange } = post;
    const [first] = post.messages;
    const id = exchange.header('mcp-session-id');
    if (id === undefined) {
      if (post.batch)
        return refuse(exchange, batchNotAllowed('a batch belongs to a session negotiated at 2025-03-26'), null);
      if (first?.kind === 'request' && first.message.method === 'initialize') {
        void this.#open(post, first.message);
        return;
      }
      return refuse(exchange, sessionIdMissing('POST'), echo(post));
    }
    this.#route(id, { kind: 'post', post }, echo(post));
  }

  get(exchange: Exchange): void {
    const id = exchange.header('mcp-session-id');
    if (id === undefined) return refuse(exchange, sessionIdMissing('GET'), null);
    this.#route(id, { kind: 'get', exchange }, null);
  }

  delete(exchange: Exchange): void {
    const id = exchange.header('mcp-session-id');
    if (id === undefined) return refuse(exchange, sessionIdMissing('DELETE'), null);
    this.#route(id, { kind: 'delete', exchange }, null);
  }

  /** A call that another instance handed over: its session lives here, or is to be opened here because that one drains. */
  relayed(call: unknown): void {
    const known = call as LegacyCall;
    (known.kind === 'post' ? known.post : known).exchange.relayed = true;
    if (known.kind === 'post') this.post(known.post);
    else this[known.kind](known.exchange);
  }

  #route(id: string, call: LegacyCall, echoed: RequestId | null): void {
    const { exchange } = call.kind === 'post' ? call.post : call;
    const limit = this.#options.limits.sessionIdLength;
    if (id.length > limit || !SESSION_ID.test(id)) return refuse(exchange, sessionIdInvalid(limit), echoed);
    // Without a lease nobody knows whether what is live here is still ours.
    if (!this.#instance.valid) return refuse(exchange, lapsed(), echoed);
    const live = this.#registry.get(id);
    if (live !== undefined) return this.#serve(live, call, echoed);
    void this.#find(id, call, echoed);
  }

  async #find(id: string, call: LegacyCall, echoed: RequestId | null): Promise<void> {
    const { exchange } = call.kind === 'post' ? call.post : call;
    try {
      for (let tries = 0; tries < 3; tries++) {
        const found = await (call.kind === 'delete'
          ? this.#finder.findToEnd(id, exchange)
          : this.#finder.find(id, exchange));
        if ('record' in found) {
          if (await this.#deleteRecord(found.record, exchange)) return;
        } else if ('here' in found) {
          // It may have left between the find and this turn.
          if (this.#registry.get(id) === found.here) return this.#serve(found.here, call, echoed);
        } else if (await this.#instance.relay(found.there, call)) return;
      }
      throw restoreFailed();
    } catch (cause) {
      this.#fail(exchange, cause, echoed);
    }
  }

  #fail(exchange: Exchange, cause: unknown, id: RequestId | null): void {
    refuse(exchange, answerable(cause, this.#options.logger, 'A request could not be served'), id);
  }

  #serve(session: LiveSession, call: LegacyCall, echoed: RequestId | null): void {
    const { exchange } = call.kind === 'post' ? call.post : call;
    if (session.user !== exchange.user) return refuse(exchange, otherUser(), echoed);
    const header = exchange.header('mcp-protocol-version');
    if (header !== undefined && header !== session.version) {
      return refuse(exchange, versionChanged(header, session.version), echoed);
    }
    if (call.kind !== 'delete') exchange.sessionId = session.id;
    if (call.kind === 'post') this.#servePost(session, call.post, echoed);
    else if (call.kind === 'get')
      void this.#serveGet(session, exchange).catch((cause: unknown) => this.#fail(exchange, cause, null));
    else void this.#serveDelete(session, exchange);
  }

  // ——— POST ———

  #servePost(session: LiveSession, post: InboundPost, echoed: RequestId | null): void {
    const { exchange, messages } = post;
    if (post.batch && !allowsBatches(session.version)) {
      const error = batchNotAllowed(`batches are not part of protocol revision ${session.version}`);
      return refuse(exchange, error, null);
    }
    const refusal = this.#checkRequests(session, messages);
    if (refusal !== undefined) return refuse(exchange, refusal, echoed);
    const requests = requestsOf(messages);
    if (requests.length === 0) {
      this.#registry.touch(session);
      this.#dispatchSilent(session, exchange, messages);
      exchange.respond(202, []);
      return;
    }
    const stream = session.openPost(requests.length, this.#options.responseMode === 'json');
    const admitted = requests.map((request) => session.admit(request, exchange, stream));
    const primed = session.prime(stream, requests, admitted);
    const admittedPost: AdmittedPost = { post, stream, admitted, echoed };
    if (!(primed instanceof Promise)) return this.#start(session, admittedPost, primed);
    void primed.then(
      (result) => this.#start(session, admittedPost, result),
      (cause: unknown) => this.#fail(exchange, cause, echoed),
    );
  }

  /** Everything that must be stored first is stored, or was refused: until here nothing has run, and nothing was sent. */
  #start(session: LiveSession, { post, stream, admitted, echoed }: AdmittedPost, primed: WriteResult): void {
    const { exchange, messages, batch } = post;
    if (primed === 'failed') {
      session.withdraw(admitted);
      return refuse(exchange, storeAway('writing before a call'), echoed);
    }
    if (primed === 'fenced' || session.left !== undefined) {
      // It is somebody else's now, or it has ended: whoever is found next says so.
      session.withdraw(admitted);
      void this.#find(session.id, { kind: 'post', post }, echoed);
      return;
    }
    session.begin(stream, stream.answersOnly ? new JsonSink(exchange, JSON_HEADERS, batch) : this.#sseSink(exchange));
    let next = 0;
    for (const checked of messages) {
      if (checked.kind !== 'request') {
        this.#dispatchSilent(session, exchange, [checked]);
        continue;
      }
      const context = admitted[next++];
      if (context !== undefined) session.dispatch(checked.message, context);
    }
  }

  #dispatchSilent(session: LiveSession, exchange: Exchange, messages: readonly Checked[]): void {
    for (const checked of messages) {
      if (checked.kind === 'notification') session.notification(checked.message, exchange);
      else if (checked.kind === 'response') session.response(checked.message, exchange);
    }
  }

  #checkRequests(session: LiveSession, messages: readonly Checked[]): SojournError | undefined {
    let counted = 0;
    for (const checked of messages) {
      if (checked.kind !== 'request') continue;
      const { id, method } = checked.message;
      if (method === 'initialize') return alreadyInitialized();
      if (session.running.get(id) !== undefined) return requestIdInFlight(id);
      if (method !== 'ping') counted += 1;
    }
    const limit = this.#options.limits.requestsPerSession;
    return counted > 0 && session.running.counted + counted > limit ? tooManyRequests(limit) : undefined;
  }

  #sseSink(exchange: Exchange): SseSink {
    return new SseSink(exchange, SSE_HEADERS, {
      keepAlive: this.#keepAlive,
      bufferBytes: this.#options.limits.streamBufferBytes,
    });
  }

  async #open(post: InboundPost, message: RpcRequest): Promise<void> {
    const { exchange } = post;
    try {
      if (!this.#instance.valid) throw lapsed();
      if (this.#opener.draining && !exchange.relayed) {
        const other = await this.#instance.otherServing();
        if (other !== undefined && (await this.#instance.relay(other, { kind: 'post', post }))) return;
      }
      const opened = await this.#opener.open(message, exchange);
      if (opened === undefined) return;
      const { session, answer } = opened;
      exchange.sessionId = session?.id;
      const json = JSON.stringify(answer);
      if (this.#options.responseMode === 'json') {
        exchange.respond(200, JSON_HEADERS, json);
        return;
      }
      if (session === undefined) {
        const sink = this.#sseSink(exchange);
        sink.message(json, undefined);
        sink.end();
        return;
      }
      const stream = session.openPost(1, false);
      await stream.prime();
      session.begin(stream, this.#sseSink(exchange));
      stream.send(json, true);
    } catch (cause) {
      this.#fail(exchange, cause, message.id);
    }
  }

  // ——— GET ———

  async #serveGet(session: LiveSession, exchange: Exchange): Promise<void> {
    const lastEventId = exchange.header('last-event-id');
    if (lastEventId !== undefined && lastEventId !== '') return this.#resume(session, exchange, lastEventId);
    await session.openGet(this.#sseSink(exchange));
  }

  async #resume(session: LiveSession, exchange: Exchange, lastEventId: string): Promise<void> {
    if (this.#options.eventRetention === false)
      throw resumeUnsupported('the server keeps no events (eventRetention: false)');
    if (!session.getStream.logged)
      throw resumeUnsupported(`protocol revision ${session.version} has no event ids here`);
    const position = parseEventId(lastEventId);
    if (position === undefined) throw eventUnknown('is not one of this server');
    if (position.tag !== session.log.tag) throw eventUnknown('belongs to another session');
    if (position.epoch > session.epoch) throw eventUnknown('is unknown: the store lost the stream it belongs to');
    const stream = session.resumable(position.stream);
    if (stream !== undefined) {
      if (await session.resume(stream, () => this.#sseSink(exchange), position.offset)) return;
      throw eventUnknown('has expired or is unknown: events after it are no longer kept');
    }
    if (position.stream === GET_STREAM) throw eventUnknown('is unknown');
    const outcome = await session.log.replay(position.stream, position.offset);
    if (!outcome.found || position.offset >= outcome.next) {
      throw eventUnknown('has expired or is unknown: its stream is no longer kept');
    }
    if (outcome.complete && outcome.events.every(({ data }) => data === '')) {
      // An event stream without an answer sends clients round for ever: those of the SDK's first line come back after every
      // answer that is an error, those of both lines after a cancelled call. 204 tells a reader of events not to come back.
      exchange.respond(204, []);
      return;
    }
    const sink = this.#sseSink(exchange);
    sink.prime(lastEventId, this.#options.retryMs);
    replayEvents(outcome.events, sink, position.stream, session.log);
    sink.end();
  }

  // ——— DELETE ———

  /** Of a session that is live nowhere; `false`: it was claimed meanwhile. */
  async #deleteRecord(record: SessionRecord, exchange: Exchange): Promise<boolean> {
    const header = exchange.header('mcp-protocol-version');
    if (header !== undefined && header !== record.version) throw versionChanged(header, record.version);
    if (!(await this.#finder.end(record, 'deleted'))) return false;
    exchange.respond(200, []);
    return true;
  }

  async #serveDelete(session: LiveSession, exchange: Exchange): Promise<void> {
    if (await this.#registry.end(session, 'deleted')) exchange.respond(200, []);
    else await this.#find(session.id, { kind: 'delete', exchange }, null);
  }

  /** The end of a session that may live anywhere; `false`: there is nothing to end. */
  async terminate(id: string): Promise<boolean> {
    const live = this.#registry.get(id);
    if (live !== undefined && (await this.#registry.end(live, 'terminated'))) return true;
    return this.#finder.terminate(id);
  }
}

function requestsOf(messages: readonly Checked[]): RpcRequest[] {
  const requests: RpcRequest[] = [];
  for (const checked of messages) if (checked.kind === 'request') requests.push(checked.message);
  return requests;
}

/** The id an error about a POST carries. */
function echo(post: InboundPost): RequestId | null {
  const [first] = post.messages;
  return !post.batch && first?.kind === 'request' ? first.message.id : null;
}
