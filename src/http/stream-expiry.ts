import type { TimeProvider } from '../types.ts';

/** Longer than this no timer runs; the clock is read again then. */
const LONGEST_MS = 86_400_000;

/**
 * Calls `end` once an access token has expired: a refreshed token opens a new stream. `expiresAt`: seconds since 1970.
 * Returns a function that stops the watch; `undefined`: middleware let the caller in with an expired token.
 */
export function whenExpired(time: TimeProvider, expiresAt: number, end: () => void): (() => void) | undefined {
  const remaining = (): number => expiresAt * 1_000 - time.now();
  if (!(remaining() > 0)) return undefined;
  let timer: unknown;
  const arm = (): void => {
    timer = time.setTimeout(() => (remaining() > 0 ? arm() : end()), Math.min(remaining(), LONGEST_MS));
  };
  arm();
  return () => time.clearTimeout(timer);
}
