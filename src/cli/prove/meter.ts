/** What processes and their descendants use, read each half second. */
import { treeOf } from '../../base/processes.ts';

const EVERY_MS = 500;

export class Meter {
  readonly #cpuMs = new Map<number, number>();
  readonly #bytes: number[] = [];
  readonly #timer: NodeJS.Timeout;

  constructor(of: { readonly roots: readonly number[] }) {
    this.#timer = setInterval(() => {
      const tree = treeOf(of.roots);
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
