/** What `endpoint.dashboard()` takes and returns. `endpoint/dashboard.ts` checks it before this folder is loaded. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { McpHttpRequest } from '../../types.ts';

export interface DashboardOptions {
  /**
   * Who sends it as a bearer token may look, and end sessions and drain instances. At least 16 characters; the page
   * asks for it. Without it no action is possible.
   */
  token?: string | undefined;
  /**
   * Decides who else may look, by `Cookie` for example: return `true`. A promise is awaited. It decides about no
   * action, because a browser sends cookies also for other sites.
   */
  authorize?: ((request: McpHttpRequest) => boolean | Promise<boolean>) | undefined;
  /** Where a trace can be seen; `{traceId}` is replaced by its id. */
  traceUrl?: string | undefined;
  /**
   * Whether payloads of one session can be shown, for five minutes: `keys` (keys, types and lengths) or `values` (also
   * values, without those whose name tells a secret). Default `false`.
   */
  payloads?: false | 'keys' | 'values' | undefined;
}

/** The dashboard on your own server, under any prefix. Both members are bound functions. */
export interface Dashboard {
  readonly fetch: (request: Request) => Promise<Response>;
  readonly node: (req: IncomingMessage, res: ServerResponse) => void;
}

/** What `sojourn serve` knows besides. */
export interface ServedDashboard {
  /** The address is bound to this machine alone: only its names are a right `Host`. */
  readonly loopback: boolean;
  /** Where clients connect. */
  readonly endpoint: string | undefined;
  readonly drainMs: number;
}

/** `DashboardOptions` after the check. */
export interface CheckedDashboard {
  readonly token: string | undefined;
  readonly authorize: DashboardOptions['authorize'];
  readonly traceUrl: string | undefined;
  readonly payloads: false | 'keys' | 'values';
  /** `undefined`: the application mounts it itself. */
  readonly served: ServedDashboard | undefined;
}
