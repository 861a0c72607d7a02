/**
 * The `Request` that handlers see, without building a real one: each member reads from the exchange. The SDK reads
 * `extra.request` on every message, so a real `Request` would cost more than the direct dispatch saves.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AuthInfo } from '@modelcontextprotocol/server';
import { userName } from '../shown.ts';
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

const BODY_READ = 'The body of this request was read before its message was dispatched';

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
  get cache(): string {
    return 'default';
  }
  get credentials(): string {
    return 'same-origin';
  }
  get destination(): string {
    return '';
  }
  get duplex(): string {
    return 'half';
  }
  get integrity(): string {
    return '';
  }
  get isHistoryNavigation(): boolean {
    return false;
  }
  get isReloadNavigation(): boolean {
    return false;
  }
  get keepalive(): boolean {
    return false;
  }
  get mode(): string {
    return 'cors';
  }
  get redirect(): string {
    return 'follow';
  }
  get referrer(): string {
    return 'about:client';
  }
  get referrerPolicy(): string {
    return '';
  }
  /** Copies method, URL, headers and signal. The body cannot be cloned, because it was read before. */
  clone(): Request {
    return new Request(this.url, { method: this.method, headers: this.headers, signal: this.signal });
  }
  arrayBuffer(): Promise<ArrayBuffer> {
    return Promise.reject(new TypeError(BODY_READ));
  }
  blob(): Promise<Blob> {
    return Promise.reject(new TypeError(BODY_READ));
  }
  bytes(): Promise<Uint8Array> {
    return Promise.reject(new TypeError(BODY_READ));
  }
  formData(): Promise<FormData> {
    return Promise.reject(new TypeError(BODY_READ));
  }
  json(): Promise<unknown> {
    return Promise.reject(new TypeError(BODY_READ));
  }
  text(): Promise<string> {
    return Promise.reject(new TypeError(BODY_READ));
  }
}

// Makes `instanceof Request` hold. Every inherited getter is shadowed above.
Object.setPrototypeOf(RequestView.prototype, Request.prototype);

export function createRequestView(source: RequestSource): McpHttpRequest {
  return new RequestView(source) as unknown as McpHttpRequest;
}
