/** The options that are groups of numbers: `limits` with its shares of users and tools, and `eventRetention`. */
import { optionInvalid } from '../errors.ts';
import { isObject } from '../protocol/jsonrpc.ts';
import type { EventRetention, SessionLimits, ToolLimits, UserLimits } from '../types.ts';
import { checkNames, type NumberRange } from './checks.ts';
import { heapLimit, sharesOf } from './heap-shares.ts';
import {
  bytes,
  count,
  type FlagText,
  ms,
  number,
  numberLimit,
  type NumberLimit,
  type NumberSpec,
  type Values,
  valuesOf,
} from './value-kinds.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const HOUR_MS = 3_600_000;
const NO_LIMIT = 'no limit';
const PART: NumberRange = { unit: 'what is free', min: 0.01, max: 1 };

const shares = sharesOf(heapLimit());
const shown = (help: string): FlagText => ({ group: 'Limits', help });

export const LIMITS: Readonly<Record<keyof SessionLimits, NumberSpec>> = {
  // The SDK's limit; a photo in base64 fits.
  bodyBytes: number(4 * MIB, bytes(), shown('largest POST body')),
  // The costliest take some 50 ms.
  bodyKeys: number(32_768, count('keys', 16, NO_LIMIT), shown('keys and objects of one POST body')),
  requestsPerSession: number(64, count('requests', 1), shown('running requests of one session')),
  callMs: number(Infinity, ms(NO_LIMIT, 1), shown('how long the handler of one request may take')),
  sessions: number(shares.sessions, count('sessions', 0, NO_LIMIT), shown('live sessions of this instance')),
  streamBufferBytes: number(MIB, bytes(), shown('bytes that may wait for one slow reader')),
  stateBytes: number(256 * KIB, bytes(0), shown('session.state of one session')),
  // The SDK's limit.
  subscriptions: number(1_024, count('streams'), shown('open subscriptions/listen streams')),
  eventLogBytes: number(shares.eventLogBytes, bytes(0), shown('all event logs in this process (memory store)')),
  tombstones: number(100_000, count('sessions'), shown('remembered ended sessions (memory store)')),
  waitingRequests: number(10_000, count('requests'), shown('requests that may wait for an unreachable store')),
  waitingBytes: number(shares.waitingBytes, bytes(0), shown('bytes of the bodies of waiting requests')),
  memoryBytes: number(
    shares.memoryBytes,
    bytes(65_536, NO_LIMIT),
    shown('bodies, unread answers, handshakes, subscriptions, state'),
  ),
  storeBytes: number(Infinity, bytes(MIB, NO_LIMIT), shown('bytes of the store, where it reports less or nothing')),
  userShare: number(0.5, PART, shown('the part of what is free that one user may have')),
  requests: number(shares.requests, count('requests', 0, NO_LIMIT), shown('running requests without a session')),
};

const kept = (help: string): FlagText => ({ group: 'Streams and resuming', help });

/**
 * Far more than a client that was cut off can have missed. Its connection loses what waited here (`streamBufferBytes`)
 * and in the kernel's buffers of both ends (up to 6 MiB on Linux).
 */
export const RETENTION: Readonly<Record<keyof EventRetention, NumberSpec>> = {
  ttlMs: number(HOUR_MS, ms('until events or bytes say so', 1), kept('how long sent messages are kept')),
  events: number(10_000, count('events', 1), kept('how many messages are kept per session')),
  bytes: number(8 * MIB, bytes(), kept('how many bytes are kept per session')),
};

const USER: Readonly<Record<keyof UserLimits, NumberLimit>> = {
  sessions: numberLimit(Infinity, count('sessions', 0, NO_LIMIT)),
  requests: numberLimit(Infinity, count('requests', 1, NO_LIMIT)),
  // A quarter of `limits.subscriptions`.
  subscriptions: numberLimit(256, count('streams', 0, NO_LIMIT)),
  requestsPerMinute: numberLimit(Infinity, perMinute('requests')),
  // 16 results of the largest size.
  keptBytes: numberLimit(64 * MIB, bytes(65_536, NO_LIMIT)),
};

const toolLimits = ({ callMs }: SessionLimits): Readonly<Record<keyof ToolLimits, NumberLimit>> => ({
  requests: numberLimit(Infinity, count('calls', 0, NO_LIMIT)),
  requestsPerMinute: numberLimit(Infinity, perMinute('calls')),
  callMs: numberLimit(callMs, ms(NO_LIMIT, 1)),
});

function perMinute(unit: string): NumberRange {
  return { unit, min: 1, infinity: NO_LIMIT };
}

export const LIMIT_DEFAULTS: Readonly<SessionLimits> = valuesOf(LIMITS);
export const RETENTION_DEFAULTS: Readonly<EventRetention> = valuesOf(RETENTION);
export const USER_DEFAULTS: Readonly<UserLimits> = valuesOf(USER);

export interface ResolvedLimits {
  readonly limits: Readonly<SessionLimits>;
  /** `limits.perUser`. */
  readonly perUser: Readonly<UserLimits>;
  /** `limits.perTool`. */
  readonly perTool: Readonly<Record<string, Readonly<ToolLimits>>>;
}

/** `elsewhere`: the names of other options, for errors. */
export function resolveLimits(given: unknown = {}, elsewhere: readonly string[]): ResolvedLimits {
  const { perUser, perTool, ...numbers } = isObject(given) ? given : {};
  const limits = valuesIn('limits', isObject(given) ? numbers : given, LIMITS, elsewhere);
  return {
    limits,
    perUser: perUser === undefined ? USER_DEFAULTS : valuesIn('limits.perUser', perUser, USER, elsewhere),
    perTool: resolvePerTool(perTool, limits, elsewhere),
  };
}

function resolvePerTool(
  given: unknown = {},
  limits: SessionLimits,
  elsewhere: readonly string[],
): ResolvedLimits['perTool'] {
  if (!isObject(given))
    throw optionInvalid(
      'type',
      'limits.perTool',
      given,
      'an object: tool name → { requests, requestsPerMinute, callMs }',
    );
  const tools = Object.entries(given).map(
    ([name, own]) => [name, valuesIn(`limits.perTool.${name}`, own, toolLimits(limits), elsewhere)] as const,
  );
  return Object.freeze(Object.fromEntries(tools));
}

export function resolveRetention(given: unknown, elsewhere: readonly string[]): Readonly<EventRetention> | false {
  if (given === undefined) return RETENTION_DEFAULTS;
  if (given === false) return false;
  if (typeof given !== 'object')
    throw optionInvalid('type', 'eventRetention', given, 'false, or an object with ttlMs, events, bytes');
  return valuesIn('eventRetention', given, RETENTION, elsewhere);
}

function valuesIn<Specs extends Readonly<Record<string, NumberLimit>>>(
  scope: string,
  given: unknown,
  specs: Specs,
  elsewhere: readonly string[],
): Values<Specs> {
  return valuesOf(specs, checkNames(scope, given, Object.keys(specs), elsewhere), `${scope}.`);
}
