/**
 * Every option of `createMcpEndpoint`, once: its check, its default, its flag and its help text.
 * From here derive `resolveOptions`, and the flags and variables of the command line. The comment
 * at its type says what an option means (`mcp-endpoint-options.ts`); of these `scripts/pages.mjs`
 * makes `docs/reference/options.md`.
 */
import type { ServerEventBus } from '@modelcontextprotocol/server';
import type { Observe } from '../observe/observer.ts';
import type { EventRetention } from '../types.ts';
import type { Middleware } from './middleware.ts';
import { type AddOn, parseUse } from './add-ons.ts';
import { checkProxy, LOOPBACK_RANGES } from './address-ranges.ts';
import { checkFunction, checkList } from './checks.ts';
import { type EventsOptions, parseEvents, type ResolvedEvents } from './events-options.ts';
import { checkAttemptName, checkRelayedName } from './header-names.ts';
import { checkHost, checkOrigin, LOOPBACK_NAMES } from './hosts.ts';
import type { AuthOptions } from './auth-options.ts';
import type { McpEndpointOptions } from './mcp-endpoint-options.ts';
import type { Limits, LimitsOptions } from './limits-options.ts';
import { resolveAuth, type ResolvedAuth } from './resolve-auth.ts';
import { LIMIT_DEFAULTS, resolveRetention, RETENTION_DEFAULTS } from './resolve-limits.ts';
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
  type Specs,
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
  responseMode: choice(
    ['auto', 'sse', 'json'],
    'auto',
    streams('how POSTs are answered', { value: 'mode' }),
  ),
  legacySse: flag(false, streams('also serve the 2024-11-05 transport, at <path>/sse and /sse')),
  keepAliveMs: zeroIsInfinity(
    number(15_000, ms('none'), streams('time between comments on quiet streams; 0: none')),
  ),
  retryMs: number(
    4_000,
    { ...ms(), integer: true },
    streams('how long clients wait before they reconnect'),
  ),
  lostCalls: choice(
    ['error', 'result'],
    'error',
    streams('how a tool call that may have run is answered when its result is lost', {
      value: 'form',
    }),
  ),
  tasks: option<ResolvedTasks | false, boolean | TasksOptions>(
    'switch',
    false,
    streams('let calls of tools that task() wraps become tasks (2026-07-28)'),
    parseTasks,
  ),
  events: value<ResolvedEvents | false, EventsOptions | false>(false, parseEvents),
  eventRetention: option<Readonly<EventRetention> | false, Some<EventRetention> | false>(
    'switch',
    RETENTION_DEFAULTS,
    streams('keep no sent messages; clients cannot resume', { shown: 'on' }),
    resolveRetention,
  ),
  bus: methods<ServerEventBus>(['publish', 'subscribe']),
  // Lower case, IPv6 in brackets. `undefined`: loopback names where `listen()` binds a loopback address, else any.
  allowedHosts: list(
    undefined,
    { takes: 'a list of host names', item: checkHost, least: 1 },
    {
      ...callers('accepted Host names, without port', { value: 'names' }),
      shown: 'loopback names on a loopback address, else any',
    },
  ),
  // `'*'`, origins as browsers spell them, or host names in lower case (IPv6 in brackets).
  allowedOrigins: list(
    LOOPBACK_NAMES,
    { takes: 'a list of origins and host names', item: checkOrigin, least: 0 },
    callers("browser origins that may call; '*' for any", { value: 'origins' }),
  ),
  trustedProxies: list(
    LOOPBACK_RANGES,
    { takes: "a list of address ranges, or 'private'", item: checkProxy, least: 0 },
    callers("proxies whose X-Forwarded-For names the caller's address; private: those networks", {
      value: 'ranges',
      shown: 'loopback',
    }),
  ),
  relayedHeaders: list<string, readonly string[]>(
    Object.freeze([]),
    { takes: 'a list of header names', item: checkRelayedName, least: 0 },
    callers('headers your handlers read, passed on between instances', { value: 'names' }),
  ),
  attemptHeader: option<string | undefined>(
    'text',
    undefined,
    callers('header with which the proxy names a request in all its tries', {
      value: 'name',
      shown: 'none',
    }),
    checkAttemptName,
  ),
  auth: value<ResolvedAuth | undefined, AuthOptions>(undefined, resolveAuth),
  limits: value<Readonly<Limits>, LimitsOptions>(LIMIT_DEFAULTS),
  middleware: value<readonly Middleware[], Middleware | readonly Middleware[]>(
    Object.freeze([]),
    parseAround,
  ),
  use: value<readonly AddOn[]>(Object.freeze([]), parseUse),
  metrics: flag(false, running('count for endpoint.metrics()')),
  observe: hook<Observe>('a function (notice)'),
  logErrorMessages: flag(
    false,
    running('log the messages of what handlers throw; they may hold arguments', {
      shown: 'on in a terminal',
    }),
  ),
  accessLog: flag(false, running('log a line for each request', { shown: 'on in a terminal' })),
  callLog: flag(false, running('log who called what, a line for each call')),
};

export const OPTIONS = { ...SESSIONS, ...REQUESTS } satisfies Specs<McpEndpointOptions>;

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
