/**
 * Every option of `createMcpEndpoint`, once: what it means, its check, its default, its flag and its help text. From
 * here derive the types (`endpoint-options.ts`), `resolveOptions`, the flags and variables of the command line, and
 * `docs/reference/options.md`, which `scripts/pages.mjs` makes of the comments.
 */
import type { ServerEventBus } from '@modelcontextprotocol/server';
import type { Observe } from '../observe/observer.ts';
import type { EventRetention } from '../types.ts';
import type { Middleware } from './middleware.ts';
import { type AddOn, parseUse } from './add-ons.ts';
import { checkFunction, checkList } from './checks.ts';
import { checkAttemptName, checkRelayedName } from './header-names.ts';
import { checkHost, checkOrigin, LOOPBACK_NAMES } from './hosts.ts';
import { type AuthOptions, resolveAuth, type ResolvedAuth } from './resolve-auth.ts';
import {
  LIMIT_DEFAULTS,
  type LimitsOptions,
  resolveRetention,
  RETENTION_DEFAULTS,
  type Limits,
} from './resolve-limits.ts';
import { SESSIONS } from './session-options.ts';
import { parseTasks, type ResolvedTasks, type TasksOptions } from './tasks-options.ts';
import {
  choice,
  flag,
  hook,
  list,
  methods,
  ms,
  number,
  option,
  type Some,
  textIn,
  value,
  valuesOf,
  zeroIsInfinity,
} from './value-kinds.ts';

const streams = textIn('Streams and resuming');
const callers = textIn('Who may call');
const running = textIn('Running');

