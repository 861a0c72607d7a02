/** What the option `middleware` gets and returns. */
import type { AuthInfo, RequestId } from '@modelcontextprotocol/server';
import type { McpHttpRequest, McpSession } from '../types.ts';

/** One run of a client's request in a server. */
export interface RunningRequest {
  /** The JSON-RPC method: `tools/call`, for example. */
  readonly method: string;
  readonly id: RequestId;
  /** The tool or prompt that the request names. */
  readonly name: string | undefined;
  /** `name` is a tool of an `McpServer`, and its handler runs or has run: `false` before `next()`. */
  readonly ranTool: boolean;
  /** The resource that the request names. */
  readonly uri: string | undefined;
  /** What the client sent, `_meta` included. Do not write into it: pass what you change to `next`. */
  readonly params: Readonly<Record<string, unknown>> | undefined;
  /** The arguments of a `tools/call` or `prompts/get`. */
  readonly arguments: Readonly<Record<string, unknown>> | undefined;
  /** `modern`: 2026-07-28. */
  readonly era: 'legacy' | 'modern';
  /** `undefined`: a request without a session whose client names none. */
  readonly protocolVersion: string | undefined;
  /** `undefined`: a request without a session. */
  readonly session: McpSession | undefined;
  readonly authInfo: AuthInfo | undefined;
  /** The key of the user, for comparisons. */
  readonly userKey: string | undefined;
  /** The name in `userKey` for display. Two issuers may use the same name. */
  readonly userName: string | undefined;
  /**
   * 1. Higher where another instance may have run the request before, which crashed or was stopped: numbers may be left
   * out, or come twice.
   */
  readonly attempt: number;
  /**
   * The id of the task whose run this is. `undefined`: the call is no task. A first run has it once its call has become
   * one, in `next()`.
   */
  readonly taskId: string | undefined;
  /** A field of the HTTP request by its name. A relayed request has only the fields that instances pass on. */
  header(name: string): string | undefined;
  /** The HTTP request that brought it; after a crash, the request that restored its session. Made on first use. */
  readonly http: McpHttpRequest;
  /** Aborts when the request is cancelled or cut. Made on first use. */
  readonly signal: AbortSignal;
}

/** The answer to a request: a result, or a JSON-RPC error. */
export interface RequestAnswer {
  readonly result?: Readonly<Record<string, unknown>> | undefined;
  readonly error?:
    | { readonly code: number; readonly message: string; readonly data?: unknown }
    | undefined;
}

/** What of the request is another for the server. */
export interface RequestChange {
  /** If it has no `_meta`, the `_meta` of the client stays. */
  readonly params?: Readonly<Record<string, unknown>> | undefined;
  /** Another method throws. */
  readonly method?: string | undefined;
  /** Another id throws. */
  readonly id?: RequestId | undefined;
}

/**
 * Gives the request to the next function, or to the server, and resolves with its answer, which may be an error. May be
 * called once.
 *
 * @throws SojournError `CALL_ABORTED` or `CALL_TIMEOUT` when the request is cancelled or cut, `NEXT_TWICE` for a second
 * call, `REQUEST_CHANGED` for another method, id, tool, prompt or URI.
 */
export type NextRun = (change?: RequestChange) => Promise<RequestAnswer>;

/** Runs a request: returns the answer of `next()`, or its own. What it throws is the error of the call. */
export type Middleware = (
  request: RunningRequest,
  next: NextRun,
) => RequestAnswer | Promise<RequestAnswer>;
