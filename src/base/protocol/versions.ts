/**
 * The protocol revisions that sojourn knows. Revisions are ISO dates, so comparing them as text orders them in time.
 */

/** How an endpoint treats the two eras; see the option `sessionMode`. */
export type SessionMode = 'stateful' | 'stateless' | 'hybrid';

/** The first revision served per request, with no session. The SDK serves no later one yet. */
export const MODERN_VERSION = '2026-07-28';

/**
 * `true`: served per request, with an envelope in `_meta`. `false`: begins with `initialize`. Unknown revisions are
 * classified the same way.
 */
export function isModern(version: string): boolean {
  return version >= MODERN_VERSION;
}

/**
 * Newest first. A test holds those that `initialize` negotiates equal to the SDK's list: the command line reads them,
 * and most commands load no SDK.
 */
export const KNOWN_VERSIONS: readonly string[] = Object.freeze([
  MODERN_VERSION,
  '2025-11-25',
  '2025-06-18',
  '2025-03-26',
  '2024-11-05',
  '2024-10-07',
]);

/** What an endpoint serves of `supported` in this mode. Version errors list it as `supported` (B108, B147 and B153). */
export function servedVersions(mode: SessionMode, supported: readonly string[]): readonly string[] {
  return mode === 'stateful' ? supported.filter((version) => !isModern(version)) : supported;
}

/** Streams carry event ids and can be resumed: every revision with sessions over streamable HTTP. */
export function hasEventIds(version: string): boolean {
  return version >= '2025-03-26' && !isModern(version);
}

/**
 * Streams open with a priming event that has empty data, and clients come back after a stream that ended early
 * (2025-11-25).
 */
export function hasPriming(version: string): boolean {
  return version >= '2025-11-25' && !isModern(version);
}

/** Whether a POST body may be a JSON-RPC batch, which only one revision allows. */
export function allowsBatches(version: string): boolean {
  return version === '2025-03-26';
}

/** The version of this build, as the deployment's leases show it. A test holds it equal to package.json's. */
export const BUILD_VERSION = '0.3.0';
