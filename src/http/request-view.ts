/**
 * The `Request` that handlers see. The SDK reads `extra.request` on every message, and most handlers read nothing of
 * it: a real `Request` and its `Headers` are made when a member needs them.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AuthInfo } from '@modelcontextprotocol/server';
import { userName } from '../base/shown.ts';
import type { McpHttpRequest } from '../types.ts';

export interface RequestSource {
  readonly method: string;
  readonly authInfo: AuthInfo | undefined;
  readonly user: string | undefined;
  readonly node: { req: IncomingMessage; res: ServerResponse } | undefined;
  /** All fields, by lower-case name. */
  headerFields(): Readonly<Record<string, string | readonly string[] | undefined>>;
  absoluteUrl(): string;
  /** Calls `fn` once when the client disconnects before its answer is complete. */
  onClose(fn: () => unknown): void;
}

class RequestView {
  readonly #source: RequestSource;
  #headers: Headers | undefined;
  #signal: AbortSignal | undefined;
  #real: Request | undefined;

  constructor(source: RequestSource) {
    this.#source = source;
  }

  get method(): string {
    return this.#source.method;
  }
  get url(): string {
    return this.#source.absoluteUrl();
  }
  get headers(): Headers {
    return (this.#headers ??= headersOf(this.#source));
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
  get user(): string | undefined {
    return this.#source.user;
  }
  get userName(): string | undefined {
    return this.user && userName(this.user);
  }
  get node(): RequestSource['node'] {
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

function headersOf(source: RequestSource): Headers {
  const headers = new Headers();
  for (const [name, value] of Object.entries(source.headerFields())) {
    // HTTP/2 has fields such as `:path`.
    if (name.startsWith(':')) continue;
    for (const one of typeof value === 'string' ? [value] : (value ?? [])) headers.append(name, one);
  }
  return headers;
}

const BODY_READERS = ['arrayBuffer', 'blob', 'bytes', 'formData', 'json', 'text'];
const bodyWasRead = (): Promise<never> =>
  Promise.reject(new TypeError('The body of this request was read before its message was dispatched'));

for (const [name, { get }] of Object.entries(Object.getOwnPropertyDescriptors(Request.prototype))) {
  if (Object.hasOwn(RequestView.prototype, name) || get === undefined) continue;
  Object.defineProperty(RequestView.prototype, name, {
    configurable: true,
    get(this: RequestView): unknown {
      return this.real[name as keyof Request];
    },
  });
}
for (const name of BODY_READERS) Object.defineProperty(RequestView.prototype, name, { value: bodyWasRead });

// Makes `instanceof Request` hold.
Object.setPrototypeOf(RequestView.prototype, Request.prototype);

export function createRequestView(source: RequestSource): McpHttpRequest {
  return new RequestView(source) as unknown as McpHttpRequest;
}
