/**
 * The 2026-07-28 era: each request is served by itself, with a new server. `../ladder.ts` has the steps, after the
 * checks of this file: `mcp-headers.ts` compares headers with the body, and the SDK's classification decides about the
 * envelope (`request-envelopes.ts`). `../sessionless-requests.ts` runs the hooks and the factory, `../one-request.ts` is
 * the transport of each server. Only `subscriptions/listen` is served by the SDK's own handler (`listen.ts`).
 *
 * With `auto` and `sse` the head waits up to 30 ms, so that an early error can choose the HTTP status. Then a stream
 * is committed, and the answer follows as one event.
 */
import type { ServerEventBus } from '@modelcontextprotocol/server';
import { answerNotKept, headerMismatch, invalidRequest, SojournError } from '../../errors.ts';
import { answerable, errorJson, lostForm, refuse } from '../../http/answer.ts';
import { type Exchange, guarded } from '../../http/exchange.ts';
import { type ResponsePolicy, streamsOf } from '../../http/sink.ts';
import { HttpResponse } from '../../http/response.ts';
import { claimedVersion, type RpcRequest } from '../../protocol/jsonrpc.ts';
import type { ResolvedOptions } from '../../options/endpoint-options.ts';
import { quoted } from '../../base/shown.ts';
import { isModern, servedVersions } from '../../protocol/versions.ts';
import { checkListen } from '../message-checks.ts';
import { SessionlessRequests } from '../sessionless-requests.ts';
import type { ReceivedPost } from '../../inbound/inbound.ts';
import { endedId, parseCallEventId } from '../../session/streams/event-id.ts';
import { checkStandardHeaders } from './mcp-headers.ts';
import { ListenStreams } from './listen.ts';
import { type Classified, ModernEnvelopes } from './request-envelopes.ts';
import { type SentRpc, SessionlessCall, type SessionlessHost, type SessionlessOptions } from '../sessionless-call.ts';
import { ModernServers } from './servers.ts';
import type { TaskCalls, UnattendedRequest, UnattendedServer } from './task-calls.ts';

/**
 * How long the head waits for an answer that may choose the status. A server that dies before the head takes some
 * clients down with it; a later death costs them only the call. The CPU per request is the same with 20, 50 and 250.
 */
const HEAD_MS = 30;

export interface ModernOptions extends SessionlessOptions {
  readonly bus: ServerEventBus;
  /** `undefined`: without the option `tasks`. */
  readonly tasks: TaskCalls | undefined;
}

export class ModernEra implements UnattendedServer {
  readonly #given: ModernOptions & SessionlessHost;
  readonly #options: ResolvedOptions;
  readonly #requests: SessionlessRequests;
  readonly #envelopes: ModernEnvelopes;
  readonly #listens: ListenStreams;
  /** What the responses of each kind have in common. */
  readonly #responses: Record<'request' | 'listen' | 'notification' | 'returned', ResponsePolicy>;

  constructor(given: ModernOptions) {
    const { options, bus } = given;
    this.#given = { ...given, era: 'modern' };
    this.#options = options;
    const versions = servedVersions(options.sessionMode, options.supportedProtocolVersions).filter(isModern);
    this.#envelopes = new ModernEnvelopes(versions);
    this.#requests = new SessionlessRequests(given, new ModernServers(options, versions));
    this.#listens = new ListenStreams(options, bus, this.#requests);
    this.#responses = responsesOf(options);
  }

  /** `false`: the message is one of an earlier revision. */
  serve(post: ReceivedPost, header: string | undefined): boolean {
    const { exchange } = post;
    const [first] = post.messages;
    if (first?.kind !== 'request' && first?.kind !== 'notification') {
      refuse(exchange, invalidRequest('an answer cannot be posted in protocol revision 2026-07-28'), null);
      return true;
    }
    const request = first.kind === 'request' ? first.message : undefined;
    const claim = claimedVersion(first);
    const refusal = request === undefined ? undefined : this.#checkHeaders(exchange, request, header, claim);
    const version = typeof claim === 'string' ? claim : (header ?? '');
    const found = refusal ?? this.#classified(exchange, first, version, header);
    if (found === 'legacy' && request !== undefined) return false;
    // A notification that nothing says this era of: no rule covers it.
    if (found === 'legacy') exchange.respond(202, []);
    else if (found instanceof SojournError) refuse(exchange, found, request?.id ?? null);
    const admission = found === 'modern' ? this.#requests.takePlace(exchange, first) : undefined;
    if (admission === undefined) return true;
    const { tasks } = this.#given;
    if (request !== undefined && tasks?.serves(request) === true) {
      void this.#answerAboutTask(tasks, exchange, request).finally(() => admission.release());
      return true;
    }
    const policy = this.#policyOf(request);
    const response = new HttpResponse(exchange, policy);
    const task = request && tasks?.open({ exchange, response, request, version });
    const caller = task?.caller ?? exchange;
    const message = { caller, message: first, version, admission };
    const call = new SessionlessCall(message, task ?? response, this.#given);
    if (task !== undefined) task.onStart = this.#startOf(call);
    this.#serve(call);
    return true;
  }

  #classified(exchange: Exchange, sent: SentRpc, version: string, header: string | undefined): Classified {
    const found = this.#envelopes.classify(exchange, sent, version, header);
    if (found instanceof SojournError) {
      this.#options.logger.debug({ err: found }, 'The SDK refuses a request of 2026-07-28');
      this.#options.onerror?.(found);
    }
    return found;
  }

