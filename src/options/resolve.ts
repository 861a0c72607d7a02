/** Validates the options once and fills them in. Every invalid option throws here, at construction, and never later. */
import { optionInvalid, optionsContradict } from '../errors.ts';
import { safeLogger } from './logger.ts';
import type { EventRetention, SessionLimits, TimeProvider, ToolLimits, UserLimits } from '../types.ts';
import { isObject } from '../protocol/jsonrpc.ts';
import { KNOWN_VERSIONS, isModern, newestFirst, servedVersions, type SessionMode } from '../protocol/versions.ts';
import {
  checkBoolean,
  checkChoice,
  checkFunction,
  checkList,
  checkMethods,
  checkNames,
  checkNumber,
  got,
  type NumberRange,
} from './checks.ts';
import { AUTH_NAMES, resolveAuth } from './resolve-auth.ts';
import { DEFAULTS, TOMBSTONE_MAX_MS, STORE_KEY } from './defaults.ts';
import type { McpEndpointOptions, ResolvedOptions } from './endpoint-options.ts';
import { checkHeaderName, refuseRelayedCredentials } from './header-names.ts';
import { checkHost, checkOrigin } from './hosts.ts';

/** Option names of `createMcpHandler`, and the name of each here. */
const OF_CREATE_MCP_HANDLER: Readonly<Record<string, string>> = {
  legacy:
    "sessionMode ('hybrid', the default: 2025-era clients get sessions; 'stateless': they are served without; " +
    "to serve 2026-07-28 alone give supportedProtocolVersions: ['2026-07-28'])",
  maxSubscriptions: 'limits.subscriptions',
  maxRequestBodySize: 'limits.bodyBytes',
};

/** Names of other transports, and what says the same here. */
const OF_OTHERS: Readonly<Record<string, readonly [of: string, here: string]>> = {
  eventStreamStore: ['the C# SDK', 'store, with eventRetention for how much of a stream is kept'],
  enableLegacySse: ['the C# SDK', 'legacySse'],
  idleTimeout: ['the C# SDK', 'idleTimeoutMs, in ms'],
  eventStore: ['the SDK transport', 'store, with eventRetention for how much of a stream is kept'],
  enableJsonResponse: ['the SDK transport', "responseMode: 'json'"],
  onsessioninitialized: [
    'the SDK transport',
    "sessions.events.on('opened', …), or sessionMigrationHandler.onSessionInitialized",
  ],
  onsessionclosed: ['the SDK transport', "sessions.events.on('ended', …)"],
  enableDnsRebindingProtection: ['the SDK transport', 'allowedHosts and allowedOrigins'],
  retryInterval: ['the SDK transport', 'retryMs'],
};

const MS: NumberRange = { min: 0, unit: 'ms' };

const LIMIT_RANGES: Readonly<Record<keyof SessionLimits, NumberRange>> = {
  bodyBytes: { min: 1, unit: 'bytes', integer: true },
  requestsPerSession: { min: 1, unit: 'requests', integer: true },
  sessions: { min: 0, unit: 'sessions', integer: true, infinity: 'no limit' },
  streamBufferBytes: { min: 1, unit: 'bytes', integer: true },
  batch: { min: 1, unit: 'messages', integer: true },
  stateBytes: { min: 0, unit: 'bytes', integer: true },
  sessionIdLength: { min: 1, unit: 'characters', integer: true },
  subscriptions: { min: 0, unit: 'streams', integer: true },
  eventLogBytes: { min: 0, unit: 'bytes', integer: true },
  tombstones: { min: 0, unit: 'sessions', integer: true },
  waitingRequests: { min: 0, unit: 'requests', integer: true },
  waitingBytes: { min: 0, unit: 'bytes', integer: true },
  memoryBytes: { min: 65_536, unit: 'bytes', integer: true, infinity: 'no limit' },
  requests: { min: 0, unit: 'requests', integer: true, infinity: 'no limit' },
  handshakeBytes: { min: 256, unit: 'bytes', integer: true },
  uriBytes: { min: 1, unit: 'bytes', integer: true },
  subscriptionBytes: { min: 0, unit: 'bytes', integer: true },
  recordBytes: { min: 1_024, unit: 'bytes', integer: true },
};

const RETENTION_RANGES: Readonly<Record<keyof EventRetention, NumberRange>> = {
  ttlMs: { min: 1, unit: 'ms', infinity: 'until events or bytes say so' },
  events: { min: 1, unit: 'events', integer: true },
  bytes: { min: 1, unit: 'bytes', integer: true },
};

