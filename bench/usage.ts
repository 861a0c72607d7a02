/** CPU time by the counters of Linux. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { cpus } from 'node:os';

/** `/proc/stat` has ticks of 10 ms, whatever its own clock is. */
const US_PER_TICK = 10_000;

/** Without these counters, as on macOS, a server says itself what it used, and nothing tells what stores and others did. */
export const hasCounters = existsSync(`/proc/${process.pid}/task/${process.pid}/schedstat`);

/** The time for which the threads of a process have run so far, by the scheduler, which counts in ns. */
export function cpuUsOf(pid: number): number {
  if (!hasCounters) return 0;
  let ns = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    try {
      ns += Number.parseInt(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8'), 10);
    } catch {
      // It has ended.
    }
  }
  return ns / 1_000;
}

function busyUs(): number {
  const line = readFileSync('/proc/stat', 'utf8').split('\n', 1)[0] ?? '';
  const [user = 0, nice = 0, system = 0, , , irq = 0, soft = 0, steal = 0] = line
    .split(/\s+/)
    .slice(1)
    .map(Number);
  return (user + nice + system + irq + soft + steal) * US_PER_TICK;
}

/** Starts a measurement. The function that it returns gives the share of the machine that others than `ownUs` used. */
export function foreignShare(): (ownUs: number) => number {
  if (!hasCounters) return () => Number.NaN;
  const [busy, wall, harness] = [busyUs(), performance.now(), process.cpuUsage()];
  return (ownUs) => {
    const { user, system } = process.cpuUsage(harness);
    const foreign = busyUs() - busy - ownUs - user - system;
    return Math.max(0, foreign / ((performance.now() - wall) * 1000 * cpus().length));
  };
}
