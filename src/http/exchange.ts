import type { AuthInfo } from '@modelcontextprotocol/server';
import type { SojournError } from '../errors.ts';
import type { McpHttpRequest } from '../types.ts';

export type HeaderFields = Readonly<Record<string, string | readonly string[] | undefined>>;

/** What an exchange knows of the instance that handed it over. */
export interface RelayOrigin {
  /** Gives it back unserved: it has not run here, and will not. */
  refuse(): void;
  /** That instance and this one have lost each other: wherever its client is now, it asks again there, or nobody does. */
  readonly linkFailed: boolean;
  /**
   * Calls `fn` once that instance will not ask again: it has taken the end of the answer, or its client is gone. Never
   * when nobody knows.
   */
  onAcknowledged(fn: () => void): void;
}

export type HeaderList = ReadonlyArray<readonly [name: string, value: string]>;

/**
 * One HTTP request and its answer, as the core sees it. The node and fetch adapters make them; nothing behind this
 * interface knows which. An answer is either one `respond`, or `openStream`, `write`…, `end`. Everything after the
 * client went away is ignored.
 */
export interface Exchange {
  /** Upper case. */
  readonly method: string;
  /** Path and query as the client sent them, before any router cut a prefix off. */
  readonly url: string;
  /** By lower-case name; several fields of a name are joined by `, `. */
  header(name: string): string | undefined;
  /** All of them, by lower-case name. */
  headerFields(): HeaderFields;
  absoluteUrl(): string;
  /** Header values that handlers and the SDK see instead of what the client wrote (42.0 as 42), by lower-case name. */
  readonly canonicalHeaders: Map<string, string>;
  readonly authInfo: AuthInfo | undefined;
  /** Set once the session of the request is known: every answer then names it (`Mcp-Session-Id`). */
  sessionId: string | undefined;
  /** The user key of `authInfo`; set by the endpoint. */
  user: string | undefined;
  /** On the instance that serves it for another: that one has the client. */
  readonly relayOrigin: RelayOrigin | undefined;
  /** A body that the caller has parsed already. */
  readonly parsedBody: unknown;
  /** What handlers and hooks see; made when first read. */
  readonly request: McpHttpRequest;
  /** Aborts when the client goes away before its answer is complete; made when first read. */
  readonly signal: AbortSignal;

  /** Reads at most `limit` bytes; calls back once, unless the client goes away first. */
  readBody(limit: number, done: (refusal: SojournError | undefined, bytes: Uint8Array) => void): void;

  respond(status: number, headers: HeaderList, body?: string): void;
  openStream(headers: HeaderList): void;
  write(chunk: string): void;
  end(): void;
  /** Cuts the connection. */
  destroy(): void;
  /** Something unexpected was thrown while it was served: logged, and answered with 500, or cut where a stream is open. */
  fail(cause: unknown): void;
  /** Bytes written and not yet taken by the client's connection. */
  readonly pendingBytes: number;
  /** The client went away, or the answer is complete. */
  readonly closed: boolean;
  /** Called once when the client goes away before its answer is complete; at once if it already has. It may throw. */
  onClose(fn: () => unknown): void;
}

/** Aborts when the client goes away before its answer is complete. */
export function closeSignal(exchange: { onClose(fn: () => void): void }): AbortSignal {
  const controller = new AbortController();
  exchange.onClose(() => controller.abort());
  return controller.signal;
}
