/**
 * The options that are groups of numbers, once, as `table.ts` has the others: `limits` with its shares of users and
 * tools, and `eventRetention`.
 */
import { optionInvalid } from '../errors.ts';
import type { EventRetention } from '../types.ts';
import { checkNames, holdsOptions, type NumberRange } from './checks.ts';
import { heapLimit, limitsOfHeap } from './heap-limits.ts';
import type { Limits, ToolLimits, UserLimits } from './limits-options.ts';
import {
  bytes,
  count,
  ms,
  number,
  numberLimit,
  type NumberSpec,
  type Specs,
  textIn,
  valuesIn,
  valuesOf,
} from './value-kinds.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const HOUR_MS = 3_600_000;
const NO_LIMIT = 'no limit';
const PART: NumberRange = { unit: 'what is free', min: 0.01, max: 1 };

const ofHeap = limitsOfHeap(heapLimit());
const shown = textIn('Limits');

export const LIMITS = {
  // The SDK's limit; a photo in base64 fits.
  bodyBytes: number(4 * MIB, bytes(), shown('largest POST body')),
  // The costliest take some 50 ms.
  bodyKeys: number(32_768, count('keys', 16, NO_LIMIT), shown('keys and objects of one POST body')),
  requestsPerSession: number(64, count('requests', 1), shown('running requests of one session')),
  callTimeoutMs: number(
    Infinity,
    ms(NO_LIMIT, 1),
    shown('how long the handler of one request may take'),
  ),
  sessions: number(
    ofHeap.sessions,
    count('sessions', 0, NO_LIMIT),
    shown('live sessions of this instance'),
  ),
  streamBufferBytes: number(MIB, bytes(), shown('bytes that may wait for one slow reader')),
  stateBytes: number(256 * KIB, bytes(0), shown('the state of one session, user or handle')),
  // Hosted clients come from few addresses.
  anonymousHandles: number(
    100_000,
    count('handles', 0, NO_LIMIT),
    shown('handles of all callers without a user'),
  ),
  // The SDK's limit.
  subscriptions: number(1_024, count('streams'), shown('open subscriptions/listen streams')),
  eventLogBytes: number(
    ofHeap.eventLogBytes,
    bytes(0),
    shown('all event logs in this process (memory store)'),
  ),
  waitingRequests: number(
    10_000,
    count('requests'),
    shown('requests that may wait for an unreachable store'),
  ),
  memoryBytes: number(
    ofHeap.memoryBytes,
    bytes(65_536, NO_LIMIT),
    shown('bodies, unread answers, handshakes, subscriptions, state'),
  ),
  storeBytes: number(
    Infinity,
    bytes(MIB, NO_LIMIT),
    shown('bytes of the store, where it reports less or nothing'),
  ),
  userShare: number(0.5, PART, shown('the part of what is free that one user may have')),
  sessionlessRequests: number(
    ofHeap.sessionlessRequests,
    count('requests', 0, NO_LIMIT),
    shown('running requests without a session'),
  ),
  runningTasks: number(1_000, count('tasks', 1), shown('handlers of tasks that run here')),
  liveObjects: number(1_000, count('objects', 1), shown('objects of live() that are open here')),
  anonymousTasks: number(100_000, count('tasks', 1), shown('open tasks of callers without a user')),
  eventSubscriptions: number(
    100_000,
    count('subscriptions', 1),
    shown('event subscriptions with a callback, of all instances'),
  ),
} satisfies Specs<Limits>;

const kept = textIn('Streams and resuming');

/**
 * Far more than a client that was cut off can have missed. Its connection loses what waited here (`streamBufferBytes`)
 * and in the kernel's buffers of both ends (up to 6 MiB on Linux).
 */
