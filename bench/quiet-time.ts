import { cpus } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { machineBusyUs } from './machine.ts';

const lookMs = 500;

/** Waits until other processes use little of the machine. The whole run waits at most `mostMs`. */
export class QuietTime {
  #leftMs: number;

  constructor(mostMs: number) {
    this.#leftMs = mostMs;
  }

  async wait(shareMost: number): Promise<void> {
    while (this.#leftMs > 0) {
      const busyBefore = machineBusyUs();
      const before = performance.now();
      await delay(lookMs);
      const ms = performance.now() - before;
      if (machineBusyUs() - busyBefore <= shareMost * ms * 1000 * cpus().length) return;
      this.#leftMs -= ms;
    }
  }
}
