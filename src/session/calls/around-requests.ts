/**
 * The option `aroundRequest`: code of the application around each run of a request in a server.
 *
 *     entered ──next()──▶ asked ──the server answers──▶ answered ──it returns──▶ over
 *        │                  ├──it returns first: the handler is aborted────────▶ over
 *        ├──it returns its own answer────────────────────────────────────────▶ over
 *        ├──the request ends first: `next()` rejects─────────────────────────▶ over
 *        ╰──a limit refuses its handler: no function runs─────────────────────▶ skipped
 *
 * A run is the last step into a server (`eras/ladder.ts`): `authorize`, scopes and limits have let the request pass. It
 * has the context of its handler. `next()` enters the server in the asynchronous context of its caller, so that a
 * handler finds what the application has entered. Until the run is over, the request counts as running, and holds its
 * places. The answer of the server is seen by this library first: what it learns from lists is never changed here.
 */
import type { AuthInfo } from '@modelcontextprotocol/server';
import { callCut, internal, nextTwice, requestChanged, rpcError, SojournError } from '../../errors.ts';
import type { Notices } from '../../observe/notices.ts';
import type { AroundRequest, NextRun, RequestAnswer, RequestChange } from '../../options/around-request.ts';
import type { ResolvedOptions } from '../../options/endpoint-options.ts';
import { follow, type Transitions } from '../../base/transitions.ts';
import { isObject, type RpcRequest, type RpcResponse, takesName } from '../../protocol/jsonrpc.ts';
import type { MaybePromise } from '../../stores/store.ts';
import { type Authorizer, isRenamed, nameIn } from './authorizer.ts';
import { isAnswer } from './answer-error.ts';
import { type Call, currentCall, type RunAround } from './call.ts';
import { RequestOfRun } from './request-of-run.ts';

/** The server that a run leads to: of a session, or of one request. */
export interface RunPlace {
  readonly era: 'legacy' | 'modern';
  readonly version: string;
  checkScopes(requests: readonly RpcRequest[], authInfo: AuthInfo | undefined): MaybePromise<SojournError | undefined>;
  /** Gives the request to the server. */
  receive(request: RpcRequest, call: Call): void;
  /** Sends the answer. `handlerRuns`: the server has not answered, and its handler must be aborted. */
  answered(call: Call, answer: RpcResponse, handlerRuns: boolean): void;
}

export interface AroundHost {
  /** `undefined`: without the option. */
  readonly around: AroundRequests | undefined;
}

interface RunHost {
  readonly notices: Notices;
  readonly authorizer: Authorizer | undefined;
}

export class AroundRequests {
  readonly functions: readonly AroundRequest[];
  readonly host: RunHost;

  /** `functions`: the first is the outermost. */
  constructor(functions: readonly AroundRequest[], host: RunHost) {
    this.functions = functions;
    this.host = host;
  }

  /** `undefined`: `authorize` refuses the request, and its server only answers that there is no such thing. */
  open(place: RunPlace, call: Call, request: RpcRequest, attempt = 1): RunAround | undefined {
    return isRenamed(request) ? undefined : new AroundRun(this, place, call, request, attempt);
  }
}

/** `next()` of the last function, until the server has answered. */
interface Awaited {
  readonly resolve: (answer: RequestAnswer) => void;
  readonly reject: (error: unknown) => void;
}

/** `undefined`: the option is not set. */
export function aroundRequestsOf(
  { aroundRequest, notices }: Pick<ResolvedOptions, 'aroundRequest' | 'notices'>,
  authorizer: Authorizer | undefined,
): AroundRequests | undefined {
  return aroundRequest.length === 0 ? undefined : new AroundRequests(aroundRequest, { notices, authorizer });
}

type State = 'entered' | 'asked' | 'answered' | 'over' | 'skipped';

const STATES: Transitions<State> = {
  entered: ['asked', 'over', 'skipped'],
  asked: ['answered', 'over'],
  answered: ['over'],
  over: [],
  skipped: [],
};

class AroundRun implements RunAround {
  readonly #around: AroundRequests;
  readonly #place: RunPlace;
  readonly #call: Call;
  readonly #request: RpcRequest;
  readonly #names: readonly [target: unknown, asked: string | undefined];
  readonly attempt: number;
  #state: State = 'entered';
  #answer: Awaited | undefined = undefined;
  #controller: AbortController | undefined = undefined;

  constructor(around: AroundRequests, place: RunPlace, call: Call, request: RpcRequest, attempt: number) {
    this.#around = around;
    this.#place = place;
    this.#call = call;
    this.#request = request;
    this.#names = [namedBy(request), nameIn(request)];
    this.attempt = attempt;
  }

