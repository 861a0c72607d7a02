/**
 * The option `middleware`: code of the application around each run of a request in a server.
 *
 *     entered ──next()──▶ asked ──the handler answers──▶ answered ──it returns──▶ over
 *        │                  ├──it returns first: the handler is aborted───────▶ over
 *        ├──it returns its own answer───────────────────────────────────────▶ over
 *        ╰──the request ends first: `next()` rejects────────────────────────▶ over
 *
 * A run is around the handler (`handler-seam.ts`): `authorize`, scopes and limits have let the request pass. Until the
 * run and its handler have settled, the request counts as running, and holds its places. What the handler answers is
 * kept in `#served`: what this library learns from lists is never changed here.
 */
import {
  callCut,
  factoryFailed,
  internal,
  nextTwice,
  requestChanged,
  rpcError,
  SojournError,
} from '../../base/errors.ts';
import type { AuthInfo, RequestId } from '@modelcontextprotocol/server';
import type {
  Middleware,
  RequestAnswer,
  RequestChange,
  RunningRequest,
} from '../../base/options/middleware.ts';
import { userName } from '../../base/shown.ts';
import type { McpHttpRequest, McpSession } from '../../base/types.ts';
import { isObject, type RpcRequest, type RpcResponse } from '../../base/protocol/jsonrpc.ts';
import { takesName, takesUri } from '../../base/protocol/methods.ts';
import type { MaybePromise } from '../../stores/store.ts';
import { AnswerError, isAnswer, readable, thrownAnswer } from '../../base/errors/answer-error.ts';
import { nameIn } from '../../http/auth/request-names.ts';
import type { ResolvedOptions } from '../../base/options/endpoint-options.ts';
import { type Call, currentCall, type RunAround } from './call.ts';
import { changedContext, signalOf } from './handler-context.ts';
import type { CallHandler } from './handler-seam.ts';
import type { ScopeCheck } from './scopes.ts';
import { WatchedRun } from './watched-run.ts';

/** `undefined`: no function is around the run, and no listener wants its end. */
export function openRun(
  options: ResolvedOptions,
  transport: ScopeCheck,
  call: Call,
  attempt = 1,
): RunAround | undefined {
  const { middleware, notices } = options;
  const run =
    middleware.length === 0 ? undefined : new AroundRun(middleware, transport, call, attempt);
  return notices.wantsCalls ? new WatchedRun(options, call, attempt, run) : run;
}

class AroundRun implements RunAround {
  /** The first is the outermost. */
  readonly #functions: readonly Middleware[];
  readonly #transport: ScopeCheck;
  readonly call: Call;
  readonly attempt: number;
  #served: RpcResponse | undefined = undefined;
  #asked = false;
  /** Why the request ended, once it has. */
  #ended: SojournError | undefined = undefined;
  #rejectNext: ((reason: SojournError) => void) | undefined = undefined;
  #controller: AbortController | undefined = undefined;

  constructor(
    functions: readonly Middleware[],
    transport: ScopeCheck,
    call: Call,
    attempt: number,
  ) {
    this.#functions = functions;
    this.#transport = transport;
    this.call = call;
    this.attempt = attempt;
  }

  async run(request: RpcRequest, given: unknown, handler: CallHandler): Promise<unknown> {
    const aborting = new AbortController();
    const signal = AbortSignal.any([signalOf(given), aborting.signal]);
    const context = changedContext(given, signal, {});
    const ask: CallHandler = (changed) =>
      handler(changed, withMeta(context, changed.params?.['_meta'], request));
    let answer: RequestAnswer;
    try {
      answer = checked(
        await this.#enter(0, request, [request, namedBy(request), nameIn(request)], ask),
      );
    } catch (cause) {
      throw this.#failed(cause);
    } finally {
      if (this.#asked && this.#served === undefined) aborting.abort(callCut());
      this.#ended ??= callCut();
    }
    return this.#resultOf(answer);
  }

  /** The functions from the n-th on, and then the handler. */
  #enter(
    n: number,
    request: RpcRequest,
    entered: RequestAtEntry,
    ask: CallHandler,
  ): MaybePromise<RequestAnswer> {
    const around = this.#functions[n];
    if (around === undefined) return this.#ask(request, entered, ask);
    let isCalled = false;
    const enterNext = async (change?: RequestChange): Promise<RequestAnswer> => {
      if (isCalled) throw nextTwice();
      isCalled = true;
      return this.#enter(n + 1, changedBy(request, change, entered), entered, ask);
    };
    return around(new RequestOfRun(this, request), (change) => {
      const answer = enterNext(change);
      // A rejection that its caller does not await ends no process.
      answer.catch(() => {});
      return answer;
    });
  }

