/** The processes of this machine and what they use, from `/proc`: none where there is no such folder. */
import { readdirSync, readFileSync } from 'node:fs';
import { orUndefined } from './or-undefined.ts';

const MS_PER_TICK = 10;
const PAGE_BYTES = 4_096;

export interface ProcessStat {
  readonly pid: number;
  readonly parent: number;
  readonly group: number;
  readonly cpuMs: number;
  readonly bytes: number;
}

export function readProcesses(): readonly ProcessStat[] {
  return (orUndefined(() => readdirSync('/proc')) ?? []).flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const text = readFileSync(`/proc/${name}/stat`, 'latin1');
      const fields = text
        .slice(text.lastIndexOf(')') + 2)
        .split(' ')
        .map(Number);
      const [parent = 0, group = 0, user = 0, system = 0, pages = 0] = [1, 2, 11, 12, 21].map(
        (n) => fields[n],
      );
      const cpuMs = (user + system) * MS_PER_TICK;
      return [{ pid: Number(name), parent, group, cpuMs, bytes: pages * PAGE_BYTES }];
    } catch {
      return []; // It has ended.
    }
  });
}

/** The processes of `roots` with all that they have started. */
export function treeOf(
  roots: readonly number[],
  all: readonly ProcessStat[] = readProcesses(),
): readonly ProcessStat[] {
  const found = new Set(roots);
  for (let size = 0; size !== found.size;) {
    size = found.size;
    for (const { pid, parent } of all) if (found.has(parent)) found.add(pid);
  }
  return all.filter(({ pid }) => found.has(pid));
}
