/**
 * The server of a session in front of a child of its own that speaks 2025 too. Requests and results
 * pass as they are. The SDK's server answers `initialize` with what the child answered, so no
 * second `initialize` reaches a child.
 */
import type { Notification, Server, ServerContext } from '@modelcontextprotocol/server';
import { thrownAnswer } from '../base/errors/answer-error.ts';
import { SessionView } from '../session/session-view.ts';
import { methodOf } from '../base/protocol/methods.ts';
import type { McpEndpointContext } from '../base/types.ts';
import {
  cancelled,
  type ChildListener,
  type Notified,
  type RpcParams,
  type Question,
  type Result,
} from './child.ts';
import type { Place, Watcher } from './place.ts';
import type { Described } from './probe.ts';
import type { Program } from './program.ts';
import { type Answer, newServer, refusingServer } from './new-server.ts';
import { ToolCalls } from './tool-calls.ts';
import { isBelow, LATEST_LEGACY, OWN_INFO } from './wire.ts';

/** People answer questions: the client's own limits end them. */
const NEVER_MS = 2 ** 31 - 1;

/** Takes any result of a client: the child gets it as it is. */
const ANY_RESULT = {
  '~standard': {
    version: 1 as const,
    vendor: 'sojourn',
    validate: (value: unknown) => ({ value: value as Result }),
  },
};

/** A session that is restored may only want its stream, so its child starts with its first request. */
export async function sessionServer(
  program: Program,
  ctx: McpEndpointContext,
  described: Described,
): Promise<Server> {
  const shared = program.shared(described);
  const place = shared ?? program.place(ctx, handshakeOf(ctx), false);
  if (!ctx.restored) {
    const { signal } = ctx.requestInfo ?? {};
    try {
      await place.ready(signal);
    } catch (cause) {
      if (shared === undefined) void program.pool.remove(place);
      const refusal = signal?.aborted === true ? cancelled() : program.refusalOf(cause);
      if (refusal === undefined) throw cause;
      return refusingServer(refusal, described);
    }
  }
  return new SessionServer(program, ctx, place, described).server;
}

function handshakeOf({ session }: McpEndpointContext) {
  return {
    protocolVersion: session?.protocolVersion ?? LATEST_LEGACY,
    capabilities: session?.clientCapabilities ?? {},
    clientInfo: session?.clientInfo ?? OWN_INFO,
  };
}

/** What the child answered this client. A restored session knows its version alone. */
function answerFor(place: Place, described: Described, { session }: McpEndpointContext): Answer {
  const { protocolVersion } = session ?? {};
  return { ...described, protocolVersion, ...(place.answer as Partial<Answer> | undefined) };
}

class SessionServer implements ChildListener, Watcher {
  readonly #program: Program;
  readonly #place: Place;
  /** They run, or wait for their child. */
  readonly #calls = new Set<ServerContext>();
  readonly #isShared: boolean;
  readonly #isListening: () => boolean;
  /** The level that its client set, where it is not sent to a child. */
  #level: string | undefined = undefined;
  /** Questions that belong to no call and wait for their answers. */
  readonly #ofNoCall = new Map<Question, AbortController>();
  readonly server: Server;

