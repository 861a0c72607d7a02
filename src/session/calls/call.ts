/**
 * A call: one message in a server, a request most often. The same object has three uses, because this is the hot path.
 * It is the SDK's `extra`. `AsyncLocalStorage` carries it through the handler, so that messages of the handler find the
 * stream of its request, and `currentSession()` works. Of a request it is the entry under which the answer is awaited.
 *
 * The call alone says whether it is over, and how (`CallEnd`). Its handler may run on: what the call holds, its places in
 * the limits and the bytes of its request, is released once it is over and its handler has settled.
 * A handler that has not begun by then never begins. Handlers within handlers count as one.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { AuthInfo, Implementation, RequestId } from '@modelcontextprotocol/server';
import { isForModel, type SojournError } from '../../base/errors.ts';
import type { AnswerSink } from '../../http/sink.ts';
import type { CallerRequest, RelayOrigin } from '../../http/caller-request.ts';
import type { Mark, WriteOutcome } from '../../stores/store.ts';
import type { McpHttpRequest, McpSession } from '../../base/types.ts';
import type { Notices } from '../../base/observe/notices.ts';
import {
  type RpcMessage,
  type RpcRequest,
  type RpcResponse,
  targetOf,
} from '../../base/protocol/jsonrpc.ts';
import { methodOf } from '../../base/protocol/methods.ts';
import { isThenable } from '../../base/options/checks.ts';
import { shown } from '../../base/shown.ts';
import { AnswerError, CallRefusal, isAnswer, readable } from '../../base/errors/answer-error.ts';
import type { CallServices } from './call-services.ts';
import type { Quirk } from '../../base/clients/known.ts';
import type { AwaitedRequest } from '../streams/event-log.ts';
import type { FarServer } from './home.ts';
import type { Stream } from '../streams/stream.ts';

/** What a message knows of its live session. */
export interface SessionOfCall {
  readonly version: string;
  readonly view: McpSession;
  readonly left: boolean;
  readonly share: string;
  readonly record: { readonly head: { readonly logLevel: string | null } };
  readonly host: { readonly services: CallServices };
  readonly usedGetStream: Pick<Stream, 'endFlushed'> | undefined;
  readonly calls: { expire(call: Call, error: SojournError): Promise<void> };
  /** Counts the runs of a call as `Markers` does. */
  readonly markers:
    | { countRun(key: string, run: number, stream?: string): Promise<WriteOutcome> }
    | undefined;
  hasQuirk(quirk: Quirk): boolean;
}

/** A POST whose requests have their ids. */
export interface AdmittedPost {
  readonly caller: CallerRequest;
  readonly stream: Stream;
  /** One for each request. */
  readonly calls: readonly Call[];
  /** How often its requests run, this run included. */
  readonly attempt: number;
}

/** What a call keeps of the request that brought its message. */
export type Caller = Readonly<
  Pick<CallerRequest, 'request' | 'authInfo' | 'userKey' | 'clientAddress' | 'header'>
>;

/**
 * How a call is over. Its server `answered`; a notification is delivered. Its client `cancelled` it, or disconnected
 * where nothing brings it back. `timedOut`: its client gets the error of its limit. Its session `left` this instance.
 *
 * The last two say that the run does not count, although it ran or was about to: they may follow any other.
 * `handedOver`: its session was fenced while the first event of its stream was being stored, and the next owner runs the
 * request. `withdrawn`: storing failed, so its client learnt that the request did not run, and what its handler still
 * sends is dropped.
 */
export type CallEnd = 'answered' | 'cancelled' | 'timedOut' | 'left' | 'handedOver' | 'withdrawn';

/** What is released when a call is over and its handler has settled. */
interface HeldByCall {
  release(): void;
  /** Gives back the place of the called tool. */
  leaveTool?(): void;
  /** The time of the handler is over, and its call ended before that. */
  expire?(): void;
}

/** The marker of a call. It stays in the store while the instance that relayed the call may send it again. */
export interface CallMarker {
  readonly mark: Mark;
  /** That instance, from when the call runs. */
  origin: RelayOrigin | undefined;
}

/** Gets what the server answered to a request. */
interface AnswerListener {
  /** Before `middleware` may change it. */
  readonly learn?: ((answer: RpcResponse) => void) | undefined;
  /** The request is one of this library, whose answer no client gets. */
  readonly take?: (answer: RpcResponse) => void;
}

/** What is around a run: the code of `middleware` (`around-requests.ts`), the notice of its end (`watched-run.ts`). */
export interface RunAround {
  /** `undefined`: no code of the application is around the handler. */
  readonly run:
    | ((
        request: RpcRequest,
        given: unknown,
        handler: (request: RpcRequest, given: unknown) => unknown,
      ) => Promise<unknown>)
    | undefined;
  /**
   * The server answers with this. Returns what the handler answered; `undefined`: it was not asked, or has not answered.
   */
  servedIn(answer: RpcResponse): RpcResponse | undefined;
  /** Its handler threw what is no answer. */
  threw?(error: unknown): void;
  /** The request has ended. If that is no answer of the run: with this error. */
  over(error?: SojournError): void;
}

