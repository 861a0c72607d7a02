/**
 * The options that are groups of numbers, once, as `table.ts` has the others: `limits` with its shares of users and
 * tools, and `eventRetention`.
 */
import { optionInvalid } from '../errors.ts';
import type { EventRetention } from '../types.ts';
import { checkNames, holdsOptions, type NumberRange } from './checks.ts';
import { heapLimit, sharesOf } from './heap-shares.ts';
import {
  bytes,
  count,
  ms,
  number,
  numberLimit,
  type Numbers,
  type NumberSpec,
  type Some,
  textIn,
  valuesIn,
  valuesOf,
} from './value-kinds.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const HOUR_MS = 3_600_000;
const NO_LIMIT = 'no limit';
const PART: NumberRange = { unit: 'what is free', min: 0.01, max: 1 };

const shares = sharesOf(heapLimit());
const shown = textIn('Limits');

export const LIMITS = {
  // The SDK's limit; a photo in base64 fits.
  /**
   * The largest POST body (`BODY_TOO_LARGE`).
   * @default 4,194,304 (4 MiB)
   */
  bodyBytes: number(4 * MIB, bytes(), shown('largest POST body')),
  // The costliest take some 50 ms.
  /**
   * Keys and objects in one POST body (`TOO_MANY_KEYS`).
   * @default 32,768
   */
  bodyKeys: number(32_768, count('keys', 16, NO_LIMIT), shown('keys and objects of one POST body')),
  /**
   * Running requests of one session; the next waits up to `maxWaitMs`. A cancelled request counts until its handler has
   * ended.
   * @default 64
   */
  requestsPerSession: number(64, count('requests', 1), shown('running requests of one session')),
  /**
   * How long one handler may take. Then the client gets `CALL_TIMEOUT` and the handler's signal aborts. Waiting for the
   * client counts. Set it where handlers call systems that may hang.
   * @default Infinity
   */
  callTimeoutMs: number(
    Infinity,
    ms(NO_LIMIT, 1),
    shown('how long the handler of one request may take'),
  ),
  /**
   * Live sessions of this instance. Above it a durable store hibernates an idle one; otherwise `initialize` gets 503.
   * @default 32,768 (one per 128 KiB of heap)
   */
  sessions: number(
    shares.sessions,
    count('sessions', 0, NO_LIMIT),
    shown('live sessions of this instance'),
  ),
  /**
   * Bytes that may wait for one slow reader, at least 64 KiB. Above it the connection is cut, and the client resumes from
   * the event log.
   * @default 1,048,576 (1 MiB)
   */
  streamBufferBytes: number(MIB, bytes(), shown('bytes that may wait for one slow reader')),
  /**
   * The state of one session, one user or one handle, as UTF-8 JSON. A change above it is refused as a whole.
   * @default 262,144 (256 KiB)
   */
  stateBytes: number(256 * KIB, bytes(0), shown('the state of one session, user or handle')),
  // Hosted clients come from few addresses.
  /**
   * Handles of all callers without a user (`TOO_MANY_HANDLES`). One address gets `limits.userShare` of what the others
   * leave free.
   * @default 100,000
   */
  anonymousHandles: number(
    100_000,
    count('handles', 0, NO_LIMIT),
    shown('handles of all callers without a user'),
  ),
  // The SDK's limit.
  /**
   * Open `subscriptions/listen` streams of this instance.
   * @default 1,024
   */
  subscriptions: number(1_024, count('streams'), shown('open subscriptions/listen streams')),
  /**
   * All event logs in this process (memory store).
   * @default 268,435,456 (256 MiB)
   */
  eventLogBytes: number(
    shares.eventLogBytes,
    bytes(0),
    shown('all event logs in this process (memory store)'),
  ),
  /**
   * Requests that wait (`maxWaitMs`). A user may take half of the places that others leave free.
   * @default 10,000
   */
  waitingRequests: number(
    10_000,
    count('requests'),
    shown('requests that may wait for an unreachable store'),
  ),
  /**
   * All that clients make this instance keep (docs/internals/memory.md). Above it bodies, `initialize`,
   * `session.state.set()` and the calls of a user whose answers find no room are refused (`OVER_MEMORY`); connections
   * whose clients do not read are cut; idle sessions leave memory.
   * @default 1,073,741,824 (1 GiB, a quarter of the heap)
   */
  memoryBytes: number(
    shares.memoryBytes,
    bytes(65_536, NO_LIMIT),
    shown('bodies, unread answers, handshakes, subscriptions, state'),
  ),
  /**
   * What the store has room for, where it reports less or nothing (PostgreSQL, a Redis Cluster). Of 90 % of it a user
   * gets its share; above, its oldest events and large results go, then new records are refused (`STORE_FULL`).
   * @default Infinity (what the store reports)
   */
  storeBytes: number(
    Infinity,
    bytes(MIB, NO_LIMIT),
    shown('bytes of the store, where it reports less or nothing'),
  ),
  /**
   * The part of what is free that one user may have: of memory, sessions, requests, subscriptions, a tool and the
   * store. Set 1 where all requests come from one service account, or one proxy without users.
   * @default 0.5
   */
  userShare: number(0.5, PART, shown('the part of what is free that one user may have')),
  /**
   * Running requests without a session (2026-07-28, stateless).
   * @default 8,192 (two for each MiB of heap)
   */
  sessionlessRequests: number(
    shares.sessionlessRequests,
    count('requests', 0, NO_LIMIT),
    shown('running requests without a session'),
  ),
  /**
   * Handlers of tasks that run on this instance; one user gets `limits.userShare` of what is free.
   * @default 1,000
   */
  runningTasks: number(1_000, count('tasks', 1), shown('handlers of tasks that run here')),
  /**
   * Tasks that have not ended, of all callers without a user together, on all instances.
   * @default 100,000
   */
  anonymousTasks: number(100_000, count('tasks', 1), shown('open tasks of callers without a user')),
};

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
  /**
   * Sessions in the store, on all instances together. Past it the one that is idle longest ends (`user_limit`); without
   * an idle one `initialize` is refused. Raise it where many people come from one account, address or proxy. Default
   * 500.
   */
  sessions: numberLimit(500, count('sessions', 0, NO_LIMIT)),
  /** Running requests. */
  requests: numberLimit(Infinity, count('requests', 1, NO_LIMIT)),
  // A quarter of `limits.subscriptions`.
  /** Open `subscriptions/listen` streams. Default 256. */
  subscriptions: numberLimit(256, count('streams', 0, NO_LIMIT)),
  /** Tasks that have not ended, on all instances together. Default 1,000. */
  tasks: numberLimit(1_000, count('tasks', 1)),
  /** Requests a minute, `initialize`, GET and DELETE included. */
  requestsPerMinute: numberLimit(Infinity, perMinute('requests')),
  /** Handles in the store, on all instances together (`TOO_MANY_HANDLES`). Default 100. */
  handles: numberLimit(100, count('handles', 0, NO_LIMIT)),
  // 16 results of the largest size.
  /**
   * Bytes that the store keeps of sessions with their events, tasks with their steps and results, and keys of `once()`,
   * on all instances together. Past it the oldest events and long results go, then new records are refused. Default
   * 67,108,864 (64 MiB).
   */
  keptBytes: numberLimit(64 * MIB, bytes(65_536, NO_LIMIT)),
};

