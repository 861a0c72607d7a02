/**
 * What a kill or a freeze stops in an instance of a lab: its calls to the store, its timers, what arrives from others.
 * Code that runs continues until it needs one of them.
 */
import type { MaybePromise } from '../../types.ts';

export class LabProcess {
  #state: 'running' | 'frozen' | 'killed' = 'running';
  #waiting: Array<() => void> = [];

  /** Runs `work` at once; in a frozen process when it wakes, in order; in a killed one never. */
  run<T>(work: () => MaybePromise<T>): MaybePromise<T> {
    if (this.#state === 'running') return work();
    return new Promise<void>((wake) => this.#waiting.push(wake)).then(work);
  }

  /** The same object, whose methods run in this process. */
  guard<T extends object>(of: T): T {
    return new Proxy(of, {
      get: (_, name) => {
        const method: unknown = Reflect.get(of, name);
        if (typeof method !== 'function') return method;
        return (...given: unknown[]) => this.run(() => method.apply(of, given) as unknown);
      },
    });
  }

  freeze(): void {
    this.#state = 'frozen';
  }

  wake(): void {
    this.#state = 'running';
    for (const wake of this.#waiting.splice(0)) wake();
  }

  kill(): void {
    this.#state = 'killed';
    this.#waiting = [];
  }
}
