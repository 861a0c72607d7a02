/** The options that are about sessions and the instance that serves them (`table.ts`). */
import type { AuthInfo } from '@modelcontextprotocol/server';
import { systemTime } from '../system.ts';
import { optionInvalid } from '../errors.ts';
import { KNOWN_VERSIONS } from '../protocol/versions.ts';
import type { Store } from '../../stores/store.ts';
import type {
  ConfigureSessionOptions,
  GivenLogger,
  Logger,
  OnError,
  RunSessionHandler,
  SessionIdGenerator,
  SessionMigrationHandler,
  SharedList,
  TimeProvider,
} from '../types.ts';
import {
  checkChoice,
  checkFunction,
  checkKeys,
  checkList,
  checkMethods,
  checkNumber,
  checkText,
  got,
} from './checks.ts';
import { STORE_KEY } from './defaults.ts';
import { heapLimit, sharesOf } from './heap-shares.ts';
import { consoleLogger, safeLogger, SILENT } from './logger.ts';
import {
  choice,
  count,
  flag,
  hook,
  list,
  methods,
  ms,
  number,
  option,
  textIn,
  value,
} from './value-kinds.ts';
import { isWinston, ofWinston } from './winston.ts';

const HOUR_MS = 3_600_000;
const NAME = /^[\w.-]{1,64}$/;

const sessions = textIn('Sessions');

const SHARED_LISTS: readonly SharedList[] = ['tools', 'prompts', 'resources', 'resourceTemplates'];

const maxIdle = Math.min(10_000, Math.floor(0.8 * sharesOf(heapLimit()).sessions));

