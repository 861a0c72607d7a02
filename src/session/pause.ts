const FIRST_PAUSE_MS = 20;
const LONGEST_PAUSE_MS = 1_000;

/** Between tries of one write that the store could not take. */
export function pauseMs(tries: number): number {
  return Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(tries, 10));
}
