/** Validates the options once and fills them in. Every invalid option throws here, at construction, and never later. */
import { optionsContradict } from '../errors.ts';
import { isModern, servedVersions, type SessionMode } from '../protocol/versions.ts';
import { Notices } from '../observe/notices.ts';
import { refuseSpread, withAddOns } from './add-ons.ts';
import { checkNames } from './checks.ts';
import { OF_OTHERS } from './other-names.ts';
import type { McpEndpointOptions } from './mcp-endpoint-options.ts';
import type { ResolvedOptions } from './endpoint-options.ts';
import { AUTH_NAMES } from './resolve-auth.ts';
import { valuesOf } from './value-kinds.ts';
import { LIMITS, resolveLimits, RETENTION } from './resolve-limits.ts';
import { type OptionName, OPTIONS } from './table.ts';

/** An ended session is remembered as long as it could have lived on, but at most a day. */
const TOMBSTONE_MAX_MS = 24 * 3_600_000;

/** Characters of a session id, where its generator makes no longer ones. */
const SESSION_ID_LENGTH = 256;

/** The names of all options. */
export const OPTION_NAMES: readonly (keyof McpEndpointOptions)[] = Object.freeze(
  Object.keys(OPTIONS) as OptionName[],
);

const NESTED_NAMES: readonly string[] = [
  ...[...Object.keys(LIMITS), 'perUser', 'perTool'].map((name) => `limits.${name}`),
  ...Object.keys(RETENTION).map((name) => `eventRetention.${name}`),
  ...AUTH_NAMES.map((name) => `auth.${name}`),
];

/** Throws `TypeError` or `RangeError` (code `OPTION_INVALID`) for the first option that does not fit. */
export function resolveOptions(input: McpEndpointOptions | undefined): ResolvedOptions {
  const given: McpEndpointOptions = input === undefined ? {} : checkTopNames(input);
  refuseSpread('The options', given);
  const { stateless, ...parsed } = valuesOf(OPTIONS, given);
  const resolved: ResolvedOptions = {
    ...parsed,
    ...withAddOns(parsed),
    notices: new Notices(),
    sessionMode: resolveMode(given, parsed.sessionMode, stateless),
    tombstoneMs:
      given.tombstoneMs === undefined
        ? Math.min(parsed.idleTimeoutMs, TOMBSTONE_MAX_MS)
        : parsed.tombstoneMs,
    ...resolveLimits(given.limits),
    sessionIdLength: Math.max(SESSION_ID_LENGTH, parsed.sessionIdGenerator?.maxLength ?? 0),
    pinnedProtocolVersions: given.supportedProtocolVersions && parsed.supportedProtocolVersions,
  };
  refuseContradictions(given, resolved);
  return Object.freeze(resolved);
}

function checkTopNames(input: unknown): McpEndpointOptions {
  for (const name of Object.keys(input ?? {})) {
    const other = Object.hasOwn(OF_OTHERS, name) ? OF_OTHERS[name] : undefined;
    if (other !== undefined)
      throw optionsContradict(`Option ${name} belongs to ${other[0]}; here it is ${other[1]}`);
  }
  return checkNames('', input, OPTION_NAMES, NESTED_NAMES);
}

function resolveMode(
  given: McpEndpointOptions,
  mode: SessionMode,
  stateless: boolean | undefined,
): SessionMode {
  if (stateless === undefined) return mode;
  if (given.sessionMode === undefined) return stateless ? 'stateless' : 'hybrid';
  if (stateless !== (mode === 'stateless'))
    throw optionsContradict(
      `Options stateless and sessionMode contradict each other: stateless is ${stateless}, but sessionMode is ` +
        `'${mode}'; give one of them`,
    );
  return mode;
}

function refuseContradictions(given: McpEndpointOptions, resolved: ResolvedOptions): void {
  const { sessionMode, legacySse, supportedProtocolVersions } = resolved;
  const refuse = (one: string, other: string, why: string): never => {
    throw optionsContradict(`Options ${one} and ${other} contradict each other: ${why}`);
  };
  if (resolved.sharedLists.length > 0 && typeof resolved.auth?.anonymous === 'function')
    refuse(
      'sharedLists',
      'auth.anonymous',
      'anonymous callers see other lists than others; give one of them',
    );
  if (resolved.sharedLists.length > 0 && resolved.auth?.authorize !== undefined) {
    const why =
      'authorize decides for each caller what a list shows, so no list is the same for every caller';
    refuse('sharedLists', 'auth.authorize', `${why}; give one of them`);
  }
  const mode =
    given.stateless === undefined || given.sessionMode !== undefined
      ? `sessionMode: '${sessionMode}'`
      : `stateless: ${given.stateless}`;
  if (legacySse && sessionMode === 'stateless')
    refuse('legacySse', mode, 'the 2024-11-05 transport needs sessions; give one of them');
  const only = `versions before 2026-07-28, and ${supportedProtocolVersions.join(', ')} is all that is supported`;
  if (servedVersions(sessionMode, supportedProtocolVersions).length === 0)
    refuse('supportedProtocolVersions', mode, `sessions are for the ${only}`);
  if (legacySse && supportedProtocolVersions.every(isModern))
    refuse('legacySse', 'supportedProtocolVersions', `the 2024-11-05 transport serves ${only}`);
}

/** With `sessionIdGenerator: undefined` the SDK's transport has no sessions. Here it means the default generator. */
export function looksStateless(given: McpEndpointOptions = {}): boolean {
  const { sessionMode, stateless, sessionIdGenerator } = given;
  const isUnset = 'sessionIdGenerator' in given && sessionIdGenerator === undefined;
  return isUnset && sessionMode === undefined && stateless === undefined;
}
