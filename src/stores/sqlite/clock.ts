/**
 * The clocks of a file. Everybody who has it open runs on one machine, so the machine's clocks are the store's:
 *
 * - the wall clock for what records say (expiry, ends, events): ms since 1970;
 * - the machine's monotonic clock for leases: it counts from the start of the machine, the same for every process, and no
 *   correction of the date makes a lease end early or late. Leases of an earlier boot are told by the boot's id, and
 *   where there is none (not Linux) by their end: further away than a lease is long.
 *
 * Of a time provider that is not the system's, `now` is used for both: its `monotonic` may count from anywhere, and the
 * processes on the file must agree.
 */
import { readFileSync } from 'node:fs';
import { systemTime } from '../../options/system.ts';
import type { TimeProvider } from '../../types.ts';

export interface StoreClock {
  /** ms since 1970. */
  wall(): number;
  /** ms since a moment that all processes share. */
  machine(): number;
  /** Which run of the machine `machine` counts in. */
  readonly boot: string;
}

export function storeClock(time: TimeProvider): StoreClock {
  if (time !== systemTime) {
    return { wall: () => time.now(), machine: () => time.now(), boot: 'given' };
  }
  return { wall: () => time.now(), machine: machineMs, boot: bootId() };
}

/** `performance.now` counts from the start of this process; this one from the start of the machine. */
function machineMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1_000 + nanoseconds / 1_000_000;
}

function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return '';
  }
}