/** What all users together may use of one tool on one instance. */
const TOOL = {
  /** Running calls. */
  requests: numberLimit(Infinity, count('calls', 0, NO_LIMIT)),
  /** Calls a minute. */
  requestsPerMinute: numberLimit(Infinity, perMinute('calls')),
  /** ms that a call may take. Without it, `limits.callTimeoutMs`. */
  callTimeoutMs: numberLimit(Infinity, ms(NO_LIMIT, 1)),
};

function perMinute(unit: string): NumberRange {
  return { unit, min: 1, infinity: NO_LIMIT };
}

export type Limits = Numbers<typeof LIMITS>;
export type UserLimits = Numbers<typeof USER>;
export type ToolLimits = Numbers<typeof TOOL>;

export interface LimitsOptions extends Some<Limits> {
  /** The limits of each user. Default: those of each. */
  perUser?: Some<UserLimits> | undefined;
  /** The limits of a tool, by its name. Default: no limit. */
  perTool?: Readonly<Record<string, Some<ToolLimits>>> | undefined;
}

export const LIMIT_DEFAULTS: Readonly<Limits> = valuesOf(LIMITS);
export const RETENTION_DEFAULTS: Readonly<EventRetention> = valuesOf(RETENTION);
export const USER_DEFAULTS: Readonly<UserLimits> = valuesOf(USER);

export type ResolvedLimits = ReturnType<typeof resolveLimits>;

export function resolveLimits(given: unknown = {}) {
  const checked = checkNames('limits', given, [...Object.keys(LIMITS), 'perUser', 'perTool']);
  const { perUser, perTool } = checked;
  const limits = valuesOf(LIMITS, checked, 'limits.');
  return {
    limits,
    perUser: perUser === undefined ? USER_DEFAULTS : valuesIn('limits.perUser', perUser, USER),
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