export const SESSIONS = {
  /**
   * Which clients get a session (docs/guide/sessions.md#with-and-without-sessions). `'hybrid'`: those that send
   * `initialize`. `'stateful'`: sessions only, 2026-07-28 is refused. `'stateless'`: none.
   * @default `'hybrid'`
   */
  sessionMode: choice(
    ['hybrid', 'stateful', 'stateless'],
    'hybrid',
    sessions('which clients get a session; hybrid = those that initialize', { value: 'mode' }),
  ),
  /** `true` is `sessionMode: 'stateless'`, `false` is `'hybrid'`. */
  stateless: flag(
    undefined,
    sessions('short for --session-mode stateless (--no-stateless: hybrid)'),
  ),
  /**
   * A session ends when it had no running request and no open GET stream for this long. Its client gets 404 and starts
   * a new one.
   * @default 7,200,000 (2 h)
   */
  idleTimeoutMs: number(
    2 * HOUR_MS,
    ms('never'),
    sessions('end a session after this long without a request'),
  ),
  /**
   * Idle sessions of this instance. Above it those of the user with the most hibernate; on the memory store they end,
   * with a `fatal` line.
   * @default 10,000, less in a small heap
   */
  maxIdleSessionCount: number(
    maxIdle,
    count('sessions', 0, 'no limit'),
    sessions(
      'past this number idle sessions of the user with the most hibernate, or end on the memory store',
    ),
  ),
  /**
   * A session that is idle this long keeps only its record; the next request wakes it with a new server object
   * (docs/guide/sessions.md#hibernation).
   * @default Infinity
   */
  hibernateAfterMs: number(
    Infinity,
    ms('never'),
    sessions('free the memory of a session after this long without a request'),
  ),
  /**
   * Where sessions and event logs are kept: `sqlite()` from `sojourn/sqlite`, `redis()` from `sojourn-redis` or
   * `postgres()` from `sojourn-postgres`. Default: the memory of this process, with which they end.
   */
  store: option<Store | undefined>(
    'text',
    undefined,
    sessions('where sessions are kept: memory: (this process), sqlite:FILE, redis:, postgres:', {
      value: 'url',
      shown: 'memory:',
    }),
    parseStore,
  ),
  /**
   * The name of the deployment. Endpoints with one deployment on one store share their sessions and must serve the same
   * server; other deployments are separate. 1 to 64 letters, digits, dots, dashes and underscores.
   * @default `'mcp'`
   */
  deployment: option<string>(
    'text',
    'mcp',
    sessions('endpoints with the same deployment and store share their sessions', {
      value: 'name',
    }),
    (name, value) =>
      checkText(name, value, NAME, '1 to 64 letters, digits, dots, dashes and underscores'),
  ),
  /**
   * How long an instance may be silent before others take over its sessions. A handler that blocks the event loop for
   * two thirds of it costs the instance its sessions. At least 100.
   * @default 3,000
   */
  leaseMs: number(
    3_000,
    ms(undefined, 100),
    sessions('other instances take over sessions after this long without a sign of life'),
  ),
  // Clients of some SDKs give up after 20 s.
  /**
   * How long a request waits while the store or the session cannot be reached. Keep it below your clients' time-outs
   * (20 s in some SDKs, 60 s in most).
   * @default 15,000
   */
  maxWaitMs: number(15_000, ms(), sessions('how long requests wait for an unreachable store')),
  // The default follows `idleTimeoutMs`; this is the default of that default.
  /**
   * How long an ended session is remembered as ended, so that no late write or migration handler brings it back.
   * Default: `idleTimeoutMs`, at most 24 h.
   */
  tombstoneMs: number(
    2 * HOUR_MS,
    ms(),
    sessions('how long an ended session is remembered as ended', {
      shown: 'the idle timeout, at most 24 h',
    }),
  ),
  /**
   * How long your code may hold up a request: the factory, the hooks, `connect()`, `tasks.authInfo`, `afterCrash` of
   * `once()`. Then the request gets `HOOK_TIMEOUT`, and a `warn` line names the hook. It also bounds the 4 s that a
   * restored session waits for what `oninitialized` asks (docs/guide/sessions.md#restoring-a-session).
   * @default 30,000
   */
  hookTimeoutMs: number(
    30_000,
    ms('no limit', 1),
    sessions('time limit of the factory and of each hook'),
  ),
  /**
   * `true`: all handlers of a session run in the async context in which `run()` was called
   * (docs/guide/hooks.md#runsessionhandler).
   * @default `false`
   */
  perSessionExecutionContext: flag(
    false,
    sessions('run handlers in one async context per session, not per request'),
  ),
  // Newest first. `servedVersions` in versions.ts selects what a mode serves.
  /**
   * The protocol revisions to serve.
   * @default `2026-07-28`, `2025-11-25`, `2025-06-18`, `2025-03-26`, `2024-11-05`, `2024-10-07`
   */
  supportedProtocolVersions: option<readonly string[]>(
    'list',
    KNOWN_VERSIONS,
    sessions('protocol revisions to serve', { value: 'dates', shown: 'all' }),
    parseVersions,
  ),
  // `undefined`: the store's secret, else random.
  /**
   * Keys of 32 bytes or more, the same on every instance, that encrypt `ctx.requestState`. The first seals, all open.
   * Default: keys of the store, a new one each day.
   */
  requestStateKeys: option<readonly (string | Uint8Array)[] | undefined>(
    'list',
    undefined,
    sessions('keys that seal requestState, 32 bytes or more each; better set in the environment', {
      value: 'keys',
    }),
    checkKeys,
  ),
  /**
   * Keys of 32 bytes or more, the same on every instance, that sign messages between instances. `'store'` is a key kept
   * in the store; your own key keeps out programs that can read the store, too. To introduce K deploy `['store', K]`,
   * `[K, 'store']`, `[K]`; to rotate it to N `[K, N]`, `[N, K]`, `[N]`.
   * @default `['store']`
   */
  instanceKeys: option<readonly (string | Uint8Array)[]>(
    'list',
    Object.freeze([STORE_KEY]),
    sessions(
      'keys that sign messages between instances, 32 bytes or more each; better set in the environment',
      {
        value: 'keys',
      },
    ),
    (name, value) => checkKeys(name, value, STORE_KEY),
  ),
  /**
   * Lists that are the same for every caller, of `'tools'`, `'prompts'`, `'resources'`, `'resourceTemplates'`: the
   * first result is kept until something is registered, enabled, disabled, updated or removed, or `list_changed` is
   * sent. **Never name a list that depends on the caller**, or one user gets another's list. Default: none.
   */
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
  /**
   * Changes the `ServerOptions` of a session; the factory passes `ctx.serverOptions` on
   * (docs/guide/hooks.md#configuresessionoptions).
   */
  configureSessionOptions: hook<ConfigureSessionOptions>(
    'a function (request, serverOptions, signal)',
  ),
  /**
   * Code around a session, or around each request without one: prepare, `await run()`, clean up
   * (docs/guide/hooks.md#runsessionhandler).
   */
  runSessionHandler: hook<RunSessionHandler>('a function (request, session, run)'),
  /**
   * Your own storage of sessions: `{ allowSessionMigration, onSessionInitialized?, onSessionEnded? }`
   * (docs/guide/hooks.md#moving-sessions-yourself). Default: unknown ids get 404.
   */
  sessionMigrationHandler: methods<SessionMigrationHandler>(
    ['allowSessionMigration'],
    ['onSessionInitialized', 'onSessionEnded'],
  ),
  /**
   * Makes session ids of visible ASCII, from `{ request, params, userKey }`. A guessable id is a security hole. For ids
   * above 256 characters set its property `maxLength`. Default: 16 random bytes, base64url.
   */
  sessionIdGenerator: value<SessionIdGenerator | undefined>(undefined, parseIdGenerator),
  /**
   * The user whose session it is, from `authInfo`; `undefined`: an anonymous caller. **Without it `authInfo.extra.sub`
   * must be set**, else every request with an `authInfo` gets 500: all users of one application share its `clientId`.
   */
  sessionUser: hook<(authInfo: AuthInfo) => string | undefined>(
    'a function (authInfo) that returns a string or undefined',
  ),
  /** Clock and timers; `createFakeTime()` of `sojourn/testing` in a test. Default: the system's. */
  timeProvider: value<Required<TimeProvider>, TimeProvider>(systemTime, parseTime),
  /**
   * Gets what handlers throw, and errors that would only be logged, unredacted, with `method`, `target` and
   * `sessionHash` of the request (docs/guide/operations.md#errors-in-sentry).
   */
  onerror: hook<OnError>('a function (error, context)'),
  // Never throws.
  /**
   * `{ debug, info, warn, error, fatal? }`, called with `(fields, message)` as pino's are; a winston logger; `false`
   * for silence. Default: stderr, `info` and above.
   */
  logger: value<Logger, GivenLogger | false>(consoleLogger, parseLogger),
};

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
  if (typeof value === 'function')
    throw optionInvalid(
      'type',
      name,
      got('a function'),
      'a store, which that function returns: call it',
    );
  const store = checkMethods(name, value as Store, ['open']);
  if (typeof store.kind !== 'string')
    throw optionInvalid(
      'type',
      name,
      got('an object without kind'),
      "a store, e.g. memory() from 'sojourn'",
    );
  return store;
}

function parseIdGenerator(name: string, value: unknown): SessionIdGenerator {
  const takes = 'a function ({ request, params, userKey }) that returns a string';
  const generator = checkFunction(name, value as SessionIdGenerator, takes);
  const { maxLength } = generator;
  if (maxLength !== undefined) checkNumber(`${name}.maxLength`, maxLength, count('characters', 1));
  return generator;
}

function parseVersions(name: string, value: unknown): readonly string[] {
  const takes = `versions of ${KNOWN_VERSIONS.join(', ')}`;
  const check = (item: string, version: unknown): string =>
    checkChoice(item, version, KNOWN_VERSIONS);
  const given = checkList(name, value, takes, check);
  return Object.freeze(KNOWN_VERSIONS.filter((version) => given.includes(version)));
}

function parseTime(name: string, value: unknown): Required<TimeProvider> {
  const given = checkMethods(
    name,
    value as TimeProvider,
    ['now', 'setTimeout', 'clearTimeout'],
    ['monotonic'],
  );
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
  return safeLogger(
    checkMethods(name, value as GivenLogger, ['debug', 'info', 'warn', 'error'], ['fatal']),
  );
}