/** A resource that does not exist, before 2026-07-28. */
const NOT_FOUND = -32_002;

export class Call {
  readonly caller: Caller | undefined;
  /** Undefined in stateless and modern serving. */
  readonly live: SessionOfCall | undefined;
  /** The id of a request; undefined for notifications and answers. */
  readonly id: RequestId | undefined;
  readonly method: string | undefined;
  /** Where the answer goes; undefined: the request is replayed, or internal. */
  readonly stream: Stream | undefined;
  /** The name of a tool or prompt, or the URI of a resource. */
  target: string | undefined;
  /** The tool that runs, as its `McpServer` has registered it: its name is no invention of the client. */
  tool: object | undefined = undefined;
  /** The server whose handler takes this message now: that of the session or request. */
  handlerServer: object | undefined = undefined;
  /** Where a proxy or another instance named the attempt (`attempts.ts`). */
  attemptKey: string | undefined = undefined;
  /** Set before the call is dispatched, if it must not run twice. */
  marker: CallMarker | undefined = undefined;
  /** Set while it runs at another instance. */
  far: FarServer | undefined = undefined;
  /** `authorize` hides what the request names: its server answers as for an unknown name. */
  isRefused = false;
  /** No handler of its server takes the request. */
  isUnhandled = false;
  /** What is around its run, if anything is. */
  around: RunAround | undefined = undefined;
  /** Settles when everything that must be stored before the request runs is stored or refused. */
  starting: Promise<unknown> | undefined = undefined;
  /** Its client gets this error instead of the answer of the server. */
  refusal: SojournError | undefined = undefined;
  listener: AnswerListener | undefined = undefined;
  /** Its handler threw that there is no such resource. */
  notFound: AnswerError | undefined = undefined;
  #end: CallEnd | undefined = undefined;
  /** How many of its handlers run. */
  #handlers = 0;
  #held: HeldByCall[] | undefined = undefined;

  /** `message`: absent for code of the application that belongs to a session and handles no message. */
  constructor(
    caller: Caller | undefined,
    live: SessionOfCall | undefined,
    message?: RpcMessage,
    stream?: Stream,
  ) {
    const asks = message !== undefined && 'method' in message;
    const request = asks && 'id' in message ? message : undefined;
    this.caller = caller;
    this.live = live;
    this.id = request?.id;
    this.method = asks ? message.method : undefined;
    this.stream = stream;
    this.target = request && targetOf(request);
  }

  // ——— its end ———

  /** `undefined`: it is not over. */
  get end(): CallEnd | undefined {
    return this.#end;
  }

  /** Its answer was sent, or will never be. */
  get isOver(): boolean {
    return this.#end !== undefined;
  }

  /** It is over, and its handler does not run. */
  get isDone(): boolean {
    return this.#end !== undefined && this.#handlers === 0;
  }