/** The options that are about requests and their answers, and about running the endpoint. */
export const REQUESTS = {
  /**
   * How a POST is answered. `'auto'`: sessions by SSE; 2026-07-28 by JSON, or by SSE once something is sent before the
   * result. `'sse'`: always SSE. `'json'`: always one JSON body, for clients and proxies that cannot stream; nothing can
   * be resumed.
   * @default `'auto'`
   */
  responseMode: choice(
    ['auto', 'sse', 'json'],
    'auto',
    streams('how POSTs are answered', { value: 'mode' }),
  ),
  /**
   * Also serves the transport of 2024-11-05, on paths that end in `/sse` and `/message`, without resuming.
   * @default `false`
   */
  legacySse: flag(false, streams('also serve the 2024-11-05 transport, at <path>/sse and /sse')),
  /**
   * How often a quiet SSE stream gets a comment, so that proxies do not close it. `Infinity` and `0` send none. The head
   * of a 2026-07-28 answer waits as long for its first message.
   * @default 15,000
   */
  keepAliveMs: zeroIsInfinity(
    number(15_000, ms('none'), streams('time between comments on quiet streams; 0: none')),
  ),
  /**
   * How long a client waits before it reconnects (`retry:`). Several clients try twice: two of it should be longer than
   * a restart takes.
   * @default 4,000
   */
  retryMs: number(
    4_000,
    { ...ms(), integer: true },
    streams('how long clients wait before they reconnect'),
  ),
  /**
   * The answer of a `tools/call` that may have run and whose result is lost. `'error'`: a JSON-RPC error. `'result'`: a
   * result with `isError: true`, for hosts that repeat a call after any error.
   * @default `'error'`
   */
  lostCalls: choice(
    ['error', 'result'],
    'error',
    streams('how a tool call that may have run is answered when its result is lost', {
      value: 'form',
    }),
  ),
  /**
   * Serves the extension `io.modelcontextprotocol/tasks` (docs/guide/long-running-tools.md). `true`, or an object of:
   * @default `false`
   */
  tasks: option<ResolvedTasks | false, boolean | TasksOptions>(
    'switch',
    false,
    streams('let calls of tools that task() wraps become tasks (2026-07-28)'),
    parseTasks,
  ),
  /**
   * What the event log of each session keeps for clients that reconnect: the first of the three below to be reached
   * drops the oldest events. `false` keeps nothing: no resuming.
   */
  eventRetention: option<Readonly<EventRetention> | false, Some<EventRetention> | false>(
    'switch',
    RETENTION_DEFAULTS,
    streams('keep no sent messages; clients cannot resume', { shown: 'on' }),
    resolveRetention,
  ),
  /**
   * Carries the events of `subscriptions/listen`, as in `createMcpHandler`. Default: one that reaches every instance on
   * the store. Yours must reach them by itself: an `InMemoryServerEventBus` knows this process alone.
   */
  bus: methods<ServerEventBus>(['publish', 'subscribe']),
  // Lower case, IPv6 in brackets. `undefined`: loopback names where `listen()` binds a loopback address, else any.
  /**
   * The `Host` names that are served, without port; others get 403. It protects against DNS rebinding. **Set it when
   * you mount the endpoint.** Default: loopback names and its `host` when `listen()` binds a loopback address, else any.
   */
  allowedHosts: list(
    undefined,
    { takes: 'a list of host names', item: checkHost, least: 1 },
    {
      ...callers('accepted Host names, without port', { value: 'names' }),
      shown: 'loopback names on a loopback address, else any',
    },
  ),
  // `'*'`, origins as browsers spell them, or host names in lower case (IPv6 in brackets).
  /**
   * The web pages whose scripts may call: origins (`https://app.example`), host names, or `'*'`; `'null'` for pages
   * from files, and for every sandboxed frame. A request without `Origin` passes. CORS headers follow this list; an
   * empty one refuses every browser.
   * @default `localhost`, `127.0.0.1`, `[::1]`
   */
  allowedOrigins: list(
    LOOPBACK_NAMES,
    { takes: 'a list of origins and host names', item: checkOrigin, least: 0 },
    callers("browser origins that may call; '*' for any", { value: 'origins' }),
  ),
  /**
   * Headers that your handlers read, such as `['x-tenant']`: an instance that relays a request keeps these and the
   * common ones, and no others (docs/guide/hooks.md#what-a-relayed-request-shows). `Authorization`,
   * `Proxy-Authorization`, `Cookie`, `X-Api-Key` and `X-Forwarded-Access-Token` cannot be named. Default: none.
   */
  relayedHeaders: list<string, readonly string[]>(
    Object.freeze([]),
    { takes: 'a list of header names', item: checkRelayedName, least: 0 },
    callers('headers your handlers read, passed on between instances', { value: 'names' }),
  ),
  /**
   * The header in which your proxy names an attempt, equal in all its tries of one request, such as `X-Request-Id`. A
   * POST of a session that arrives again under its id runs once (docs/guide/deployment.md#when-a-connection-breaks).
   * **Only a header that the proxy sets itself**: one that clients could send, the proxy must replace. Ids have 8 to
   * 128 visible ASCII characters; others are ignored. Default: none.
   */
  attemptHeader: option<string | undefined>(
    'text',
    undefined,
    callers('header with which the proxy names a request in all its tries', {
      value: 'name',
      shown: 'none',
    }),
    checkAttemptName,
  ),
  /**
   * Who may call, and what (docs/guide/auth.md). Set one of `jwt`, `verify` and `trustedProxyUser`. Default: every
   * request is served, and `authInfo` is what your middleware passes in.
   */
  auth: value<ResolvedAuth | undefined, AuthOptions>(undefined, resolveAuth),
  /**
   * What clients can make this instance hold: an object of the members below. Some defaults follow from the heap
   * (`--max-old-space-size`), and are given for 4 GiB. A caller without a user counts by its address: behind a proxy
   * all of them are one.
   */
  limits: value<Readonly<Limits>, LimitsOptions>(LIMIT_DEFAULTS),
  /**
   * Your code around each run of a client's request, or a list of which the first is the outermost
   * (docs/guide/hooks.md#middleware).
   */
  middleware: value<readonly Middleware[], Middleware | readonly Middleware[]>(
    Object.freeze([]),
    parseAround,
  ),
  /**
   * Add-ons: `use: [telemetry()]` of `sojourn/otel`. What each has of `middleware`, `observe` and `onerror` runs beside
   * these options, and its middleware around theirs. Default: none.
   */
  use: value<readonly AddOn[]>(Object.freeze([]), parseUse),
  /**
   * Counts for `endpoint.metrics()`. On the command line `--metrics [host:]port` also serves them.
   * @default `false`
   */
  metrics: flag(false, running('count for endpoint.metrics()')),
  /**
   * Gets a notice of all that happens: calls that ended, refusals, sessions, the store, relays, waits
   * (docs/reference/metrics.md#notices).
   */
  observe: hook<Observe>('a function (notice)'),
  /**
   * `true`: lines about what handlers throw have its message, which may hold arguments.
   * @default `false`
   */
  logErrorMessages: flag(
    false,
    running('log the messages of what handlers throw; they may hold arguments', {
      shown: 'on in a terminal',
    }),
  ),
  /**
   * `true`: one `info` line for each answered request, at most 1,000 a second. On in a terminal under `serve`.
   * @default `false`
   */
  accessLog: flag(false, running('log a line for each request', { shown: 'on in a terminal' })),
  /**
   * `true`: one `info` line for each run of a call, at the instance that ran it: who did what
   * (docs/guide/operations.md#audit). No line is left out, so a client writes as many as it makes calls.
   * @default `false`
   */
  callLog: flag(false, running('log who called what, a line for each call')),
};

export const OPTIONS = { ...SESSIONS, ...REQUESTS };

export type OptionName = keyof typeof OPTIONS;

/** The value of each omitted option. */
export const DEFAULTS = valuesOf(OPTIONS);

function parseAround(name: string, value: unknown): readonly Middleware[] {
  const takes = 'a function (request, next)';
  if (!Array.isArray(value))
    return Object.freeze([checkFunction(name, value as Middleware, takes)]);
  const check = (item: string, one: unknown): Middleware =>
    checkFunction(item, one as Middleware, takes);
  return checkList(name, value, `${takes}, or a list of them`, check, 0);
}
