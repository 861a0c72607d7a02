/**
 * The `Request` that handlers see, without building a real one: each member reads from the exchange. The SDK reads
 * `extra.request` on every message, so a real `Request` would cost more than the direct dispatch saves.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AuthInfo } from '@modelcontextprotocol/server';
import { userName } from '../base/shown.ts';
import type { McpHttpRequest } from '../types.ts';
import { createHeaderView, type HeaderSource } from './header-view.ts';

export interface RequestSource extends HeaderSource {
  readonly method: string;
  readonly authInfo: AuthInfo | undefined;
  readonly user: string | undefined;
  readonly signal: AbortSignal;
  readonly node: { req: IncomingMessage; res: ServerResponse } | undefined;
  /** Absolute. */
  absoluteUrl(): string;
  /** Values, by lower-case name, that replace the client's spelling of a header. */
  readonly canonicalHeaders: Map<string, string>;
}

class RequestView {
  readonly #source: RequestSource;
  #headers: Headers | undefined;
  readonly body = null;
  readonly bodyUsed = true;

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
    return (this.#headers ??= createHeaderView(this.#source, this.#source.canonicalHeaders));
  }
  get signal(): AbortSignal {
    return this.#source.signal;
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
  /** Copies method, URL, headers and signal. The body cannot be cloned, because it was read before. */
  clone(): Request {
    return new Request(this.url, { method: this.method, headers: this.headers, signal: this.signal });
  }
}

/** What a `Request` of a server says about the matters of a browser. */
const CONSTANTS = {
  cache: 'default',
  credentials: 'same-origin',
  destination: '',
  duplex: 'half',
  integrity: '',
  isHistoryNavigation: false,
  isReloadNavigation: false,
  keepalive: false,
  mode: 'cors',
  redirect: 'follow',
  referrer: 'about:client',
  referrerPolicy: '',
};
for (const [name, value] of Object.entries(CONSTANTS))
  Object.defineProperty(RequestView.prototype, name, { configurable: true, get: () => value });

const unread = (): Promise<never> =>
  Promise.reject(new TypeError('The body of this request was read before its message was dispatched'));
for (const name of ['arrayBuffer', 'blob', 'bytes', 'formData', 'json', 'text'])
  Object.defineProperty(RequestView.prototype, name, { configurable: true, writable: true, value: unread });

// Makes `instanceof Request` hold. Every inherited getter is shadowed above.
Object.setPrototypeOf(RequestView.prototype, Request.prototype);

export function createRequestView(source: RequestSource): McpHttpRequest {
  return new RequestView(source) as unknown as McpHttpRequest;
}
