import { elapse } from '../options/system.ts';
import type { TimeProvider } from '../types.ts';

const FIRST_PAUSE_MS = 20;
const LONGEST_PAUSE_MS = 1_000;

/** Between tries of one write that the store could not take. */
export function pause(time: TimeProvider, tries: number): Promise<void> {
  return elapse(time, Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(tries, 10)));
}
