/** Timers that end together. After `stop` none begins. */
import type { TimeProvider } from './types.ts';

export class Timers {
  readonly #time: Required<TimeProvider>;
  readonly #stops = new Set<() => void>();
  #isStopped = false;

  constructor(time: Required<TimeProvider>) {
    this.#time = time;
  }

  after(ms: number, work: () => void): void {
    if (this.#isStopped) return;
    const timer = this.#time.setTimeout(() => {
      this.#stops.delete(stop);
      work();
    }, ms);
    const stop = (): void => this.#time.clearTimeout(timer);
    this.#stops.add(stop);
  }

  stop(): void {
    this.#isStopped = true;
    for (const stop of this.#stops) stop();
    this.#stops.clear();
  }
}
