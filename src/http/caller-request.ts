/**
 * A request, whose client may be connected to another instance, and the `Request` that its handlers see. Its answer goes
 * to a sink (`sink.ts`).
 *
 * The SDK reads `extra.request` on every message, and most handlers read nothing of it: a real `Request` and its
 * `Headers` are made when a member needs them.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AuthInfo } from '@modelcontextprotocol/server';
import type { WatchedRequest } from '../base/observe/watched-request.ts';
import { userName } from '../base/shown.ts';
import type { McpHttpRequest } from '../base/types.ts';
import type { RunningWork } from './body.ts';

export type HeaderFields = Readonly<Record<string, string | readonly string[] | undefined>>;

/** The instance that relayed a call, as the exchange on the owner sees it. */
export interface RelayOrigin {
  /** The link between the two instances failed. The client, wherever it is connected now, may retry there or never. */
  readonly linkFailed: boolean;
  /**
   * The relaying instance has the end of the answer, or the client disconnected. It retries the call only if the answer
   * was that nothing ran here.
   */
  readonly acknowledged: boolean;
  /** Calls `fn` once that is so. After a link failure `fn` is never called, because the outcome is unknown. */
  onAcknowledged(fn: () => void): void;
}

export abstract class CallerRequest {
  /** Upper case. */
  readonly method: string;
  /** Path and query as the client sent them, including a prefix that a router removed. */
  readonly url: string;
  /** Their names are in lower case. */
  headers: HeaderFields;
  /** What the caller of the endpoint passed in; the endpoint replaces it where it has the option `auth`. */
  authInfo: AuthInfo | undefined;
  /** A caller without a user counts by it (`client-address.ts`); `undefined`: unknown. */
  readonly clientAddress: string | undefined;
  /** The user key derived from `authInfo`. The endpoint sets it. */
  userKey: string | undefined;
  #view: RequestView | undefined;

  constructor(
    { method, url, headers }: Pick<CallerRequest, 'method' | 'url' | 'headers'>,
    authInfo: AuthInfo | undefined,
    clientAddress: string | undefined,
    user?: string,
  ) {
    this.method = method;
    this.url = url;
    this.headers = headers;
    this.authInfo = authInfo;
    this.clientAddress = clientAddress;
    this.userKey = user;
  }

  abstract readonly absoluteUrl: string;
  /** `undefined`: another face, or the request is over. */
  abstract readonly node: { req: IncomingMessage; res: ServerResponse } | undefined;
  /** Set when another instance relayed the request; the client is connected to that instance. */
  abstract readonly relayOrigin: RelayOrigin | undefined;
  /** Set where requests are listened to, for a client that is connected here. */
  declare watched?: Pick<WatchedRequest, 'relayed' | 'hasTool'> | undefined;
  /** What the request holds stays charged until this handler has settled, too. `own`: bytes that it takes besides. */
  abstract heldBy(work: RunningWork, own?: number): void;
  /** Handles an unexpected error: logs it, then answers 500, or cuts the connection when a stream is open. */
  abstract fail(cause: unknown): void;
  /** The client disconnected, or the answer is complete. */
  abstract readonly closed: boolean;
  /** Calls `fn` once when the client disconnects before its answer is complete, or now if it has. `fn` may throw. */
  abstract onClose(fn: () => unknown): void;

  /** Looks a field up by its lower-case name. Several fields of one name are joined by `, `. */
  header(name: string): string | undefined {
    const value = this.headers[name];
    return typeof value === 'string' || value === undefined ? value : value.join(', ');
  }

  /** The request that handlers and hooks see; created on first access. */
  get request(): McpHttpRequest {
    return (this.#view ??= new RequestView(this)) as unknown as McpHttpRequest;
  }
}

class RequestView {
  readonly #source: CallerRequest;
  #headers: Headers | undefined;
  #signal: AbortSignal | undefined;
  #real: Request | undefined;

  constructor(source: CallerRequest) {
    this.#source = source;
  }

  get method(): string {
    return this.#source.method;
  }
  get url(): string {
    return this.#source.absoluteUrl;
  }
  get headers(): Headers {
    return (this.#headers ??= headersOf(this.#source.headers));
  }
  /** Aborts when the client disconnects before its answer is complete. */
  get signal(): AbortSignal {
    if (this.#signal === undefined) {
      const controller = new AbortController();
      this.#signal = controller.signal;
      this.#source.onClose(() => controller.abort());
    }
    return this.#signal;
  }
  get authInfo(): AuthInfo | undefined {
    return this.#source.authInfo;
  }
  get userKey(): string | undefined {
    return this.#source.userKey;
  }
  get userName(): string | undefined {
    return this.userKey && userName(this.userKey);
  }
  get clientAddress(): string | undefined {
    return this.#source.clientAddress;
  }
  get node(): CallerRequest['node'] {
    return this.#source.node;
  }
  /** The other members of a `Request`. It has no body, because the body was read before. */
  get real(): Request {
    const { url, method, headers, signal } = this;
    return (this.#real ??= new Request(url, { method, headers, signal }));
  }
  clone(): Request {
    return this.real.clone();
  }
}

function headersOf(fields: HeaderFields): Headers {
  const headers = new Headers();
  for (const [name, value] of Object.entries(fields)) {
    // HTTP/2 has fields such as `:path`.
    if (name.startsWith(':')) continue;
    for (const one of typeof value === 'string' ? [value] : (value ?? []))
      headers.append(name, one);
  }
  return headers;
}

const BODY_READERS = ['arrayBuffer', 'blob', 'bytes', 'formData', 'json', 'text'];
const bodyWasRead = (): Promise<never> =>
  Promise.reject(
    new TypeError('The body of this request was read before its message was dispatched'),
  );

for (const [name, { get }] of Object.entries(Object.getOwnPropertyDescriptors(Request.prototype))) {
  if (Object.hasOwn(RequestView.prototype, name) || get === undefined) continue;
  Object.defineProperty(RequestView.prototype, name, {
    configurable: true,
    get(this: RequestView): unknown {
      return this.real[name as keyof Request];
    },
  });
}
for (const name of BODY_READERS)
  Object.defineProperty(RequestView.prototype, name, { value: bodyWasRead });

// Makes `instanceof Request` hold.
Object.setPrototypeOf(RequestView.prototype, Request.prototype);