  constructor(program: Program, ctx: McpEndpointContext, place: Place, described: Described) {
    this.#program = program;
    this.#place = place;
    const isShared = (this.#isShared = place.tenant.isAll === true);
    const { session } = ctx;
    this.#isListening = () => session instanceof SessionView && session.isListening;
    const answer = answerFor(place, described, ctx);
    const { protocolVersion } = answer;
    // The shared child answered another client. The revisions of 2025 differ in what is optional.
    const isFixed = !isShared && protocolVersion !== undefined;
    this.server = newServer(
      ctx,
      answer,
      isFixed ? { supportedProtocolVersions: [protocolVersion] } : {},
    );
    this.#register(answer, new ToolCalls(program.rules, this));
    // A shared child has no client that it can ask.
    const leave = isShared ? () => {} : place.questions.listen(this);
    place.watch(this);
    this.server.onclose = () => {
      leave();
      program.leave(place, this);
    };
  }

  #register({ capabilities }: Answer, tools: ToolCalls): void {
    const { server } = this;
    server.fallbackRequestHandler = ({ method, params }, extra) => tools.run(method, params, extra);
    // Clients share what they set, so a shared child gets none of it.
    const isToldLevel = 'logging' in capabilities && !this.#isShared;
    server.setRequestHandler('logging/setLevel', async ({ method, params }, extra) => {
      if (!isToldLevel) {
        this.#level = params.level;
        return {};
      }
      this.#place.setLevel(params.level);
      return this.#setting(method, params, extra);
    });
    if (this.#isShared) return;
    server.oninitialized = () => this.#place.initialized();
    const pass = async ({ method, params }: Notification): Promise<void> => {
      this.#place.child?.notify(method, params);
    };
    server.fallbackNotificationHandler = pass;
    // A question has the progress token of the child, so the SDK knows none.
    server.setNotificationHandler('notifications/progress', pass);
  }

  forward(method: string, params: RpcParams, extra: ServerContext): Promise<Result> {
    const { replays } = methodOf(method);
    this.#carryQuestions(extra);
    if (replays !== 'subscribed' && replays !== 'unsubscribed')
      return this.#inChild(method, params, extra);
    return this.#subscribe(method, params, extra);
  }

  async #inChild(method: string, params: RpcParams, extra: ServerContext): Promise<Result> {
    const notified: Notified = (told, about) => this.#notify(told, about, extra);
    this.#calls.add(extra);
    try {
      const { signal } = extra.mcpReq;
      return await this.#program.forward(this.#place, method, params, { signal, notified });
    } finally {
      this.#calls.delete(extra);
    }
  }

  async #subscribe(method: string, params: RpcParams, extra: ServerContext): Promise<Result> {
    const [uri, wanted] = [String(params?.['uri']), methodOf(method).replays === 'subscribed'];
    const isFirst = this.#place.subscribe(this, uri, wanted);
    return isFirst || !this.#isShared ? this.#setting(method, params, extra) : {};
  }

  /** A child that starts later gets it then. */
  async #setting(method: string, params: RpcParams, extra: ServerContext): Promise<Result> {
    return this.#place.isWarm ? this.#inChild(method, params, extra) : {};
  }

  // ——— what the child sends ———

  /** A child does not say to which call a question belongs. The newest call has a stream for sure. */
  question(question: Question): void {
    this.#ask(question, [...this.#calls].at(-1));
  }

  /** A question of no call takes the GET stream, which some clients do not open. */
  #ask(question: Question, call: ServerContext | undefined): void {
    const { method, params, signal, answer, refuse } = question;
    const moved = new AbortController();
    if (call === undefined) this.#ofNoCall.set(question, moved);
    signal.addEventListener('abort', () => moved.abort(), { once: true });
    const options = {
      timeout: NEVER_MS,
      signal: moved.signal,
      ...(call !== undefined && { relatedRequestId: call.mcpReq.id }),
    };
    const request = { method, ...(params && { params }) };
    const over = (): boolean => call !== undefined || this.#ofNoCall.delete(question);
    this.server.request(request as never, ANY_RESULT, options).then(
      (result) => over() && answer(result),
      (cause: unknown) => {
        const { code, message } = thrownAnswer(cause);
        if (over()) refuse(code, message);
      },
    );
  }

  /** The stream of this call takes the questions that no GET stream took. The call waits for their answers. */
  #carryQuestions(call: ServerContext): void {
    if (this.#ofNoCall.size === 0 || this.#isListening()) return;
    const questions = [...this.#ofNoCall];
    this.#ofNoCall.clear();
    for (const [question, moved] of questions) {
      moved.abort();
      if (!question.signal.aborted) this.#ask(question, call);
    }
  }

  readonly notified: Notified = (method, params) => this.#notify(method, params);

  changed(method: string, params: RpcParams): void {
    this.#notify(method, params);
  }

  #notify(method: string, params: RpcParams, related?: ServerContext): void {
    if (isBelow(method, params, this.#level)) return;
    const options = related === undefined ? {} : { relatedRequestId: related.mcpReq.id };
    const notification = { method, ...(params && { params }) };
    this.server.notification(notification as never, options).catch(() => {});
  }
}
