/** A request to the dashboard and its answer, as both faces have them (`faces.ts`). */
import { digestOf } from '../../base/digest.ts';
import type { McpHttpRequest } from '../../types.ts';
import type { ApiFailure } from '../wire.ts';

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

export interface DashboardReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
}

export function failed(status: number, error: string, message: string, more?: Record<string, string>): DashboardReply {
  const body: ApiFailure = { error, message };
  const headers = { 'Content-Type': 'application/json', 'Cache-Control': 'no-store', ...more };
  return { status, headers, body: JSON.stringify(body) };
}

export const tagOf = (body: string | Uint8Array): string => `"${digestOf(body).toString('base64url').slice(0, 22)}"`;