/** Of a record, for the server's answer to `initialize`. */
const ANSWER_BYTES = 131_072;
const LEAST_ANSWER_BYTES = 4_096;

/** The length of the default generator's ids: 16 bytes in base64url. */
const DEFAULT_ID_LENGTH = 22;

const NAME = /^[\w.-]{1,64}$/;

/** Members of the resolved options that are no options. */
const RESOLVED_ONLY = ['pinnedProtocolVersions', 'perUser', 'perTool'];

/** The names of all options. */
export const OPTION_NAMES: readonly string[] = Object.freeze([
  ...Object.keys(DEFAULTS).filter((name) => !RESOLVED_ONLY.includes(name)),
  'stateless',
]);

const USER_RANGES: Readonly<Record<keyof UserLimits, NumberRange>> = {
  sessions: { min: 0, unit: 'sessions', integer: true, infinity: 'no limit' },
  requests: { min: 1, unit: 'requests', integer: true, infinity: 'no limit' },
  subscriptions: { min: 0, unit: 'streams', integer: true, infinity: 'no limit' },
  requestsPerMinute: { min: 1, unit: 'requests', infinity: 'no limit' },
};

const TOOL_RANGES: Readonly<Record<keyof ToolLimits, NumberRange>> = {
  requests: { min: 0, unit: 'calls', integer: true, infinity: 'no limit' },
  requestsPerMinute: { min: 1, unit: 'calls', infinity: 'no limit' },
};

const LIMIT_NAMES: readonly string[] = Object.keys(LIMIT_RANGES);
const RETENTION_NAMES: readonly string[] = Object.keys(RETENTION_RANGES);
const NESTED_NAMES: readonly string[] = [
  ...LIMIT_NAMES.map((name) => `limits.${name}`),
  ...RETENTION_NAMES.map((name) => `eventRetention.${name}`),
  ...AUTH_NAMES.map((name) => `auth.${name}`),
];

