/**
 * Every option of `createMcpEndpoint`, once: its check, its default, its flag and its help text. From here derive
 * `resolveOptions`, the flags and variables of the command line, and the tests of `docs/reference/options.md`. The
 * types, with what each option means, are in `endpoint-options.ts`; a missing entry is a type error there.
 */
import type { AuthInfo, ServerEventBus } from '@modelcontextprotocol/server';
import { optionInvalid } from '../errors.ts';
import { KNOWN_VERSIONS, newestFirst } from '../protocol/versions.ts';
import type { Observe } from '../observe/observer.ts';
import type { Store } from '../stores/store.ts';
import type {
  ConfigureSessionOptions,
  EventRetention,
  GivenLogger,
  Logger,
  OnError,
  RunSessionHandler,
  SessionIdGenerator,
  SessionMigrationHandler,
  SharedList,
  TimeProvider,
} from '../types.ts';
import type { AroundRequest } from './around-request.ts';
import type { ResolvedAuth } from './auth-options.ts';
import { checkChoice, checkFunction, checkKey, checkList, checkMethods, checkText, got } from './checks.ts';
import { STORE_KEY } from './defaults.ts';
import { checkHeaderName } from './header-names.ts';
import { heapLimit, sharesOf } from './heap-shares.ts';
import { checkHost, checkOrigin, LOOPBACK_NAMES } from './hosts.ts';
import {
  choice,
  count,
  flag,
  type FlagText,
  hook,
  inModule,
  list,
  methods,
  ms,
  number,
  option,
  valuesOf,
  zeroIsInfinity,
} from './value-kinds.ts';
import { consoleLogger, safeLogger, SILENT } from './logger.ts';
import { isWinston, ofWinston } from './winston.ts';
import { parseTasks, type ResolvedTasks } from './tasks-options.ts';
import { LIMIT_DEFAULTS, RETENTION_DEFAULTS } from './resolve-limits.ts';
import { systemTime } from '../base/system.ts';

const HOUR_MS = 3_600_000;
const NAME = /^[\w.-]{1,64}$/;

type More = Omit<FlagText, 'group' | 'help'>;
const sessions = (help: string, more?: More): FlagText => ({ group: 'Sessions', help, ...more });
const streams = (help: string, more?: More): FlagText => ({ group: 'Streams and resuming', help, ...more });
export const callers = (help: string, value: string): FlagText => ({ group: 'Who may call', help, value });

const SHARED_LISTS: readonly SharedList[] = ['tools', 'prompts', 'resources', 'resourceTemplates'];

const maxIdle = Math.min(10_000, Math.floor(0.8 * sharesOf(heapLimit()).sessions));

