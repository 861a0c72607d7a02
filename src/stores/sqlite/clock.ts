/**
 * The clocks of a file. All processes that have it open run on one machine, so the store uses the machine's clocks:
 *
 * - the wall clock for records (expiry, ends, events): ms since 1970;
 * - the machine's monotonic clock for leases (`lease-clock.ts`). It counts from the start of the machine and is the
 *   same in every process. The boot id shows that the machine was restarted. Systems other than Linux have none.
 *
 * With a time provider other than the system's, `now` is both clocks. Its `monotonic` may start anywhere, and the
 * processes on the file must agree.
 */
import { readFileSync } from 'node:fs';
import { systemTime } from '../../base/system.ts';
import type { TimeProvider } from '../../types.ts';

export interface StoreClock {
  /** ms since 1970. */
  wall(): number;
  /** ms since a moment that all processes of the machine share. */
  machine(): number;
  /** Identifies the boot that `machine` counts from. */
  readonly boot: string;
}

export function storeClock(time: TimeProvider): StoreClock {
  if (time !== systemTime) {
    return { wall: () => time.now(), machine: () => time.now(), boot: 'given' };
  }
  return { wall: () => time.now(), machine: machineMs, boot: bootId() };
}

/** `performance.now` counts from the start of the process, `hrtime` from the start of the machine. */
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
