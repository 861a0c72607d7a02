import type { AuthInfo, RequestId } from '@modelcontextprotocol/server';
import type { SojournError } from '../errors.ts';
import type { Notices, Refusal } from '../observe/notices.ts';
import type { WatchedRequest } from '../observe/watched-request.ts';
import type { McpHttpRequest } from '../types.ts';
import type { HostedStream, HostServers } from './host-servers.ts';
import type { MemoryUse } from '../base/budget.ts';
import type { SlowReaders } from './slow-readers.ts';

export type HeaderFields = Readonly<Record<string, string | readonly string[] | undefined>>;

/** The instance that relayed a call, as the exchange on the owner sees it. */
export interface RelayOrigin {
  /** Resolves when the link to the relaying instance has room, or has failed; `undefined`: it has room. */
  room(): Promise<void> | undefined;
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

/** What a request holds: a place in a limit, bytes of the memory budget, a timer. */
export interface Held {
  release(): void;
}

/** A handler that runs, or is about to. */
export interface RunningWork {
  /** Releases `held` once, when the request has ended and its handler does not run. */
  holds(held: Held): void;
}

/** A request that is refused for its body. */
export interface RefusedBody {
  readonly error: SojournError;
  /** The id of the request, where it can be read. */
  readonly id: RequestId | null;
}

export type BodyRead = (read: Uint8Array | RefusedBody) => void;

export type HeaderList = ReadonlyArray<readonly [name: string, value: string]>;

/** A request, whose client may be connected to another instance. Its answer goes to a sink (`sink.ts`). */
export interface CallerRequest {
  /** Upper case. */
  readonly method: string;
  /** Path and query as the client sent them, including a prefix that a router removed. */
  readonly url: string;
  /** Looks a field up by its lower-case name. Several fields of one name are joined by `, `. */
  header(name: string): string | undefined;
  /** All fields, by lower-case name. */
  headerFields(): HeaderFields;
  absoluteUrl(): string;
  /** What the caller of the endpoint passed in; the endpoint replaces it where it has the option `auth`. */
  authInfo: AuthInfo | undefined;
  /** The address at the other end of the connection; `undefined` where the caller of the endpoint does not tell it. */
  readonly clientAddress: string | undefined;
  /** The user key derived from `authInfo`. The endpoint sets it. */
  user: string | undefined;
  /** Set when another instance relayed the request; the client is connected to that instance. */
  readonly relayOrigin: RelayOrigin | undefined;
  /** The body as the caller of the endpoint parsed it, when it did. */
  readonly parsedBody: unknown;
  /** The request that handlers and hooks see; created on first access. */
  readonly request: McpHttpRequest;
  /** Aborts when the client disconnects before its answer is complete; created on first access. */
  readonly signal: AbortSignal;
  /** What the request holds stays charged until this handler has settled, too. `own`: bytes that it takes besides. */
  heldBy(work: RunningWork, own?: number): void;
  /** Handles an unexpected error: logs it, then answers 500, or cuts the connection when a stream is open. */
  fail(cause: unknown): void;
  /** The client disconnected, or the answer is complete. */
  readonly closed: boolean;
  /**
   * Calls `fn` once when the client disconnects before its answer is complete, at once if it already has. `fn` may
   * throw.
   */
  onClose(fn: () => unknown): void;
}

/**
 * One HTTP request and its answer, as the core sees it. The node and fetch adapters create exchanges; the code behind
 * this interface cannot tell them apart. An answer is either one `respond`, or `openStream`, any number of `write`, and
 * `end`. Every call after the client disconnected is ignored.
 */
export interface Exchange extends CallerRequest {
  /** Set once the session of the request is known. Every answer then carries it as `Mcp-Session-Id`. */
  sessionId: string | undefined;
  /** A field that the client sent twice and that must not be there twice; only on the faces. */
  readonly repeatedField?: string | undefined;
  /** Fields of the request may be missing; only on the node face. */
  readonly mayLackFields?: boolean;
  /**
   * Reads at most `limit` bytes. Calls back once, or never when the client disconnects first. A longer body, and a body
   * for which the memory budget has no room, is refused. Its id is looked for if it has at most `idWithin` bytes.
   */
  readBody(limit: number, idWithin: number, done: BodyRead): void;

  /**
   * Charges bytes that this request makes the process hold to the memory budget, until its answer is complete or its
   * client disconnects. `false`: there is no room. Bodies that `readBody` reads are charged already.
   */
  holds(bytes: number): boolean;

  /**
   * Adds a field to the answer, whatever the answer will be; only on the faces. A field that middleware has set stays,
   * and `Vary` grows.
   */
  addHeader?(name: string, value: string): void;
  /** Only on the faces, where requests are listened to. */
  readonly watched?: WatchedRequest | undefined;
  /** Emits the notice of a refusal, which is answered next. */
  refused(refusal: Refusal): void;
  respond(status: number, headers: HeaderList, body?: string): void;
  openStream(headers: HeaderList): void;
  /** The stream learns when the application's server stops listening; only on the node face. */
  whenHostStops?(stream: HostedStream): void;
  write(chunk: string): void;
  end(): void;
  /** Cuts the connection. */
  cut(): void;
  /** Bytes that were written and that the client's connection has not taken yet. */
  readonly pendingBytes: number;
}

/** Called with the error that an exchange failed with, before the exchange is answered. */
export type ReportFailure = (cause: unknown) => void;

/** What the exchanges of an endpoint share. */
export interface ExchangeHost {
  readonly report: ReportFailure;
  readonly notices: Notices;
  readonly memory: MemoryUse;
  readonly slowReaders: SlowReaders;
  /** An HTTP/1 connection was cut, because this many of its requests were open. */
  cutCrowded(requests: number): void;
  /** `undefined`: the endpoint's own `listen()` closes its streams itself. */
  readonly hostServers?: HostServers | undefined;
}

/** How an answer is over: it is complete, or its client disconnected before. */
export type AnswerEnd = 'complete' | 'left';

/**
 * A body counts this many times in the memory budget: its bytes, its text, and the value that is parsed from it.
 */
export const BODY_WEIGHT = 4;

/** A signal that aborts when the client disconnects before its answer is complete. */
export function closeSignal(exchange: { onClose(fn: () => void): void }): AbortSignal {
  const controller = new AbortController();
  exchange.onClose(() => controller.abort());
  return controller.signal;
}