  endAs(how: CallEnd): void {
    if (this.#end === undefined || how === 'handedOver' || how === 'withdrawn') this.#end = how;
    this.#release();
  }

  /** Its handler never settles, or may: nothing is held for it any more. */
  abandon(): void {
    this.#handlers = 0;
    this.endAs('answered');
  }

  /** Releases `held` once: when it is over and its handler does not run. */
  holds(held: HeldByCall): void {
    if (this.isDone) held.release();
    else (this.#held ??= []).push(held);
  }

  #release(): void {
    if (this.#held === undefined || !this.isDone) return;
    const all = this.#held;
    this.#held = undefined;
    for (const held of all) held.release();
  }

  /** Another request calls the tool, and this one waits for that. */
  leaveTool(): void {
    for (const held of this.#held ?? []) held.leaveTool?.();
  }

  /** Answers it with an error, and aborts its handler. */
  expire(error: SojournError): void {
    void this.live?.calls.expire(this, error);
  }

  /** Ends what runs on after it. */
  expireHeld(): void {
    for (const held of this.#held ?? []) held.expire?.();
  }

  // ——— its handler ———

  /** Until it settles, `handlerServer` is `server`. No `async` function: each promise costs as much as a check. */
  handledBy<T>(server: object, handler: () => T | Promise<T>): T | Promise<T> {
    if (this.isOver) throw new Error('The request ended before its handler began');
    const outer = this.handlerServer;
    this.#handlers += 1;
    this.handlerServer = server;
    const settled = (): void => {
      this.handlerServer = outer;
      // After `abandon` it is too late.
      if (this.#handlers > 0) this.#handlers -= 1;
      this.#release();
      if (this.tool !== undefined && this.target !== undefined)
        this.#notices?.tools?.add(shown(this.target));
    };
    const failed = (cause: unknown): Promise<never> => {
      const thrown = this.takeThrown(cause);
      settled();
      // The SDK cannot create an error of these, and would send no answer.
      return Promise.reject(thrown ?? new TypeError(`A handler threw ${String(thrown)}`));
    };
    let result: T | Promise<T>;
    let isLater: boolean;
    try {
      result = handler();
      isLater = isThenable(result);
    } catch (cause) {
      return failed(cause);
    }
    if (!isLater) {
      settled();
      return result;
    }
    return Promise.resolve(result).then((value) => {
      settled();
      return value;
    }, failed);
  }

  /** Takes what a handler threw: the error that its call is refused with, or a failure. Returns what the SDK may read. */
  takeThrown(cause: unknown): unknown {
    const thrown = readable(cause);
    if (thrown instanceof AnswerError && thrown.code === NOT_FOUND) this.notFound = thrown;
    if (thrown instanceof CallRefusal) this.refusal = thrown.refusal;
    else this.noticeThrown(thrown);
    return thrown;
  }

  /** Where it is `notFound`: the answer of its server, with that code. SDK 2 has another one for clients of 2025, too. */
  withThrownCode(answer: RpcResponse): RpcResponse {
    const { code, message } = this.notFound ?? {};
    const { error } = answer;
    if (code === undefined || error?.message !== message) return answer;
    return { ...answer, error: { ...error, code } } as RpcResponse;
  }

  /**
   * Emits the notice of what the handler of a request or notification threw: neither an answer (a `ProtocolError`, or
   * an `McpError` of version 1), nor what it throws after its request ended.
   */
  noticeThrown(error: unknown): void {
    const { id, method, target, session } = this;
    if (method === undefined) return;
    // The work of a notification ends once its handler has begun.
    if (id !== undefined && (this.isOver || isAnswer(error) || isForModel(error))) return;
    this.around?.threw?.(error);
    this.#notices?.emit({ kind: 'handlerThrew', method, target, sessionId: session?.id, error });
  }

  /**
   * Emits the notice of a list that this call changed in memory: no restore repeats the call. `notification`: what its
   * server sends, perhaps about something else.
   */
  noticeListChange(notification: string): void {
    const { method, target } = this;
    const list = methodOf(notification).changes?.replace('_list_changed', '');
    if (
      list === undefined ||
      method === undefined ||
      this.isOver ||
      methodOf(method).hasEffect !== true
    )
      return;
    this.#notices?.emit({ kind: 'listChanged', list, method, target });
  }

  get era(): 'legacy' | 'modern' {
    return 'legacy';
  }

  /** The negotiated version of the protocol. */
  get version(): string | undefined {
    return this.live?.version;
  }

  get session(): McpSession | undefined {
    return this.live?.view;
  }

  /** The request as its client sent it, before `middleware`; `undefined`: none did. */
  get sent(): AwaitedRequest | undefined {
    return this.stream?.requestOf(this.id);
  }

  /**
   * The marker that the last event of its stream removes. It stays while the instance that relayed the call does not
   * know how it ended.
   */
  get removedMark(): Mark | undefined {
    return this.marker?.origin?.acknowledged === false ? undefined : this.marker?.mark;
  }

  /** What its endpoint has for handlers of this library. */
  get services(): CallServices | undefined {
    return this.live?.host.services;
  }

  get #notices(): Notices | undefined {
    return this.services?.options.notices;
  }

  /** Where the call may become a task (`durable/tasks/task-run.ts`), or has become one. */
  get task(): Pick<AnswerSink, 'taskId'> | undefined {
    return undefined;
  }

  /** Whose share of the memory it counts in. */
  get share(): string {
    return this.live?.share ?? '';
  }

  /** Ends the response of the request. The SDK passes this and the next function to handlers. */
  get closeSSEStream(): (() => void) | undefined {
    const { stream } = this;
    return stream?.clientResumes === true ? () => stream.endFlushed() : undefined;
  }

  get closeStandaloneSSEStream(): (() => void) | undefined {
    const { stream, live } = this;
    return stream?.clientResumes === true ? () => live?.usedGetStream?.endFlushed() : undefined;
  }

  /** See `enablePolling`. */
  poll(retryMs: number | undefined): boolean {
    const { stream, live } = this;
    if (this.isOver || stream?.clientResumes !== true || live?.hasQuirk('answer-on-get') !== false)
      return false;
    stream.poll(retryMs);
    return true;
  }

  get request(): McpHttpRequest | undefined {
    return this.caller?.request;
  }

  /** What SDK v1 transports pass to v1 handlers. */
  get requestInfo(): { readonly headers: Record<string, string>; readonly url: URL } | undefined {
    const request = this.caller?.request;
    if (request === undefined) return undefined;
    return { headers: Object.fromEntries(request.headers), url: new URL(request.url) };
  }

  get authInfo(): AuthInfo | undefined {
    return this.caller?.authInfo;
  }

  /** What its client states about itself. */
  get clientInfo(): Implementation | undefined {
    return this.live?.view.clientInfo;
  }
}

export const currentCall = new AsyncLocalStorage<Call>();
