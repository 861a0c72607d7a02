/**
 * The 2026-07-28 era: each request is served by itself, with a new server. `../ladder.ts` has the steps, after the
 * checks of this file: `mcp-headers.ts` compares headers with the body, and the SDK's classification decides about the
 * envelope (`request-envelopes.ts`). `./sessionless-requests.ts` runs the hooks and the factory, `./one-request.ts` is
 * the transport of each server. Only `subscriptions/listen` is served by the SDK's own handler (`listen.ts`).
 *
 * With `auto` and `sse` the head waits up to `keepAliveMs` for the first message, so that an early error can choose
 * the HTTP status, and a crash before it breaks the connection: a client with the head alone waits for its time-out.
 * Then a stream is committed, and the answer follows as one event.
 */
import type { ServerEventBus } from '@modelcontextprotocol/server';
import {
  answerNotKept,
  headerMismatch,
  invalidRequest,
  SojournError,
  unsupportedVersion,
} from '../../base/errors.ts';
import { answerable, errorJson, lostForm, refuse } from '../../http/answer.ts';
import { type Exchange, guarded } from '../../http/exchange.ts';
import type { ResponsePolicy } from '../../http/sink.ts';
import { HttpResponse } from '../../http/response.ts';
import { claimedVersion, type RpcRequest, toolOf } from '../../base/protocol/jsonrpc.ts';
import { listsTools, roleOf } from '../../base/protocol/methods.ts';
import type { ResolvedOptions } from '../../base/options/endpoint-options.ts';
import { knownClient } from '../../base/clients/known.ts';
import { tellRefused } from '../../base/observe/observer.ts';
import { quoted } from '../../base/shown.ts';
import { isModern, servedVersions } from '../../base/protocol/versions.ts';
import { checkListen } from '../message-checks.ts';
import { SessionlessRequests } from './sessionless-requests.ts';
import type { PostBody } from '../../session/inbound/inbound.ts';
import { endedId, parseCallEventId } from '../../session/streams/event-id.ts';
import {
  checkParamHeaders,
  checkStandardHeaders,
  mirroredHeaders,
} from '../../http/mcp-headers.ts';
import { ListenStreams } from './listen.ts';
import { ModernEnvelopes } from './request-envelopes.ts';
import { MirroredParams } from './mirrored-params.ts';
import { SessionlessCall, type SessionlessOptions } from './sessionless-call.ts';
import { givenInstructions, handlerOf } from '../../sdk/sdk-server.ts';
import {
  type AnyServer,
  bindToRevision,
  isMcpServer,
  modernServerOf,
} from '../../sdk/server-shape.ts';
import { rememberSchemas } from '../../sdk/tools.ts';
import type { EventRequests } from '../../durable/events/event-requests.ts';
import { EVENT_CAPABILITIES } from '../../durable/events/event-wire.ts';
import type { TaskRequests } from '../../durable/tasks/task-requests.ts';
import type { TaskRun } from '../../durable/tasks/task-run.ts';
import { TASKS_EXTENSION } from '../../durable/tasks/wire-shapes.ts';

/** For clients with the quirk `early-head`. Most answers come sooner. */
const EARLY_HEAD_MS = 30;
/** The rows of this quirk ask only for the `User-Agent`. */
const UNNAMED = { name: '' };

const DISCOVER = 'server/discover';

type BoundServer = NonNullable<ReturnType<typeof modernServerOf>>;

export interface ModernOptions extends SessionlessOptions {
  readonly bus: ServerEventBus;
  /** `undefined`: without the option `tasks`. */
  readonly tasks: TaskRequests | undefined;
  readonly events: EventRequests | undefined;
}

export class ModernEra extends SessionlessRequests {
  readonly #tasks: TaskRequests | undefined;
  readonly #events: EventRequests | undefined;
  /** The revisions of this era that are served. */
  readonly #versions: readonly string[];
  readonly #envelopes: ModernEnvelopes;
  readonly #listens: ListenStreams;
  readonly #mirrored = new MirroredParams();
  /** What the responses of each kind have in common. */
  readonly #responses: Record<
    'request' | 'early' | 'listen' | 'notification' | 'returned',
    ResponsePolicy
  >;