/** Throws `TypeError` or `RangeError` (code `OPTION_INVALID`) for the first option that does not fit. */
export function resolveOptions(input: McpEndpointOptions | undefined): ResolvedOptions {
  const given: McpEndpointOptions = input === undefined ? {} : checkTopNames(input);
  const sessionMode = resolveMode(given);
  const idleTimeoutMs = checkNumber('idleTimeoutMs', given.idleTimeoutMs, DEFAULTS.idleTimeoutMs, {
    ...MS,
    infinity: 'never',
  });
  const versions = resolveVersions(given.supportedProtocolVersions);
  const onerror = checkFunction('onerror', given.onerror, 'a function (error)');
  const resolved: ResolvedOptions = {
    sessionMode,
    configureSessionOptions: checkFunction(
      'configureSessionOptions',
      given.configureSessionOptions,
      'a function (request, serverOptions, signal)',
    ),
    runSessionHandler: checkFunction(
      'runSessionHandler',
      given.runSessionHandler,
      'a function (request, session, run)',
    ),
    perSessionExecutionContext: checkBoolean(
      'perSessionExecutionContext',
      given.perSessionExecutionContext,
      DEFAULTS.perSessionExecutionContext,
    ),
    idleTimeoutMs,
    maxIdleSessionCount: checkNumber('maxIdleSessionCount', given.maxIdleSessionCount, DEFAULTS.maxIdleSessionCount, {
      min: 0,
      unit: 'sessions',
      integer: true,
      infinity: 'no limit',
    }),
    hibernateAfterMs: checkNumber('hibernateAfterMs', given.hibernateAfterMs, DEFAULTS.hibernateAfterMs, {
      ...MS,
      infinity: 'never',
    }),
    timeProvider: resolveTime(given.timeProvider),
    sessionMigrationHandler: checkMethods(
      'sessionMigrationHandler',
      given.sessionMigrationHandler,
      ['allowSessionMigration'],
      ['onSessionInitialized', 'onSessionEnded'],
    ),
    store: resolveStore(given.store),
    leaseMs: checkNumber('leaseMs', given.leaseMs, DEFAULTS.leaseMs, { min: 1, unit: 'ms' }),
    waitMs: checkNumber('waitMs', given.waitMs, DEFAULTS.waitMs, MS),
    tombstoneMs: checkNumber('tombstoneMs', given.tombstoneMs, Math.min(idleTimeoutMs, TOMBSTONE_MAX_MS), MS),
    eventRetention: resolveRetention(given.eventRetention),
    sessionIdGenerator: checkFunction(
      'sessionIdGenerator',
      given.sessionIdGenerator,
      'a function ({ request, params, user }) that returns a string',
    ),
    requestStateKeys:
      given.requestStateKeys === undefined
        ? undefined
        : checkList('requestStateKeys', given.requestStateKeys, 'a list of keys, each 32 bytes or more', checkKey),
    instanceKeys:
      given.instanceKeys === undefined
        ? DEFAULTS.instanceKeys
        : checkList(
            'instanceKeys',
            given.instanceKeys,
            "a list of keys, each 32 bytes or more, or 'store'",
            checkInstanceKey,
          ),
    legacySse: checkBoolean('legacySse', given.legacySse, DEFAULTS.legacySse),
    responseMode: checkChoice('responseMode', given.responseMode, DEFAULTS.responseMode, ['auto', 'sse', 'json']),
    allowedHosts:
      given.allowedHosts === undefined
        ? undefined
        : checkList('allowedHosts', given.allowedHosts, 'a list of host names', checkHost),
    allowedOrigins:
      given.allowedOrigins === undefined
        ? DEFAULTS.allowedOrigins
        : checkList('allowedOrigins', given.allowedOrigins, 'a list of origins and host names', checkOrigin, 0),
    auth: resolveAuth(given.auth),
    relayedHeaders: resolveHeaders('relayedHeaders', given.relayedHeaders),
    credentialHeaders: resolveHeaders('credentialHeaders', given.credentialHeaders),
    limits: resolveLimits(given),
    perUser: resolvePerUser(given),
    perTool: resolvePerTool(given),
    name: resolveName(given.name),
    supportedProtocolVersions: versions ?? DEFAULTS.supportedProtocolVersions,
    pinnedProtocolVersions: versions,
    sessionUser: checkFunction(
      'sessionUser',
      given.sessionUser,
      'a function (authInfo) that returns a string or undefined',
    ),
    bus: checkMethods('bus', given.bus, ['publish', 'subscribe']),
    onerror,
    logger: safeLogger(checkLogger(given.logger) ?? DEFAULTS.logger),
    hookTimeoutMs: checkNumber('hookTimeoutMs', given.hookTimeoutMs, DEFAULTS.hookTimeoutMs, {
      min: 1,
      unit: 'ms',
      infinity: 'no limit',
    }),
    keepAliveMs: checkNumber('keepAliveMs', given.keepAliveMs, DEFAULTS.keepAliveMs, { min: 0, unit: 'ms (0: none)' }),
    retryMs: checkNumber('retryMs', given.retryMs, DEFAULTS.retryMs, { ...MS, integer: true }),
    lostCalls: checkChoice('lostCalls', given.lostCalls, DEFAULTS.lostCalls, ['error', 'result']),
    knownClients: checkBoolean('knownClients', given.knownClients, DEFAULTS.knownClients),
    writeTimeoutMs: checkNumber('writeTimeoutMs', given.writeTimeoutMs, DEFAULTS.writeTimeoutMs, {
      min: 1,
      unit: 'ms',
      infinity: 'no limit',
    }),
  };
  refuseContradictions(given, resolved);
  return Object.freeze(resolved);
}

function checkTopNames(input: unknown): McpEndpointOptions {
  const others: string[] = [];
  for (const [name, value] of Object.entries(input ?? {})) {
    const other = Object.hasOwn(OF_OTHERS, name) ? OF_OTHERS[name] : undefined;
    if (other !== undefined && value !== undefined)
      throw optionsContradict(`Option ${name} belongs to ${other[0]}; here it is ${other[1]}`);
    const here = Object.hasOwn(OF_CREATE_MCP_HANDLER, name) ? OF_CREATE_MCP_HANDLER[name] : undefined;
    if (here === undefined) continue;
    // An option that is `undefined` counts as absent.
    if (value === undefined) others.push(name);
    else throw optionsContradict(`Option ${name} belongs to createMcpHandler; here it is ${here}`);
  }
  return checkNames('', input, [...OPTION_NAMES, ...others], NESTED_NAMES);
}

function resolveMode(given: McpEndpointOptions): SessionMode {
  const mode = checkChoice('sessionMode', given.sessionMode, DEFAULTS.sessionMode, ['hybrid', 'stateful', 'stateless']);
  if (given.stateless === undefined) return mode;
  const short = checkBoolean('stateless', given.stateless, false) ? 'stateless' : 'stateful';
  if (given.sessionMode !== undefined && given.sessionMode !== short) {
    throw optionsContradict(
      `Options stateless and sessionMode contradict each other: stateless: ${given.stateless} means ` +
        `sessionMode: '${short}', but sessionMode is '${mode}'; give one of them`,
    );
  }
  return short;
}

