/**
 * The clock of the leases of a deployment in a file: a base, plus the machine's monotonic clock, which is the same in
 * every process. So a date correction does not change when a lease ends. A restart of the machine ends every lease: the
 * first process that opens the file afterwards sets a base after all of them.
 *
 * The boot id shows a restart. Systems without one (not Linux) recognise it by a lease that ends later than the longest
 * lease of this deployment could.
 */
import type { StoreClock } from './clock.ts';
import { SQL } from './statements.ts';
import type { StoreFile } from './store-file.ts';

type LeaseClockRow = readonly [boot: string, base: number, leaseMs: number];

/** `space`: of the leases. `leaseMs`: how long those of this view last. */
export async function leaseClock(
  file: StoreFile,
  space: number,
  { boot, machine, wall }: StoreClock,
  leaseMs: number,
): Promise<Pick<StoreClock, 'wall'>> {
  const { database } = file;
  const base = await file.write(() => {
    const [bootBefore, baseBefore, longest] = database.one<LeaseClockRow>(SQL.leaseClock, [space]) ?? [undefined, 0, 0];
    const last = database.one<[number | null]>(SQL.lastLease, [space])?.[0] ?? 0;
    const lasts = Math.max(longest, leaseMs);
    const sameBoot = bootBefore === boot && last <= baseBefore + machine() + lasts;
    if (sameBoot && lasts === longest) return baseBefore;
    const next = sameBoot ? baseBefore : Math.max(wall(), last) - machine();
    database.run(SQL.setLeaseClock, [space, boot, next, lasts]);
    return next;
  });
  return { wall: () => base + machine() };
}
