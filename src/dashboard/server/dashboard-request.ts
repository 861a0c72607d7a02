/** A request to the dashboard and its answer, as both faces have them (`faces.ts`). */
import type { McpHttpRequest } from '../../types.ts';
import type { ApiFailure } from '../wire-pages.ts';

export interface DashboardRequest {
  /** Upper case. */
  readonly method: string;
  /** The whole path, with the prefix where the dashboard is mounted. */
  readonly path: string;
  /** Behind the `?`. */
  readonly query: string;
  /** Looks a field up by its lower-case name. */
  header(name: string): string | undefined;
  /** `Host` or `Authorization`, if the request has it twice: each reader may take another one. */
  readonly repeated: string | undefined;
  /** For `authorize`. */
  readonly view: McpHttpRequest;
}

/** The response to a stream that is open. */
export interface StreamTarget {
  /** Bytes that were written and that the connection has not taken. */
  readonly pendingBytes: number;
  write(text: string): void;
  end(): void;
  /** Breaks the connection. */
  destroy(): void;
}

/** What writes a stream. */
export interface StreamWriter {
  begin(target: StreamTarget): void;
  /** The client has left. */
  left(): void;
}

export interface DashboardReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  readonly stream?: StreamWriter;
}

const API_HEADERS = { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' };

/** `json`: the text of a value. */
export const answered = (json: string, status = 200): DashboardReply => ({ status, headers: API_HEADERS, body: json });

export function failed(
  status: number,
  error: string,
  message: string,
  headers?: Record<string, string>,
): DashboardReply {
  const body: ApiFailure = { error, message };
  return { status, headers: { ...API_HEADERS, ...headers }, body: JSON.stringify(body) };
}
