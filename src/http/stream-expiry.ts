/** Ends streams when the access token of their caller expires: a refreshed token opens a new stream. */
import type { TimeProvider } from '../types.ts';

/** Longer than this no timer runs; the clock is read again then. */
const LONGEST_MS = 86_400_000;

export class StreamExpiry {
  readonly #time: TimeProvider;

  constructor(time: TimeProvider) {
    this.#time = time;
  }

  /**
   * Calls `end` once the token has expired. `expiresAt`: seconds since 1970. Returns a function that stops the watch;
   * `undefined`: the token has expired already.
   */
  watch(expiresAt: number, end: () => void): (() => void) | undefined {
    const time = this.#time;
    const remaining = (): number => expiresAt * 1_000 - time.now();
    // Middleware let this caller in with an expired token.
    if (!(remaining() > 0)) return undefined;
    let timer: unknown;
    const arm = (): void => {
      timer = time.setTimeout(() => (remaining() > 0 ? arm() : end()), Math.min(remaining(), LONGEST_MS));
    };
    arm();
    return () => time.clearTimeout(timer);
  }
}
