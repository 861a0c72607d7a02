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
import { STORE_SECRET } from './defaults.ts';
import { heapLimit, limitsOfHeap } from './heap-limits.ts';
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

const maxIdle = Math.min(10_000, Math.floor(0.8 * limitsOfHeap(heapLimit()).sessions));

export const SESSIONS = {
  sessionMode: choice(
    ['hybrid', 'stateful', 'stateless'],
    'hybrid',
    sessions('which clients get a session; hybrid = those that initialize', { value: 'mode' }),
  ),
  stateless: flag(
    undefined,
    sessions('short for --session-mode stateless (--no-stateless: hybrid)'),
  ),
  idleTimeoutMs: number(
    2 * HOUR_MS,
    ms('never'),
    sessions('end a session after this long without a request'),
  ),
  maxIdleSessionCount: number(
    maxIdle,
    count('sessions', 0, 'no limit'),
    sessions(
      'past this number idle sessions of the user with the most hibernate, or end on the memory store',
    ),
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
  deployment: option<string>(
    'text',
    'mcp',
    sessions('endpoints with the same deployment and store share their sessions', {
      value: 'name',
    }),
    (name, value) =>
      checkText(name, value, NAME, '1 to 64 letters, digits, dots, dashes and underscores'),
  ),
  leaseMs: number(
    3_000,
    ms(undefined, 100),
    sessions('other instances take over sessions after this long without a sign of life'),
  ),
  // Clients of some SDKs give up after 20 s.
  maxWaitMs: number(15_000, ms(), sessions('how long requests wait for an unreachable store')),
  // The default follows `idleTimeoutMs`; this is the default of that default.
  tombstoneMs: number(
    2 * HOUR_MS,
    ms(),
    sessions('how long an ended session is remembered as ended', {
      shown: 'the idle timeout, at most 24 h',
    }),
  ),
  hookTimeoutMs: number(
    30_000,
    ms('no limit', 1),
    sessions('time limit of the factory and of each hook'),
  ),
  perSessionExecutionContext: flag(
    false,
    sessions('run handlers in one async context per session, not per request'),
  ),
  // Newest first. `servedVersions` in versions.ts selects what a mode serves.
  supportedProtocolVersions: option<readonly string[]>(
    'list',
    KNOWN_VERSIONS,
    sessions('protocol revisions to serve', { value: 'dates', shown: 'all' }),
    parseVersions,
  ),
  secrets: option<readonly (string | Uint8Array)[]>(
    'list',
    Object.freeze([STORE_SECRET]),
    sessions(
      'secrets that sign messages and seal requestState, 32 bytes or more each; better set in the environment',
      { value: 'secrets' },
    ),
    (name, value) => checkKeys(name, value, STORE_SECRET),
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
  configureSessionOptions: hook<ConfigureSessionOptions>(
    'a function (request, serverOptions, signal)',
  ),
  runSessionHandler: hook<RunSessionHandler>('a function (request, session, run)'),
  sessionMigrationHandler: methods<SessionMigrationHandler>(
    ['allowSessionMigration'],
    ['onSessionInitialized', 'onSessionEnded'],
  ),
  sessionIdGenerator: value<SessionIdGenerator | undefined>(undefined, parseIdGenerator),
  sessionUser: hook<(authInfo: AuthInfo) => string | undefined>(
    'a function (authInfo) that returns a string or undefined',
  ),
  timeProvider: value<Required<TimeProvider>, TimeProvider>(systemTime, parseTime),
  onerror: hook<OnError>('a function (error, context)'),
  // Never throws.
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
  const { maxLength, accepts } = generator;
  if (accepts !== undefined)
    checkFunction(
      `${name}.accepts`,
      accepts,
      'a function (sessionId, request) that returns true or false',
    );
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
