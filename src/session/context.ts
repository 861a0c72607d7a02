/**
 * One message on its way into a server. The same object is the SDK's `extra`, what `AsyncLocalStorage` carries through the
 * handler (so that what a handler sends finds the stream of its request, and `currentSession()` works) and, for a request,
 * the entry under which its answer is awaited. One object, because this is the hot path.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { AuthInfo, RequestId } from '@modelcontextprotocol/server';
import type { McpHttpRequest, McpSession } from '../types.ts';
import type { RpcResponse } from '../protocol/jsonrpc.ts';
import type { Stream } from './stream.ts';

/** The HTTP request a message came in; the http room's exchanges fit. */
export interface MessageSource {
  readonly request: McpHttpRequest;
  readonly authInfo: AuthInfo | undefined;
}

/** The `requestInfo` that SDK v1 transports hand to v1 handlers. */
interface V1RequestInfo {
  readonly headers: Record<string, string>;
  readonly url: URL;
}

export class MessageContext {
  readonly source: MessageSource | undefined;
  /** Undefined in stateless and modern serving. */
  readonly session: McpSession | undefined;
  /** `perSessionExecutionContext`: handlers belong to the session, not to a request. */
  readonly requestHidden: boolean;
  /** Of a request; undefined for notifications and answers. */
  readonly id: RequestId | undefined;
  readonly method: string | undefined;
  /** Where its answer goes; undefined: replayed or internal. */
  stream: Stream | undefined;
  answered = false;
  /** What the request is about: the name of a tool or prompt, the URI of a resource. */
  target: string | undefined = undefined;
  /** A marker was stored for it (`call-guard.ts`). */
  marked = false;
  /** Whoever has its client may not know how it ended: the marker stays. */
  untold = false;
  /** And it is gone, or its client. */
  abandoned = false;
  /** It runs while the priming event of its stream is being stored. */
  unprimed = false;
  /** Its session was taken over meanwhile: the next owner runs it. */
  passedOn = false;
  /** That could not be stored: its client was told that it did not run, and what it still says is nobody's. */
  takenBack = false;
  /** Until what must be stored before it runs is stored or refused. */
  starting: Promise<unknown> | undefined = undefined;
  /** A lost owner's call that runs again; its client has not come back for it yet. */
  orphan = false;
  /** Takes the answer instead of the stream. */
  intercept: ((message: unknown) => void) | undefined = undefined;
  /** Called when it is answered with a result. */
  onResult: ((answer: RpcResponse) => void) | undefined = undefined;
  /** The server whose handler takes this message now, where one definition serves every session (`definition/`). */
  handlerServer: object | undefined = undefined;
  /** Set on sessions that can close a stream early and let the client resume it (2025-11-25). */
  closeSSEStream: (() => void) | undefined = undefined;
  closeStandaloneSSEStream: (() => void) | undefined = undefined;

  constructor(
    source: MessageSource | undefined,
    session: McpSession | undefined,
    requestHidden: boolean,
    id: RequestId | undefined,
    method: string | undefined,
    stream: Stream | undefined,
  ) {
    this.source = source;
    this.session = session;
    this.requestHidden = requestHidden;
    this.id = id;
    this.method = method;
    this.stream = stream;
  }

  get request(): McpHttpRequest | undefined {
    return this.source?.request;
  }

  get requestInfo(): V1RequestInfo | undefined {
    const request = this.source?.request;
    if (request === undefined) return undefined;
    return { headers: Object.fromEntries(request.headers), url: new URL(request.url) };
  }

  get authInfo(): AuthInfo | undefined {
    return this.source?.authInfo;
  }
}

/** The `name` or `uri` in a request's params. */
export function targetOf(params: Readonly<Record<string, unknown>> | undefined): string | undefined {
  const target = params?.['name'] ?? params?.['uri'];
  return typeof target === 'string' ? target : undefined;
}

export const contexts = new AsyncLocalStorage<MessageContext>();

/** The session whose handler is running; undefined outside of one and in stateless or modern serving. */
export function currentSession(): McpSession | undefined {
  return contexts.getStore()?.session;
}

/** The HTTP request whose handler is running; undefined outside of one and with `perSessionExecutionContext`. */
export function currentRequest(): McpHttpRequest | undefined {
  const context = contexts.getStore();
  return context === undefined || context.requestHidden ? undefined : context.source?.request;
}
