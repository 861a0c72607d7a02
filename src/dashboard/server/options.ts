/** What `endpoint.dashboard()` takes and returns. `endpoint/dashboard.ts` checks it before this folder is loaded. */
import type { IncomingMessage, ServerResponse } from 'node:http';

export interface DashboardOptions {
  /** A bearer token of 16 characters or more: to look, end sessions, cancel tasks and drain instances. */
  token: string | undefined;
}

/** The dashboard on your own server, under any prefix. Both members are bound functions. */
export interface Dashboard {
  readonly fetch: (request: Request) => Promise<Response>;
  readonly node: (req: IncomingMessage, res: ServerResponse) => void;
}

/** `DashboardOptions` after the check. */
export interface CheckedDashboard {
  readonly token: string;
  /** What `sojourn serve` knows besides. `undefined`: the application mounts it itself. */
  readonly served: ServedDashboard | undefined;
}

export interface ServedDashboard {
  /** The names of an address that is bound to this machine alone. */
  readonly hosts: readonly string[] | undefined;
  /** Where clients connect. */
  readonly endpoint: string;
  readonly drainMs: number;
}