export const RETENTION: Readonly<Record<keyof EventRetention, NumberSpec>> = {
  maxAgeMs: number(
    HOUR_MS,
    ms('until events or bytes say so', 1),
    kept('how long sent messages are kept'),
  ),
  events: number(10_000, count('events', 1), kept('how many messages are kept per session')),
  bytes: number(8 * MIB, bytes(), kept('how many bytes are kept per session')),
};

/**
 * What one user may use, of one instance unless it says otherwise. A caller without a user counts
 * by the address of its connection.
 */
const USER = {
  // 500 handshakes of 16 KiB are 9 MB. A hosted client opens one for each call, and needs none of them again.
  sessions: numberLimit(500, count('sessions', 0, NO_LIMIT)),
  requests: numberLimit(Infinity, count('requests', 1, NO_LIMIT)),
  // A quarter of `limits.subscriptions`.
  subscriptions: numberLimit(256, count('streams', 0, NO_LIMIT)),
  tasks: numberLimit(1_000, count('tasks', 1)),
  requestsPerMinute: numberLimit(Infinity, perMinute('requests')),
  handles: numberLimit(100, count('handles', 0, NO_LIMIT)),
  // The store lists a page of 1,000 of them.
  eventSubscriptions: numberLimit(100, { ...count('subscriptions', 0), max: 1_000 }),
  // 16 results of the largest size.
  keptBytes: numberLimit(64 * MIB, bytes(65_536, NO_LIMIT)),
} satisfies Specs<UserLimits>;

/** Many people may have one address. The server of the model keeps as many idle ones. */
const ANONYMOUS_SESSIONS = 10_000;

/** What all users together may use of one tool on one instance. */
const TOOL = {
  requests: numberLimit(Infinity, count('calls', 0, NO_LIMIT)),
  requestsPerMinute: numberLimit(Infinity, perMinute('calls')),
  callTimeoutMs: numberLimit(Infinity, ms(NO_LIMIT, 1)),
} satisfies Specs<ToolLimits>;

function perMinute(unit: string): NumberRange {
  return { unit, min: 1, infinity: NO_LIMIT };
}

export const LIMIT_DEFAULTS: Readonly<Limits> = valuesOf(LIMITS);
export const RETENTION_DEFAULTS: Readonly<EventRetention> = valuesOf(RETENTION);
export const USER_DEFAULTS: Readonly<UserLimits> = valuesOf(USER);

export type ResolvedLimits = ReturnType<typeof resolveLimits>;

export function resolveLimits(given: unknown = {}) {
  const checked = checkNames('limits', given, [...Object.keys(LIMITS), 'perUser', 'perTool']);
  const { perUser, perTool } = checked;
  const limits = valuesOf(LIMITS, checked, 'limits.');
  const ofUser = perUser === undefined ? USER_DEFAULTS : valuesIn('limits.perUser', perUser, USER);
  const isSet = holdsOptions(perUser) && perUser['sessions'] !== undefined;
  return {
    limits,
    perUser: ofUser,
    /** `limits.perUser.sessions` of a caller without a user. */
    anonymousSessions: isSet ? ofUser.sessions : ANONYMOUS_SESSIONS,
    perTool: resolvePerTool(perTool, limits),
  };
}

function resolvePerTool(given: unknown = {}, limits: Limits) {
  if (!holdsOptions(given))
    throw optionInvalid(
      'type',
      'limits.perTool',
      given,
      'an object: tool name → { requests, requestsPerMinute, callTimeoutMs }',
    );
  const specs = {
    ...TOOL,
    callTimeoutMs: { ...TOOL.callTimeoutMs, fallback: limits.callTimeoutMs },
  };
  const tools = Object.entries(given).map(
    ([name, own]) => [name, valuesIn(`limits.perTool.${name}`, own, specs)] as const,
  );
  return Object.freeze(Object.fromEntries(tools));
}

export function resolveRetention(name: string, given: unknown): Readonly<EventRetention> | false {
  if (given === false) return false;
  return valuesIn(name, given, RETENTION);
}