  #become(next: State): void {
    this.#state = follow(STATES, this.#state, next);
  }

  start(): void {
    const { work } = this.#call;
    try {
      work.begin();
    } catch {
      // A limit refuses the handler too, or the request has ended.
      this.#become('skipped');
      return this.#place.receive(this.#request, this.#call);
    }
    void this.#run().finally(() => work.settle());
  }

  async #run(): Promise<void> {
    let answer: RpcResponse;
    try {
      answer = this.#checked(await this.#enter(0, this.#request));
    } catch (cause) {
      answer = this.#failed(cause);
    }
    if (this.#state === 'over') return;
    const handlerRuns = this.#state === 'asked';
    this.#become('over');
    this.#place.answered(this.#call, answer, handlerRuns);
  }

  /** The functions from the n-th on, and then the server. */
  #enter(n: number, request: RpcRequest): MaybePromise<RequestAnswer> {
    const around = this.#around.functions[n];
    if (around === undefined) return this.#ask(request);
    let isCalled = false;
    const next = async (change?: RequestChange): Promise<RequestAnswer> => {
      if (isCalled) throw nextTwice();
      isCalled = true;
      return this.#enter(n + 1, this.#changed(request, change));
    };
    return around(new RequestOfRun(this.#call, this.#place, request, this), handled(next));
  }

  #changed(request: RpcRequest, change: RequestChange | undefined): RpcRequest {
    const { id, method, params } = request;
    if (change?.method !== undefined && change.method !== method) throw requestChanged(method, 'its method');
    if (change?.id !== undefined && change.id !== id) throw requestChanged(method, 'its id');
    const given: unknown = change?.params;
    if (given !== undefined && !isObject(given)) throw requestChanged(method, 'its params into what is no object');
    const isOther = given !== undefined && given !== params;
    const meta = isOther && !('_meta' in given) ? params?.['_meta'] : undefined;
    const changed = isOther ? { ...request, params: meta === undefined ? given : { ...given, _meta: meta } } : request;
    // The application may have written into the params as well.
    if (namedBy(changed) !== this.#names[0]) throw requestChanged(method, 'what it names');
    return changed;
  }

  #ask(request: RpcRequest): Promise<RequestAnswer> {
    if (this.#state !== 'entered') return Promise.reject(callCut());
    this.#become('asked');
    return new Promise((resolve, reject) => {
      this.#answer = { resolve, reject };
      const allowed = this.#allowed(request);
      if (allowed instanceof Promise) allowed.then((one) => this.#give(one)).catch(reject);
      else this.#give(allowed);
    });
  }

  #give(request: RpcRequest | SojournError): void {
    const { id } = this.#request;
    if (this.#state !== 'asked') return;
    if (request instanceof SojournError) this.take({ jsonrpc: '2.0', id, error: rpcError(request) });
    else currentCall.run(this.#call, () => this.#place.receive(request, this.#call));
  }

  /** Asks about a changed request again. */
  #allowed(request: RpcRequest): MaybePromise<RpcRequest | SojournError> {
    if (request === this.#request && nameIn(request) === this.#names[1]) return request;
    return this.#askedAgain(request);
  }

  async #askedAgain(request: RpcRequest): Promise<RpcRequest | SojournError> {
    const { authInfo } = this.#call;
    const allowed = (await this.#around.host.authorizer?.asAllowed(request, authInfo)) ?? request;
    return (await this.#place.checkScopes([allowed], authInfo)) ?? allowed;
  }

  take(answer: RpcResponse): boolean {
    if (this.#state === 'skipped') return false;
    if (this.#state !== 'asked') return true;
    this.#become('answered');
    this.#answer?.resolve(answer);
    return true;
  }

  over(error?: SojournError): void {
    if (this.#state === 'over' || this.#state === 'skipped') return;
    this.#become('over');
    const reason = error ?? callCut();
    this.#controller?.abort(reason);
    this.#answer?.reject(reason);
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#state === 'over' && !this.#controller.signal.aborted) this.#controller.abort(callCut());
    return this.#controller.signal;
  }

  /** An answer of the server is passed on as it is. */
  #checked(answer: unknown): RpcResponse {
    const { id } = this.#request;
    if (isObject(answer)) {
      const { result, error } = answer;
      if (answer['jsonrpc'] === '2.0' && answer['id'] === id) return answer as unknown as RpcResponse;
      if (isObject(error) && Number.isInteger(error['code']) && typeof error['message'] === 'string')
        return { jsonrpc: '2.0', id, error: error as unknown as NonNullable<RpcResponse['error']> };
      if (isObject(result)) return { jsonrpc: '2.0', id, result };
    }
    throw new TypeError('aroundRequest must return the answer of next(), { result } or { error: { code, message } }');
  }

  /** Like what a handler throws. Its message stays here, unless it is thrown to answer with it. */
  #failed(cause: unknown): RpcResponse {
    const { id } = this.#request;
    if (cause instanceof SojournError && cause.status !== 500) return { jsonrpc: '2.0', id, error: rpcError(cause) };
    if (isAnswer(cause)) {
      const { code, message, data } = cause;
      return { jsonrpc: '2.0', id, error: { code, message, ...(data !== undefined && { data }) } };
    }
    if (this.#state !== 'over') this.#call.noticeThrown(cause, this.#around.host.notices);
    return { jsonrpc: '2.0', id, error: rpcError(internal(cause)) };
  }
}

/** A rejection that its caller does not await ends no process. */
function handled(next: NextRun): NextRun {
  return (change) => {
    const answer = next(change);
    answer.catch(() => {});
    return answer;
  };
}

/** The tool, prompt or resource; `undefined`: the request names none. The `ref` of a completion may be another. */
function namedBy({ method, params }: RpcRequest): unknown {
  if (takesName(method)) return params?.['name'];
  return method.startsWith('resources/') ? params?.['uri'] : undefined;
}
