/**
 * The clocks of a file. All processes that have it open run on one machine, so the store uses the machine's clocks: the
 * wall clock for records (expiry, ends, events), and its monotonic clock for leases. That counts from the start of the
 * machine and is the same in every process, so a date correction does not change when a lease ends. With a time provider
 * other than the system's, `now` is both clocks: its `monotonic` may start anywhere, and the processes must agree.
 *
 * The clock of the leases of a deployment is a base in the file, plus the monotonic clock. A restart of the machine sets
 * that back. A lease then ends later than the longest lease of this deployment could, and the first process that opens
 * the file sets a base after all of them. Where no lease shows it, all of them end within the time of one lease.
 */
import { systemTime } from '../../base/system.ts';
import type { TimeProvider } from '../../base/types.ts';
import { SQL } from './statements.ts';
import type { StoreFile } from './store-file.ts';

type LeaseClockRow = readonly [base: number, leaseMs: number];

/** `space`: of the leases. `leaseMs`: how long those of this view last. The clock returns ms since 1970. */
export async function leaseClock(
  file: StoreFile,
  space: number,
  time: TimeProvider,
  leaseMs: number,
): Promise<() => number> {
  const machine = time === systemTime ? machineMs : () => time.now();
  const { database } = file;
  const base = await file.write(() => {
    const [before, longest] = database.one<LeaseClockRow>(SQL.leaseClock, [space]) ?? [
      -Infinity,
      0,
    ];
    const last = database.one<[number | null]>(SQL.lastLease, [space])?.[0] ?? 0;
    const lasts = Math.max(longest, leaseMs);
    const isGood = last <= before + machine() + lasts;
    if (isGood && lasts === longest) return before;
    const next = isGood ? before : Math.max(time.now(), last) - machine();
    database.run(SQL.setLeaseClock, [space, next, lasts]);
    return next;
  });
  return () => base + machine();
}

/** `performance.now` counts from the start of the process, `hrtime` from the start of the machine. */
function machineMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1_000 + nanoseconds / 1_000_000;
}
