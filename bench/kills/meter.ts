/** What the processes of a side and their descendants use, read each half second from `/proc`. */
import { readdirSync, readFileSync } from 'node:fs';

const EVERY_MS = 500;
const MS_PER_TICK = 10;
const PAGE_BYTES = 4_096;

export interface ProcessStat {
  readonly pid: number;
  readonly parent: number;
  readonly cpuMs: number;
  readonly bytes: number;
}

export function readProcesses(): readonly ProcessStat[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const text = readFileSync(`/proc/${name}/stat`, 'latin1');
      const fields = text
        .slice(text.lastIndexOf(')') + 2)
        .split(' ')
        .map(Number);
      const [parent = 0, user = 0, system = 0, pages = 0] = [1, 11, 12, 21].map((n) => fields[n]);
      const cpuMs = (user + system) * MS_PER_TICK;
      return [{ pid: Number(name), parent, cpuMs, bytes: pages * PAGE_BYTES }];
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

export class Meter {
  readonly #cpuMs = new Map<number, number>();
  readonly #bytes: number[] = [];
  readonly #timer: NodeJS.Timeout;

  constructor(side: { readonly roots: readonly number[] }) {
    this.#timer = setInterval(() => {
      const tree = treeOf(side.roots);
      for (const { pid, cpuMs } of tree) this.#cpuMs.set(pid, cpuMs);
      this.#bytes.push(tree.reduce((sum, { bytes }) => sum + bytes, 0));
    }, EVERY_MS);
  }

  stop(): { readonly cpuSeconds: number; readonly megabytes: number } {
    clearInterval(this.#timer);
    const cpuMs = [...this.#cpuMs.values()].reduce((sum, ms) => sum + ms, 0);
    const median = this.#bytes.toSorted((a, b) => a - b)[this.#bytes.length >> 1] ?? 0;
    return { cpuSeconds: Math.round(cpuMs / 1_000), megabytes: Math.round(median / 1e6) };
  }
}