export const OPTIONS = {
  sessionMode: choice(
    ['hybrid', 'stateful', 'stateless'],
    'hybrid',
    sessions('which clients get a session; hybrid = those that initialize', { value: 'mode' }),
  ),
  stateless: flag(undefined, sessions('short for --session-mode stateless (--no-stateless: stateful)')),
  idleTimeoutMs: number(2 * HOUR_MS, ms('never'), sessions('end a session after this long without a request')),
  maxIdleSessionCount: number(
    maxIdle,
    count('sessions', 0, 'no limit'),
    sessions('past this number idle sessions of the user with the most hibernate, or end on the memory store'),
  ),
  hibernateAfterMs: number(
    Infinity,
    ms('never'),
    sessions('free the memory of a session after this long without a request'),
  ),
  store: option<Store | undefined>(
    'text',
    undefined,
    sessions('where sessions are kept: memory: (this process), sqlite:FILE, redis:, postgres:', {
      value: 'url',
      shown: 'memory:',
    }),
    parseStore,
  ),
  name: option<string>(
    'text',
    'mcp',
    sessions('endpoints with the same name and store are one deployment', { value: 'name' }),
    (name, value) => checkText(name, value, NAME, '1 to 64 letters, digits, dots, dashes and underscores'),
  ),
  leaseMs: number(
    3_000,
    ms(undefined, 1),
    sessions('other instances take over sessions after this long without a sign of life'),
  ),
  // Clients of some SDKs give up after 20 s.
  waitMs: number(15_000, ms(), sessions('how long requests wait for an unreachable store')),
  /** The default follows `idleTimeoutMs`; this is the default of that default. */
  tombstoneMs: number(
    2 * HOUR_MS,
    ms(),
    sessions('how long an ended session is remembered as ended', { shown: 'the idle timeout, at most 24 h' }),
  ),
  hookTimeoutMs: number(30_000, ms('no limit', 1), sessions('time limit of the factory and of each hook')),
  perSessionExecutionContext: flag(false, sessions('run handlers in one async context per session, not per request')),
  /** Newest first. `servedVersions` in versions.ts selects what a mode serves. */
  supportedProtocolVersions: option<readonly string[]>(
    'list',
    KNOWN_VERSIONS,
    sessions('protocol revisions to serve', { value: 'dates', shown: 'all' }),
    parseVersions,
  ),
  /** `undefined`: the store's secret, else random. */
  requestStateKeys: list(
    undefined,
    { takes: 'a list of keys, each 32 bytes or more', item: checkKey, least: 1 },
    sessions('keys that seal requestState, 32 bytes or more each; better set in the environment', { value: 'keys' }),
  ),
  instanceKeys: list<string | Uint8Array, readonly (string | Uint8Array)[]>(
    Object.freeze([STORE_KEY]),
    {
      takes: `a list of keys, each 32 bytes or more, or '${STORE_KEY}'`,
      item: (name, key) => (key === STORE_KEY ? STORE_KEY : checkKey(name, key)),
      least: 1,
    },
    sessions('keys that sign messages between instances, 32 bytes or more each; better set in the environment', {
      value: 'keys',
    }),
  ),
  sharedLists: list<SharedList, readonly SharedList[]>(
    Object.freeze([]),
    {
      takes: 'a list of tools, prompts, resources, resourceTemplates',
      item: (name, value) => checkChoice(name, value, SHARED_LISTS),
      least: 0,
    },
    sessions('lists that are the same for every caller, so that their answers are kept', {
      value: 'names',
      shown: 'none',
    }),
  ),
  responseMode: choice(['auto', 'sse', 'json'], 'auto', streams('how POSTs are answered', { value: 'mode' })),
  legacySse: flag(false, streams('also serve the 2024-11-05 transport, at <path>/sse and /sse')),
  keepAliveMs: zeroIsInfinity(number(15_000, ms('none'), streams('time between comments on quiet streams; 0: none'))),
  // Longer than any pause of a client that still reads.
  writeTimeoutMs: number(60_000, ms('no limit', 1), streams('when a client that reads nothing loses its connection')),
  retryMs: number(4_000, { ...ms(), integer: true }, streams('how long clients wait before they reconnect')),
  lostCalls: choice(
    ['error', 'result'],
    'error',
    streams('how a tool call that may have run is answered when its result is lost', { value: 'form' }),
  ),
  tasks: option<ResolvedTasks | false>(
    'switch',
    false,
    streams('let calls of tools that task() wraps become tasks (2026-07-28)'),
    parseTasks,
  ),
  eventRetention: option<Readonly<EventRetention> | false>(
    'switch',
    RETENTION_DEFAULTS,
    streams('keep no sent messages; clients cannot resume', { shown: 'on' }),
  ),
  /** Lower case, IPv6 in brackets. `undefined`: loopback names where `listen()` binds a loopback address, else any. */
  allowedHosts: list(
    undefined,
    { takes: 'a list of host names', item: checkHost, least: 1 },
    {
      ...callers('accepted Host names, without port', 'names'),
      shown: 'loopback names on a loopback address, else any',
    },
  ),
  /** `'*'`, origins as browsers spell them, or host names in lower case (IPv6 in brackets). */
  allowedOrigins: list(
    LOOPBACK_NAMES,
    { takes: 'a list of origins and host names', item: checkOrigin, least: 0 },
    callers("browser origins that may call; '*' for any", 'origins'),
  ),
  relayedHeaders: list<string, readonly string[]>(
    Object.freeze([]),
    { takes: 'a list of header names', item: checkHeaderName, least: 0 },
    callers('headers your handlers read, passed on between instances', 'names'),
  ),
  auth: inModule<ResolvedAuth | undefined>('Who may call', 'an object with functions', undefined),
  limits: inModule('Limits', 'an object', LIMIT_DEFAULTS),
  configureSessionOptions: hook<ConfigureSessionOptions>('a function (request, serverOptions, signal)', 'Sessions'),
  runSessionHandler: hook<RunSessionHandler>('a function (request, session, run)', 'Sessions'),
  aroundRequest: inModule<readonly AroundRequest[]>(
    'Running',
    'a function, or a list of functions',
    Object.freeze([]),
    parseAround,
  ),
  sessionMigrationHandler: methods<SessionMigrationHandler>(
    ['allowSessionMigration'],
    ['onSessionInitialized', 'onSessionEnded'],
    'Sessions',
  ),
  sessionIdGenerator: hook<SessionIdGenerator>(
    'a function ({ request, params, user }) that returns a string',
    'Sessions',
  ),
  sessionUser: hook<(authInfo: AuthInfo) => string | undefined>(
    'a function (authInfo) that returns a string or undefined',
    'Sessions',
  ),
  timeProvider: inModule('Sessions', 'an object with functions', systemTime, parseTime),
  bus: methods<ServerEventBus>(['publish', 'subscribe'], [], 'Streams and resuming'),
  metrics: flag(false, { group: 'Running', help: 'count for endpoint.metrics()' }),
  observe: hook<Observe>('a function (notice)', 'Running'),
  onerror: hook<OnError>('a function (error, context)', 'Sessions'),
  logErrors: flag(false, {
    group: 'Running',
    help: 'log the messages of what handlers throw; they may hold arguments',
    shown: 'on in a terminal',
  }),
  accessLog: flag(false, { group: 'Running', help: 'log a line for each request', shown: 'on in a terminal' }),
  /** Never throws. */
  logger: inModule<Logger>('Sessions', 'an object with functions, or false', consoleLogger, parseLogger),
};