function resolveTime(time: TimeProvider | undefined): Required<TimeProvider> {
  const given = checkMethods('timeProvider', time, ['now', 'setTimeout', 'clearTimeout'], ['monotonic']);
  if (given === undefined) return DEFAULTS.timeProvider;
  if (given.monotonic !== undefined) return given as Required<TimeProvider>;
  return Object.freeze({
    now: () => given.now(),
    monotonic: () => given.now(),
    setTimeout: (fn: () => void, ms: number) => given.setTimeout(fn, ms),
    clearTimeout: (handle: unknown) => given.clearTimeout(handle),
  });
}

function checkLogger(given: McpEndpointOptions['logger']): McpEndpointOptions['logger'] {
  if ((given as unknown) === console)
    throw optionInvalid(
      'type',
      'logger',
      got('console, which has no fatal()'),
      'a logger like pino; leave logger out to log to the console',
    );
  return checkMethods('logger', given, ['debug', 'info', 'warn', 'error', 'fatal']);
}

const STORE_OF_SCHEME: ReadonlyArray<readonly [scheme: RegExp, opener: string]> = [
  [/^rediss?:/, 'redis'],
  [/^postgres(ql)?:/, 'postgres'],
  [/^(nats|tls):/, 'nats'],
];

function resolveStore(store: McpEndpointOptions['store']): ResolvedOptions['store'] {
  if (typeof store === 'string') {
    const opener = STORE_OF_SCHEME.find(([scheme]) => scheme.test(store))?.[1] ?? 'sqlite';
    throw optionInvalid(
      'type',
      'store',
      got('a string'),
      `a store: import { ${opener} } from 'sojourn/${opener}' and write store: ${opener}(…) around it`,
    );
  }
  const given = checkMethods('store', store, ['open']);
  if (given !== undefined && typeof given.kind !== 'string') {
    throw optionInvalid('type', 'store', got('an object without kind'), "a store, e.g. memory() from 'sojourn/memory'");
  }
  return given;
}

function resolveRetention(given: McpEndpointOptions['eventRetention']): ResolvedOptions['eventRetention'] {
  if (given === false) return false;
  const defaults = DEFAULTS.eventRetention as EventRetention;
  if (given === undefined) return defaults;
  if (typeof given !== 'object')
    throw optionInvalid('type', 'eventRetention', given, 'false, or an object with ttlMs, events, bytes');
  return resolveNumbers('eventRetention', given, RETENTION_RANGES, defaults);
}

function resolveLimits(given: McpEndpointOptions): Readonly<SessionLimits> {
  if (given.limits === undefined) return DEFAULTS.limits;
  const limits = resolveNumbers('limits', withoutShares(given.limits), LIMIT_RANGES, DEFAULTS.limits);
  if (given.sessionIdGenerator === undefined && limits.sessionIdLength < DEFAULT_ID_LENGTH) {
    throw optionInvalid(
      'range',
      'limits.sessionIdLength',
      limits.sessionIdLength,
      `${DEFAULT_ID_LENGTH} characters or more, which is what ids have without a sessionIdGenerator`,
    );
  }
  const parts = limits.handshakeBytes + limits.subscriptionBytes + limits.stateBytes;
  if (isObject(given.limits) && given.limits.recordBytes === undefined && limits.recordBytes < parts + ANSWER_BYTES)
    return Object.freeze({ ...limits, recordBytes: parts + ANSWER_BYTES });
  if (limits.recordBytes < parts + LEAST_ANSWER_BYTES) {
    throw optionInvalid(
      'range',
      'limits.recordBytes',
      limits.recordBytes,
      `${parts + LEAST_ANSWER_BYTES} or more: limits.handshakeBytes + limits.subscriptionBytes + limits.stateBytes + ` +
        `${LEAST_ANSWER_BYTES} for the answer of the server`,
    );
  }
  return limits;
}

/** `limits` without `perUser` and `perTool`, which are objects. */
function withoutShares(limits: unknown): unknown {
  if (!isObject(limits) || Array.isArray(limits)) return limits;
  const { perUser: _perUser, perTool: _perTool, ...numbers } = limits as Record<string, unknown>;
  return numbers;
}

function resolvePerUser({ limits }: McpEndpointOptions): ResolvedOptions['perUser'] {
  if (!isObject(limits) || limits.perUser === undefined) return DEFAULTS.perUser;
  return resolveNumbers('limits.perUser', limits.perUser, USER_RANGES, DEFAULTS.perUser);
}

