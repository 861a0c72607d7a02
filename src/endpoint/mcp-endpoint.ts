/** The public shape of an endpoint. `endpoint.ts` makes it. */
import type { FetchOptions } from '../http/fetch-exchange.ts';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Server } from 'node:net';
import type { ServerEventBus } from '@modelcontextprotocol/server';
import type { Listening } from '../http/listen/listen.ts';
import type { ListenOptions } from '../http/listen/listen-options.ts';
import type { Dashboard, DashboardOptions } from '../dashboard/server/options.ts';
import type { EndpointNotices } from '../base/observe/notices.ts';
import type { EndpointHealth } from '../base/types.ts';
import type { Notifier } from './notifications.ts';
import type { Sessions } from './sessions.ts';
import type { ForgottenUser } from './forget-user.ts';
import type { EndpointHandles } from './endpoint-handles.ts';
import type { EventData } from '../base/options/events-options.ts';
import type { EmitInOptions } from './endpoint-emit.ts';
import type { EndpointTasks } from './endpoint-tasks.ts';

export interface DrainOptions {
  /** ms until running requests are interrupted. Default 25,000. */
  timeoutMs?: number | undefined;
  /**
   * `listen()` stops accepting connections first. A proxy whose connection is refused tries the next instance. Default
   * `false`: the endpoint answers until the end of the drain, and then with 503. An endpoint that serves alone first
   * finishes the calls that run.
   */
  stopListening?: boolean | undefined;
}

export interface CloseOptions {
  /** ms until running requests are cut; 0 cuts them at once. Default 25,000. */
  timeoutMs?: number | undefined;
}

/** One MCP endpoint in this process. `fetch` and `node` are bound functions, so they can be detached and passed on. */
export interface McpEndpoint extends AsyncDisposable {
  /** For Hono, Bun, Deno, Next.js …: answers on every path where it is mounted. */
  readonly fetch: (request: Request, options?: FetchOptions) => Promise<Response>;
  /** For node:http, Express, Fastify, Koa …. `req.auth` is the `authInfo`. A function as third argument is ignored. */
  readonly node: (req: IncomingMessage, res: ServerResponse, parsedBody?: unknown) => void;
  /** Starts an HTTP server with `/healthz`, `/readyz` and CORS. */
  readonly listen: (options?: ListenOptions) => Promise<Listening>;
  /**
   * The protected-resource metadata document of the option `auth` (RFC 9728), for your own server: `listen()` serves it
   * by itself. `fetch` answers 404 on every other path; `node` calls `next` there, if it is given.
   */
  readonly wellKnown: {
    readonly fetch: (request: Request) => Promise<Response>;
    readonly node: (req: IncomingMessage, res: ServerResponse, next?: () => void) => void;
  };
  readonly sessions: Sessions;
  /** Tasks of the deployment, with the option `tasks`. */
  readonly tasks: EndpointTasks;
  /**
   * Emits each notice of this instance under its kind (docs/reference/metrics.md#notices). The option `observe` gets
   * the same ones. A listener that throws is logged.
   */
  readonly notices: EndpointNotices;
  /** What models have behind handles (`openHandle()`). */
  readonly handles: EndpointHandles;
  /**
   * For those who must delete on request. Ends the sessions and tasks of a user (`userKey`: as `session.userKey`) at every
   * instance, deletes its handles, its state and all results, and refuses new ones for 24 h (`USER_FORGOTTEN`). Refuse
   * its tokens first. Keys of `once()` and of tasks stay until their time as digests, or a payment could run again.
   * Backups, logs and metrics are not reached. May be called again where it has failed.
   */
  readonly forgetUser: (userKey: string) => Promise<ForgottenUser>;
  /**
   * Stores that something happened: subscribers of the deployment get it. Needs the option `events`. Resolves with the
   * id of the event once the store has it. Rejects with a `TypeError` for an unknown name or wrong data, and with
   * `USER_FORGOTTEN`. With `tx`, it is stored with a transaction of yours, or not at all.
   * @experimental
   */
  readonly emit: (name: string, data: EventData, options?: EmitInOptions) => Promise<string>;
  readonly notify: Notifier;
  readonly bus: ServerEventBus;
  /**
   * Releases every session and finishes running requests; afterwards every request gets 503. Idempotent. Keeps the
   * process alive until it is done.
   */
  readonly drain: (options?: DrainOptions) => Promise<{
    /** Sessions given back to the store. */
    released: number;
    /** Requests that were still running at the deadline. */
    interrupted: number;
  }>;
  /**
   * While requests run it drains, as `drain` with `stopListening: true`: their clients get their answers. Then it
   * releases sessions (durable store) or ends them (memory). What runs after `timeoutMs` is cut. A later
   * `close({ timeoutMs: 0 })` cuts it at once, as the SDK's own handler does. Keeps the process alive until it is done.
   */
  readonly close: (options?: CloseOptions) => Promise<void>;
  /**
   * For the server of an application that mounts this endpoint, before it serves: returns the function that stops both,
   * for `process.once('SIGTERM', stop)`.
   * It stops accepting connections, answers what arrives on open ones with `Connection: close`, drains, closes the
   * endpoint, and resolves when the server is closed. The server keeps idle connections for 75 s, unless its
   * `keepAliveTimeout` was set. Throws a `TypeError` for what is no server of `node:http` or `node:https`.
   */
  readonly createShutdown: (server: Server, options?: CloseOptions) => () => Promise<void>;
  readonly health: () => EndpointHealth;
  /**
   * The metrics of this endpoint as Prometheus reads them (`text/plain; version=0.0.4`), counted since it was made.
   * Needs the option `metrics: true`, and throws a `TypeError` without it.
   */
  readonly metrics: () => string;
  /**
   * The dashboard, for your own server, under any prefix: instances, sessions, tasks, tools and refusals. From then on
   * this instance counts what it shows. Throws a `TypeError` without `token`.
   */
  readonly dashboard: (options: DashboardOptions) => Dashboard;
}