  async #ask(
    request: RpcRequest,
    entered: RequestAtEntry,
    ask: CallHandler,
  ): Promise<RequestAnswer> {
    if (this.#ended !== undefined) throw callCut();
    this.#asked = true;
    const ended = new Promise<never>((_, reject) => (this.#rejectNext = reject));
    const answer = await Promise.race([this.#answered(request, entered, ask), ended]);
    return (this.#served = answer);
  }

  async #answered(
    request: RpcRequest,
    [first, , name]: RequestAtEntry,
    ask: CallHandler,
  ): Promise<RpcResponse> {
    const { id } = this.call;
    const message = { jsonrpc: '2.0', ...(id !== undefined && { id }) } as const;
    const isChanged = request !== first || nameIn(request) !== name;
    const refused = isChanged ? await this.#askedAgain(request) : undefined;
    if (refused !== undefined) return { ...message, error: rpcError(refused) };
    try {
      const result = await currentCall.run(this.call, () => ask(request, undefined));
      const { refusal } = this.call;
      return refusal === undefined
        ? { ...message, result: result as never }
        : { ...message, error: rpcError(refusal) };
    } catch (cause) {
      const { refusal } = this.call;
      return { ...message, error: refusal === undefined ? thrownAnswer(cause) : rpcError(refusal) };
    }
  }

  /** A completion may name another prompt, and scopes may depend on arguments. */
  async #askedAgain(request: RpcRequest): Promise<SojournError | undefined> {
    const { authInfo, services, caller } = this.call;
    const authorizer = services?.authorizer;
    const isAllowed = (await authorizer?.allows(request, authInfo)) ?? true;
    this.call.isRefused = !isAllowed;
    return isAllowed
      ? this.#transport.checkScopes(
          [request],
          authInfo ??
            authorizer?.unscoped(caller?.request.url && new URL(caller.request.url).pathname),
        )
      : undefined;
  }

  servedIn(): RpcResponse | undefined {
    return this.#served;
  }

  over(error?: SojournError): void {
    if (this.#ended !== undefined) return;
    this.#ended = error ?? callCut();
    this.#controller?.abort(this.#ended);
    this.#rejectNext?.(this.#ended);
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#ended !== undefined && !this.#controller.signal.aborted)
      this.#controller.abort(this.#ended);
    return this.#controller.signal;
  }

  /** What the SDK gets for an answer: a result, or what it answers with an error. */
  #resultOf({ result, error }: RequestAnswer): unknown {
    const served = this.#served;
    const isServed =
      served !== undefined &&
      (error === undefined ? served.result === result : served.error === error);
    // A refusal of this library would be sent instead.
    if (!isServed && this.call.refusal !== undefined) this.call.refusal = undefined;
    if (error === undefined) return result;
    throw new AnswerError(error);
  }

  /** Like what a handler throws. Its message stays here, unless it is thrown to answer with it. */
  #failed(thrown: unknown): unknown {
    const cause = readable(thrown);
    if (cause instanceof SojournError && cause.status !== 500)
      return new AnswerError(rpcError(cause));
    if (isAnswer(cause)) return cause;
    if (this.#ended === undefined) this.call.noticeThrown(cause);
    return new AnswerError(rpcError(internal(cause)));
  }
}

/** A request as the application gets it. Most functions read little of it, so the rest is made when it is read. */
class RequestOfRun implements RunningRequest {
  readonly method: string;
  readonly id: RequestId;
  readonly params: Readonly<Record<string, unknown>> | undefined;
  readonly era: 'legacy' | 'modern';
  readonly #run: AroundRun;

  constructor(run: AroundRun, { method, id, params }: RpcRequest) {
    this.method = method;
    this.id = id;
    this.params = params;
    this.era = run.call.era;
    this.#run = run;
  }

  get name(): string | undefined {
    const { method, params } = this;
    return takesName(method) ? textOf(params?.['name']) : undefined;
  }

  get ranTool(): boolean {
    return this.#run.call.tool !== undefined;
  }

  get uri(): string | undefined {
    return takesUri(this.method) ? textOf(this.params?.['uri']) : undefined;
  }

  get arguments(): Readonly<Record<string, unknown>> | undefined {
    const given = this.name === undefined ? undefined : this.params?.['arguments'];
    return isObject(given) ? given : undefined;
  }

  get protocolVersion(): string | undefined {
    const { version } = this.#run.call;
    return version === '' ? undefined : version;
  }

  get session(): McpSession | undefined {
    return this.#run.call.session;
  }

  get authInfo(): AuthInfo | undefined {
    return this.#run.call.authInfo;
  }

  get userKey(): string | undefined {
    return this.#run.call.caller?.userKey;
  }

  get userName(): string | undefined {
    const { userKey: user } = this;
    return user && userName(user);
  }

  get attempt(): number {
    return this.#run.attempt;
  }

  get taskId(): string | undefined {
    return this.#run.call.task?.taskId;
  }

  get signal(): AbortSignal {
    return this.#run.signal;
  }

  header(name: string): string | undefined {
    return this.#run.call.caller?.header(name.toLowerCase());
  }

  get http(): McpHttpRequest {
    const { request } = this.#run.call;
    if (request === undefined) throw new Error('A request of a client without its HTTP request');
    return request;
  }
}

const textOf = (value: unknown): string | undefined =>
  typeof value === 'string' ? value : undefined;

/** What the request was when it entered. The application may write into it. */
type RequestAtEntry = readonly [request: RpcRequest, target: unknown, asked: string | undefined];

function changedBy(
  request: RpcRequest,
  change: RequestChange | undefined,
  [, target]: RequestAtEntry,
): RpcRequest {
  const { id, method, params } = request;
  if (change?.method !== undefined && change.method !== method)
    throw requestChanged(method, 'its method');
  if (change?.id !== undefined && change.id !== id) throw requestChanged(method, 'its id');
  const given: unknown = change?.params;
  if (given !== undefined && !isObject(given))
    throw requestChanged(method, 'its params into what is no object');
  const isOther = given !== undefined && given !== params;
  const meta = isOther && !('_meta' in given) ? params?.['_meta'] : undefined;
  const changed = isOther
    ? { ...request, params: meta === undefined ? given : { ...given, _meta: meta } }
    : request;
  // The application may have written into the params as well.
  if (namedBy(changed) !== target) throw requestChanged(method, 'what it names');
  return changed;
}

function checked(answer: unknown): RequestAnswer {
  if (isObject(answer)) {
    const { result, error } = answer;
    if (isObject(error) && Number.isInteger(error['code']) && typeof error['message'] === 'string')
      return answer;
    if (isObject(result)) return answer;
  }
  throw factoryFailed(
    'middleware must return the answer of next(), { result } or { error: { code, message } }',
  );
}

/** The context of a handler has the `_meta` of its request. */
function withMeta(context: unknown, meta: unknown, { params }: RpcRequest): unknown {
  if (!isObject(context) || meta === params?.['_meta']) return context;
  const { mcpReq } = context;
  return isObject(mcpReq)
    ? { ...context, mcpReq: { ...mcpReq, _meta: meta } }
    : { ...context, _meta: meta };
}

/** The tool, prompt or resource; `undefined`: the request names none. The `ref` of a completion may be another. */
function namedBy({ method, params }: RpcRequest): unknown {
  if (takesName(method)) return params?.['name'];
  return takesUri(method) ? params?.['uri'] : undefined;
}