export type OptionName = keyof typeof OPTIONS;

/** The value of each omitted option. */
export const DEFAULTS = valuesOf(OPTIONS);

const STORE_OF_SCHEME: ReadonlyArray<readonly [scheme: RegExp, opener: string, from: string]> = [
  [/^rediss?:/, 'redis', 'sojourn-redis'],
  [/^postgres(ql)?:/, 'postgres', 'sojourn-postgres'],
  [/^/, 'sqlite', 'sojourn/sqlite'],
];

function parseStore(name: string, value: unknown): Store | undefined {
  if (typeof value === 'string') {
    const [, opener, from] = STORE_OF_SCHEME.find(([scheme]) => scheme.test(value)) ?? [];
    throw optionInvalid(
      'type',
      name,
      got('a string'),
      `a store: import { ${opener} } from '${from}' and write store: ${opener}(…) around it`,
    );
  }
  const store = checkMethods(name, value as Store, ['open']);
  if (typeof store.kind !== 'string')
    throw optionInvalid('type', name, got('an object without kind'), "a store, e.g. memory() from 'sojourn/memory'");
  return store;
}

function parseVersions(name: string, value: unknown): readonly string[] {
  const takes = `versions of ${KNOWN_VERSIONS.join(', ')}`;
  const check = (item: string, version: unknown): string => checkChoice(item, version, KNOWN_VERSIONS);
  return Object.freeze(newestFirst(checkList(name, value, takes, check)));
}

function parseAround(name: string, value: unknown): readonly AroundRequest[] {
  const takes = 'a function (request, next)';
  if (!Array.isArray(value)) return Object.freeze([checkFunction(name, value as AroundRequest, takes)]);
  const check = (item: string, one: unknown): AroundRequest => checkFunction(item, one as AroundRequest, takes);
  return checkList(name, value, `${takes}, or a list of them`, check, 0);
}

function parseTime(name: string, value: unknown): Required<TimeProvider> {
  const given = checkMethods(name, value as TimeProvider, ['now', 'setTimeout', 'clearTimeout'], ['monotonic']);
  if (given.monotonic !== undefined) return given as Required<TimeProvider>;
  return Object.freeze({
    now: () => given.now(),
    monotonic: () => given.now(),
    setTimeout: (fn: () => void, delayMs: number) => given.setTimeout(fn, delayMs),
    clearTimeout: (handle: unknown) => given.clearTimeout(handle),
  });
}

function parseLogger(name: string, value: unknown): Logger {
  if (value === false) return SILENT;
  if (isWinston(value)) return safeLogger(ofWinston(value));
  return safeLogger(checkMethods(name, value as GivenLogger, ['debug', 'info', 'warn', 'error'], ['fatal']));
}
