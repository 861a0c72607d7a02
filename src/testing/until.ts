/** Waits for a condition, never for a time. */

/** Frequent looks take CPU from the processes that are waited for. */
const FIRST_PAUSE_MS = 2;
const LONGEST_PAUSE_MS = 20;
const PAUSE_SHARE = 1 / 20;

export interface UntilOptions {
  /** Fails after this long. */
  timeoutMs?: number;
  /** The name of the condition, for the failure message. */
  what?: string;
  /** The pause between two looks. Default: 2 ms at first, later a twentieth of the time waited, at most 20 ms. */
  pollMs?: number;
}

/**
 * Resolves with the first truthy value of `condition`. An error that it throws counts as false, and becomes the cause
 * of the failure.
 */
export async function until<T>(
  condition: () => T | Promise<T>,
  { timeoutMs = 5_000, what, pollMs }: UntilOptions = {},
): Promise<T> {
  const begun = performance.now();
  for (;;) {
    let cause: unknown;
    try {
      const value = await condition();
      if (value) return value;
    } catch (error) {
      cause = error;
    }
    const waited = performance.now() - begun;
    if (waited >= timeoutMs) {
      throw new Error(`not within ${timeoutMs} ms: ${what ?? condition.toString()}`, { cause });
    }
    await new Promise((done) => setTimeout(done, pollMs ?? pauseAfter(waited)));
  }
}

const pauseAfter = (waited: number): number =>
  Math.min(LONGEST_PAUSE_MS, Math.max(FIRST_PAUSE_MS, waited * PAUSE_SHARE));