  #serve(call: SessionlessCall): void {
    const steps = call.listens ? [(listen: SessionlessCall) => this.#listens.serve(listen)] : undefined;
    guarded(call.caller, () => this.#requests.serve(call, steps));
  }

  /** Apart: as a closure in `serve` it let a sixth more bytes of each call outlive minor collections. */
  #startOf(call: SessionlessCall): () => void {
    return () => this.#becomesTask(call);
  }

  /** Its client is answered, and its handler runs on. */
  #becomesTask(call: SessionlessCall): void {
    this.#requests.becomeTask(call);
    call.admission?.leaveRequest();
  }

  async #answerAboutTask(tasks: TaskCalls, exchange: Exchange, request: RpcRequest): Promise<void> {
    const { id } = request;
    const response = new HttpResponse(exchange, this.#responses.notification);
    response.begin();
    try {
      const result = await tasks.answer(request, exchange);
      response.answer(`{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":${result}}`);
    } catch (cause) {
      response.refuse(answerable(cause, this.#options.logger, 'A request about a task could not be served'), id);
    }
  }

  /**
   * A GET whose `Last-Event-ID` names a request of this era. Its response cannot be resumed: when its connection broke,
   * the request was cancelled. Clients of most SDKs come back all the same, and those that saw no event id wait for
   * their timeout. So each stream begins with an event that has an id (`callEventId`), and this GET is answered at
   * once: an error says that the request may have run. A call that must outlive its connection is a task.
   */
  resumeGet(exchange: Exchange): void {
    const sink = new HttpResponse(exchange, this.#responses.returned);
    this.#given.gate.count(exchange);
    const position = parseCallEventId(exchange.header('last-event-id'));
    if (position === undefined || position.ended) return sink.done(204);
    const form = lostForm(this.#options, position.isTool ? 'tools/call' : undefined, 'modern');
    // The event id says that nothing follows, because some clients return after every error.
    sink.begin().message(errorJson(answerNotKept(), position.call, form), endedId(position));
    sink.end();
  }

  #policyOf(request: RpcRequest | undefined): ResponsePolicy {
    if (request === undefined) return this.#responses.notification;
    return request.method === 'subscriptions/listen' ? this.#responses.listen : this.#responses.request;
  }

  serveUnattended(unattended: UnattendedRequest, counts: boolean): void {
    const { caller, request, version } = unattended;
    const { gate } = this.#given;
    const enter = () => (unattended.launched ? gate.within(caller) : gate.enter(caller, request.method, false));
    const admission = counts ? enter() : undefined;
    if (admission instanceof SojournError) return unattended.refuse(admission, request.id);
    const message = { kind: 'request', message: request } as const;
    const sent = { caller, message, version, admission };
    const call = new SessionlessCall(sent, unattended, this.#given);
    call.own = caller;
    if (unattended.isTask === true) this.#becomesTask(call);
    else unattended.onStart = this.#startOf(call);
    this.#serve(call);
  }

  #checkHeaders(
    exchange: Exchange,
    request: RpcRequest,
    header: string | undefined,
    claim: unknown,
  ): SojournError | undefined {
    const headerIsModern = header !== undefined && isModern(header);
    const claimIsModern = typeof claim === 'string' && isModern(claim);
    if (request.method === 'initialize' && !claimIsModern) {
      return headerIsModern
        ? headerMismatch('MCP-Protocol-Version', header, 'but initialize is the handshake of earlier revisions')
        : undefined;
    }
    if (typeof claim === 'string' && header !== claim) {
      return headerMismatch('MCP-Protocol-Version', header, `the body names protocol version ${quoted(claim)}`);
    }
    return checkStandardHeaders(exchange, request) ?? checkListen(request);
  }

  get running(): number {
    return this.#requests.running;
  }

  /** Ends what runs. The lifecycle refuses new requests already. */
  async close(): Promise<void> {
    const closing = this.#requests.closeAll();
    await this.#listens.close();
    await closing;
  }
}

function responsesOf(options: ResolvedOptions) {
  const { responseMode } = options;
  const returned: ResponsePolicy = { ...streamsOf(options), form: 'events' };
  const notification: ResponsePolicy = { ...returned, form: 'json' };
  const form = responseMode === 'sse' ? 'events' : responseMode;
  const request: ResponsePolicy = form === 'json' ? notification : { ...returned, form, headMs: HEAD_MS };
  return { request, listen: { ...request, endsWithHost: true, endsWithToken: true }, notification, returned };
}
