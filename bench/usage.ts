/** CPU time by the counters of Linux. */
import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';

/** Linux shows its times in ticks of 10 ms, whatever its own clock is. */
const US_PER_TICK = 10_000;

/** User and system time of a process so far. */
export function cpuUsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // After the name of the process, which may hold any character.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * US_PER_TICK;
}

function busyUs(): number {
  const line = readFileSync('/proc/stat', 'utf8').split('\n', 1)[0] ?? '';
  const [user = 0, nice = 0, system = 0, , , irq = 0, soft = 0, steal = 0] = line.split(/\s+/).slice(1).map(Number);
  return (user + nice + system + irq + soft + steal) * US_PER_TICK;
}

/** Starts a measurement. The function that it returns gives the share of the machine that others than `ownUs` used. */
export function foreignShare(): (ownUs: number) => number {
  const [busy, wall, harness] = [busyUs(), performance.now(), process.cpuUsage()];
  return (ownUs) => {
    const { user, system } = process.cpuUsage(harness);
    const foreign = busyUs() - busy - ownUs - user - system;
    return Math.max(0, foreign / ((performance.now() - wall) * 1000 * cpus().length));
  };
}
