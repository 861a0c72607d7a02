/**
 * A request that one instance sends another, in the form of `cluster/messages.ts`.
 *
 * An allow-list decides which header fields are sent (`options/header-names.ts`), so that no credential leaves the
 * instance that received it. `authInfo` is sent without its token, because handlers may read it.
 */
import type { AuthInfo } from '@modelcontextprotocol/server';
import type { CallItem } from '../cluster/messages.ts';
import { RequestBytes } from '../http/body.ts';
import { type Caller, closeSignal, type HeaderFields, type RunningWork } from '../http/exchange.ts';
import { createRequestView, type RequestSource } from '../http/request-view.ts';
import type { MemoryUse } from '../http/slow-readers.ts';
import type { McpHttpRequest } from '../types.ts';
import type { Call } from '../call/call.ts';
import type { LinkReader } from './link-reader.ts';

/** `AuthInfo` requires a token. Handlers on the owner read an empty one. */
const NO_TOKEN = '';

/** `isRelayed`: whether the owner gets the field with that lower-case name. */
export function sentCall(
  { kind, exchange, after, mayHaveRun = false }: Call,
  n: number,
  text: string | undefined,
  isRelayed: (field: string) => boolean,
): CallItem {
  const headers: Record<string, string | readonly string[]> = {};
  for (const [name, value] of Object.entries(exchange.headerFields())) {
    if (value !== undefined && isRelayed(name)) headers[name] = value;
  }
  const { authInfo, user } = exchange;
  return {
    t: 'call',
    n,
    call: kind,
    mayHaveRun,
    method: exchange.method,
    url: exchange.url,
    absoluteUrl: exchange.absoluteUrl(),
    headers,
    ...(authInfo !== undefined && { auth: { ...authInfo, token: NO_TOKEN } }),
    ...(user !== undefined && { user }),
    ...(after !== undefined && { after }),
    ...(text !== undefined && { text }),
  };
}

/** `authInfo` as its verifier returned it: JSON turned its URL into a string. */
function authOf({ auth }: CallItem): AuthInfo | undefined {
  if (auth === undefined) return undefined;
  const resource = auth.resource as URL | string | undefined;
  return typeof resource === 'string' ? { ...auth, resource: new URL(resource) } : auth;
}

/** The request on the owner. Its client is connected to the instance that sent it. */
export class SentRequest implements Caller, RequestSource {
  readonly #item: CallItem;
  readonly relayOrigin: LinkReader;
  readonly #held: RequestBytes;
  #request: McpHttpRequest | undefined;
  #signal: AbortSignal | undefined;
  authInfo: AuthInfo | undefined;
  user: string | undefined;
  readonly canonicalHeaders = new Map<string, string>();
  readonly node = undefined;
  readonly parsedBody = undefined;
  readonly clientAddress = undefined;

  constructor(item: CallItem, reader: LinkReader, memory: MemoryUse) {
    this.#item = item;
    this.relayOrigin = reader;
    this.#held = new RequestBytes(memory);
    this.authInfo = authOf(item);
    this.user = item.user;
  }

  get method(): string {
    return this.#item.method;
  }
  get url(): string {
    return this.#item.url;
  }
  absoluteUrl(): string {
    return this.#item.absoluteUrl;
  }
  header(name: string): string | undefined {
    const value = this.#item.headers[name];
    return typeof value === 'string' || value === undefined ? value : value.join(', ');
  }
  headerFields(): HeaderFields {
    return this.#item.headers;
  }
  headers(): Headers {
    const headers = new Headers();
    for (const [name, value] of Object.entries(this.#item.headers)) {
      for (const one of typeof value === 'string' ? [value] : (value ?? [])) headers.append(name, one);
    }
    return headers;
  }
  get request(): McpHttpRequest {
    return (this.#request ??= createRequestView(this));
  }
  get signal(): AbortSignal {
    return (this.#signal ??= closeSignal(this));
  }

  /** The body counts in the memory budgets of both instances: an owner has many relaying instances. */
  holds(bytes: number): boolean {
    return !this.closed && this.#held.take(bytes);
  }
  heldBy(work: RunningWork): void {
    this.#held.heldBy(work);
  }

  /** Its answer is complete, or no instance waits for it. */
  release(): void {
    this.#held.release();
  }

  get closed(): boolean {
    return !this.relayOrigin.isOpen;
  }
  onClose(fn: () => unknown): void {
    this.relayOrigin.onClose(fn);
  }
  fail(cause: unknown): void {
    this.relayOrigin.fail(cause);
  }
}
