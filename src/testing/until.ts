/** Waits for a condition, never for a time. */

/** More frequent looks take CPU from the processes that are waited for. */
const PAUSE_MS = 10;

export interface UntilOptions {
  /** Fails after this long. */
  timeoutMs?: number;
  /** The name of the condition, for the failure message. */
  what?: string;
  /** The pause between two looks. Default: 10 ms. */
  pollMs?: number;
}

/**
 * Resolves with the first truthy value of `condition`. An error that it throws counts as false, and becomes the cause
 * of the failure. A look that does not end counts as false too.
 */
export async function until<T>(
  condition: () => T | Promise<T>,
  { timeoutMs = 5_000, what, pollMs = PAUSE_MS }: UntilOptions = {},
): Promise<T> {
  let isLate = false;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((end) => {
    timer = setTimeout(() => {
      isLate = true;
      end(undefined);
    }, timeoutMs);
  });
  try {
    for (;;) {
      let cause: unknown;
      try {
        const value = await Promise.race([condition(), late]);
        if (value) return value;
      } catch (error) {
        cause = error;
      }
      if (isLate)
        throw new Error(`not within ${timeoutMs} ms: ${what ?? condition.toString()}`, { cause });
      await new Promise((done) => setTimeout(done, pollMs));
    }
  } finally {
    clearTimeout(timer);
  }
}