  constructor(given: ModernOptions) {
    super({ ...given, era: 'modern' });
    const { options, bus } = given;
    this.#tasks = given.tasks;
    this.#events = given.events;
    this.#versions = servedVersions(options.sessionMode, options.supportedProtocolVersions).filter(
      isModern,
    );
    this.#envelopes = new ModernEnvelopes(this.#versions);
    this.#listens = new ListenStreams(options, bus, this);
    this.#responses = responsesOf(options);
  }

  /** `false`: the message is one of an earlier revision. */
  post(exchange: Exchange, { messages: [first] }: PostBody, header: string | undefined): boolean {
    if (first?.kind !== 'request' && first?.kind !== 'notification') {
      refuse(
        exchange,
        invalidRequest('an answer cannot be posted in protocol revision 2026-07-28'),
        null,
      );
      return true;
    }
    const request = first.kind === 'request' ? first.message : undefined;
    const claim = claimedVersion(first);
    const refusal =
      request === undefined ? undefined : this.#checkHeaders(exchange, request, header, claim);
    const version = typeof claim === 'string' ? claim : (header ?? '');
    const found = refusal ?? this.#envelopes.classify(exchange, first, version, header);
    if (found instanceof SojournError && found !== refusal)
      tellRefused(this.host.options, found, 'The SDK refuses a request of 2026-07-28');
    if (found === 'legacy' && request !== undefined) return false;
    // A notification that nothing says this era of: no rule covers it.
    if (found === 'legacy') exchange.respond(202, []);
    else if (found instanceof SojournError) refuse(exchange, found, request?.id ?? null);
    const admission = found === 'modern' ? this.takePlace(exchange, first) : undefined;
    if (admission === undefined) return true;
    const tasks = this.#tasks;
    if (request !== undefined && tasks?.serves(request) === true) {
      void this.#answerAboutTask(tasks, exchange, request).finally(() => admission.release());
      return true;
    }
    const events = this.#events;
    if (request !== undefined && events?.serves(request) === true) {
      const answered = this.#answerEvents(events, exchange, request);
      void answered.finally(() => admission.release());
      return true;
    }
    const response = new HttpResponse(
      exchange,
      this.#responses[kindOf(exchange, request, version)],
    );
    const task = request && tasks?.open(exchange, response, request, version);
    const caller = task?.caller ?? exchange;
    const call = new SessionlessCall(
      this.host,
      first,
      caller,
      version,
      admission,
      task ?? response,
    );
    if (task !== undefined) task.onStart = this.#startOf(call);
    this.#serve(call);
    return true;
  }

  #checkHeaders(
    exchange: Exchange,
    request: RpcRequest,
    header: string | undefined,
    claim: unknown,
  ): SojournError | undefined {
    const headerIsModern = header !== undefined && isModern(header);
    const claimIsModern = typeof claim === 'string' && isModern(claim);
    if (roleOf(request.method) === 'handshake' && !claimIsModern) {
      return headerIsModern
        ? headerMismatch(
            'MCP-Protocol-Version',
            header,
            'but initialize is the handshake of earlier revisions',
          )
        : undefined;
    }
    if (typeof claim === 'string' && header !== claim) {
      return headerMismatch(
        'MCP-Protocol-Version',
        header,
        `the body names protocol version ${quoted(claim)}`,
      );
    }
    return checkStandardHeaders(exchange, request) ?? checkListen(request);
  }

  /** Calls the handler of a run that no request of a client has brought. */
  serveUnattended(run: TaskRun): void {
    const { caller, request, version } = run;
    const { gate } = this.host;
    // A request of its user waits for a launched one, and is counted.
    const admission = run.launched
      ? gate.within(caller)
      : gate.enter(caller, request.method, false);
    if (admission instanceof SojournError) return run.refuse(admission, request.id);
    const sent = { kind: 'request', message: request } as const;
    const call = new SessionlessCall(this.host, sent, caller, version, admission, run);
    call.own = caller;
    if (run.taskId !== undefined) admission.leaveRequest();
    else run.onStart = this.#startOf(call);
    this.#serve(call);
  }

  #serve(call: SessionlessCall): void {
    const steps = call.listens
      ? [(listen: SessionlessCall) => this.#listens.serve(listen)]
      : undefined;
    guarded(call.caller, () => this.serve(call, steps));
  }

  /** Apart: as a closure in `serve` it let a sixth more bytes of each call outlive minor collections. */
  #startOf(call: SessionlessCall): () => void {
    return () => call.admission?.leaveRequest();
  }

  async #answerEvents(
    events: EventRequests,
    exchange: Exchange,
    request: RpcRequest,
  ): Promise<void> {
    const answer = events.answer(request, exchange);
    const json = answer.then((rest) => JSON.stringify({ jsonrpc: '2.0', id: request.id, ...rest }));
    await this.#answerAlone(exchange, request, json, 'events');
  }

  async #answerAboutTask(
    tasks: TaskRequests,
    exchange: Exchange,
    request: RpcRequest,
  ): Promise<void> {
    const id = JSON.stringify(request.id);
    const json = tasks
      .answer(request, exchange)
      .then((result) => `{"jsonrpc":"2.0","id":${id},"result":${result}}`);
    await this.#answerAlone(exchange, request, json, 'a task');
  }

  /** No server is made for the request. `json`: the message of its answer. */
  async #answerAlone(
    exchange: Exchange,
    { id }: RpcRequest,
    json: Promise<string>,
    about: string,
  ): Promise<void> {
    const response = new HttpResponse(exchange, this.#responses.notification);
    response.begin();
    try {
      response.answer(await json);
    } catch (cause) {
      const failed = `A request about ${about} could not be served`;
      response.refuse(answerable(cause, this.host.options.logger, failed), id);
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
    this.host.gate.count(exchange);
    const position = parseCallEventId(exchange.header('last-event-id'));
    if (position === undefined || position.ended) return sink.done(204);
    const form = lostForm(this.host.options, position.isTool ? 'tools/call' : undefined, 'modern');
    // The event id says that nothing follows, because some clients return after every error.
    sink.begin().message(errorJson(answerNotKept(), position.call, form), endedId(position));
    sink.end();
  }

  override async close(): Promise<void> {
    const closing = super.close();
    await this.#listens.close();
    await closing;
  }

  // ——— its servers ———

  /** The server is bound to the revision, and mirrored arguments are compared with it. */
  protected accept(call: SessionlessCall, server: AnyServer): void {
    const inner = modernServerOf(server);
    if (inner === undefined) throw this.#unsupported(call);
    if (roleOf(call.method) === 'discover') this.#answerDiscover(call, inner);
    const { sent } = call;
    // A mismatch would tell the caller that a hidden tool exists, and what it mirrors.
    const tool = sent && !call.isRefused ? toolOf(sent) : undefined;
    if (tool !== undefined && isMcpServer(server)) {
      rememberSchemas(server, tool);
      const given = [server.toolInputSchemaJson(tool), sent?.params?.['arguments']] as const;
      const refusal = call.own === undefined ? checkParamHeaders(call.caller, ...given) : undefined;
      if (refusal !== undefined) throw refusal;
      call.own?.addHeaders(mirroredHeaders(...given));
    }
    setClientAccessors(inner, call);
    // A server that is connected already is refused by its `connect`.
    if (inner.transport === undefined) bindToRevision(inner, call.version);
  }

  /** A copy of the SDK that keeps the revision elsewhere serves earlier revisions alone. */
  protected override connected(
    call: SessionlessCall,
    server: AnyServer,
  ): Promise<void> | undefined {
    if (modernServerOf(server)?.getNegotiatedProtocolVersion() !== call.version)
      throw this.#unsupported(call);
    if (isMcpServer(server)) return undefined;
    if (listsTools(call.method)) call.listener = this.#mirrored;
    return this.#mirrored.compare(call, server);
  }

  /** The SDK registers the handler where the options of a server name the revision. */
  #answerDiscover(call: SessionlessCall, server: BoundServer): void {
    if (this.host.options.tasks)
      server.registerCapabilities({ extensions: { [TASKS_EXTENSION]: {} } });
    if (this.host.options.events) server.registerCapabilities(EVENT_CAPABILITIES);
    if (handlerOf(server, DISCOVER) !== undefined) return;
    const described = { supportedVersions: [...this.#versions], ...givenInstructions(server) };
    try {
      server.setRequestHandler(DISCOVER, () => ({
        ...described,
        capabilities: { ...server.getCapabilities() },
      }));
    } catch {
      throw this.#unsupported(call);
    }
  }

  #unsupported(call: SessionlessCall): Error {
    const legacy = this.host.options.supportedProtocolVersions.filter(
      (version) => !isModern(version),
    );
    return unsupportedVersion(call.version, legacy);
  }
}

/** Sets the accessors of the handshake, which this era lacks. The SDK's own handler writes what they read. */
function setClientAccessors(
  server: BoundServer,
  { clientInfo, clientCapabilities }: SessionlessCall,
): void {
  if (clientInfo !== undefined) server.getClientVersion = () => clientInfo;
  if (clientCapabilities !== undefined) server.getClientCapabilities = () => clientCapabilities;
}

function kindOf(exchange: Exchange, request: RpcRequest | undefined, protocol: string) {
  if (request === undefined) return 'notification';
  if (roleOf(request.method) === 'listen') return 'listen';
  const facts = { userAgent: exchange.header('user-agent'), clientInfo: UNNAMED, protocol };
  return knownClient('early-head', facts) === undefined ? 'request' : 'early';
}

function responsesOf({ responseMode, keepAliveMs }: ResolvedOptions) {
  const returned: ResponsePolicy = { form: 'events' };
  const notification: ResponsePolicy = { ...returned, form: 'json' };
  const form = responseMode === 'sse' ? 'events' : 'auto';
  const stream: ResponsePolicy = { ...returned, form, headMs: keepAliveMs };
  const request = responseMode === 'json' ? notification : stream;
  const early = { ...request, headMs: Math.min(EARLY_HEAD_MS, keepAliveMs) };
  return {
    request,
    early,
    listen: { ...stream, endsWithHost: true, endsWithToken: true },
    notification,
    returned,
  };
}