function resolvePerTool({ limits }: McpEndpointOptions): ResolvedOptions['perTool'] {
  if (!isObject(limits) || limits.perTool === undefined) return DEFAULTS.perTool;
  if (!isObject(limits.perTool))
    throw optionInvalid(
      'type',
      'limits.perTool',
      limits.perTool,
      'an object: tool name → { requests, requestsPerMinute }',
    );
  const none = { requests: Infinity, requestsPerMinute: Infinity };
  const tools = Object.entries(limits.perTool).map(([name, given]): [string, Readonly<ToolLimits>] => [
    name,
    resolveNumbers(`limits.perTool.${name}`, given, TOOL_RANGES, none),
  ]);
  return Object.freeze(Object.fromEntries(tools));
}

function resolveNumbers<K extends string>(
  scope: string,
  given: unknown,
  ranges: Readonly<Record<K, NumberRange>>,
  defaults: Readonly<Record<K, number>>,
): Readonly<Record<K, number>> {
  const names = Object.keys(ranges) as K[];
  const values = checkNames(scope, given, names, [...OPTION_NAMES, ...NESTED_NAMES]);
  const numbers = {} as Record<K, number>;
  for (const name of names) {
    numbers[name] = checkNumber(`${scope}.${name}`, values[name], defaults[name], ranges[name]);
  }
  return Object.freeze(numbers);
}

/** A key is secret, so errors state only its size. */
function checkKey(option: string, key: unknown): string | Uint8Array {
  const takes = 'a string or Uint8Array of 32 bytes or more';
  if (typeof key !== 'string' && !(key instanceof Uint8Array))
    throw optionInvalid('type', option, got(`a ${typeof key}`), takes);
  const bytes = Buffer.byteLength(key);
  if (bytes < 32) throw optionInvalid('range', option, got(`${bytes} bytes`), takes);
  return typeof key === 'string' ? key : key.slice();
}

function checkInstanceKey(option: string, key: unknown): string | Uint8Array {
  return key === STORE_KEY ? STORE_KEY : checkKey(option, key);
}

function resolveHeaders(option: 'relayedHeaders' | 'credentialHeaders', given: unknown): readonly string[] {
  if (given === undefined) return DEFAULTS[option];
  return checkList(option, given, 'a list of header names', checkHeaderName, 0);
}

function resolveName(name: unknown): string {
  if (name === undefined) return DEFAULTS.name;
  const takes = '1 to 64 letters, digits, dots, dashes and underscores';
  if (typeof name !== 'string') throw optionInvalid('type', 'name', name, takes);
  if (!NAME.test(name)) throw optionInvalid('range', 'name', name, takes);
  return name;
}

function resolveVersions(given: unknown): readonly string[] | undefined {
  if (given === undefined) return undefined;
  const takes = `versions of ${KNOWN_VERSIONS.join(', ')}`;
  const versions = checkList('supportedProtocolVersions', given, takes, (option, version) => {
    if (typeof version !== 'string')
      throw optionInvalid('type', option, version, `one of ${KNOWN_VERSIONS.join(', ')}`);
    if (!KNOWN_VERSIONS.includes(version))
      throw optionInvalid('range', option, version, `one of ${KNOWN_VERSIONS.join(', ')}`);
    return version;
  });
  return Object.freeze(newestFirst(versions));
}

function refuseContradictions(given: McpEndpointOptions, resolved: ResolvedOptions): void {
  refuseRelayedCredentials(resolved.relayedHeaders, resolved.credentialHeaders);
  const { sessionMode, legacySse, supportedProtocolVersions } = resolved;
  const mode = given.stateless === undefined ? `sessionMode: '${sessionMode}'` : `stateless: ${given.stateless}`;
  if (legacySse && sessionMode === 'stateless') {
    throw optionsContradict(
      `Options legacySse and ${mode} contradict each other: the 2024-11-05 transport needs sessions; give one of them`,
    );
  }
  if (servedVersions(sessionMode, supportedProtocolVersions).length === 0) {
    throw optionsContradict(
      `Options supportedProtocolVersions and ${mode} contradict each other: sessions are for the versions before ` +
        `2026-07-28, and ${supportedProtocolVersions.join(', ')} is all that is supported`,
    );
  }
  if (legacySse && supportedProtocolVersions.every(isModern)) {
    throw optionsContradict(
      'Options legacySse and supportedProtocolVersions contradict each other: the 2024-11-05 transport serves ' +
        `versions before 2026-07-28, and ${supportedProtocolVersions.join(', ')} is all that is supported`,
    );
  }
}
