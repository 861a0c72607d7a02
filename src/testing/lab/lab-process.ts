/**
 * The process of an instance of a lab, and what a kill or a freeze stops in it: its calls to the store, its timers,
 * what arrives from others. Code that runs continues until it needs one of them.
 *
 *     serving ──freeze──▶ frozen ──wake──▶ serving
 *        ├──drain, stop──▶ stopping ──▶ stopped
 *        ╰──kill──▶ killed      (a frozen one too)
 */
import type { MaybePromise } from '../../types.ts';

type State = 'serving' | 'frozen' | 'stopping' | 'stopped' | 'killed';

export class LabProcess {
  /** 1 for the first that was started. */
  readonly number: number;
  #state: State = 'serving';
  #waiting: Array<() => void> = [];
  /** Resolves when the process is killed. */
  protected readonly killed: Promise<void>;
  #killed!: () => void;

  constructor(number: number) {
    this.number = number;
    this.killed = new Promise((resolve) => (this.#killed = resolve));
  }

  get state(): State {
    return this.#state;
  }

  /** `states`: the usual one first. */
  protected expect(what: string, ...states: State[]): void {
    if (states.includes(this.#state)) return;
    throw new Error(`${what}: instance ${this.number} of the lab is ${this.#state}; it must be ${states[0]}`);
  }

  /** Runs `work` at once; in a frozen process when it wakes, in order; in a killed one never. */
  run<T>(work: () => MaybePromise<T>): MaybePromise<T> {
    if (this.#state !== 'frozen' && this.#state !== 'killed') return work();
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

  kill(): void {
    this.expect('kill()', 'serving', 'frozen');
    this.#state = 'killed';
    this.#waiting = [];
    this.#killed();
  }

  freeze(): void {
    this.expect('freeze()', 'serving');
    this.#state = 'frozen';
  }

  wake(): void {
    this.expect('wake()', 'frozen');
    this.#state = 'serving';
    for (const wake of this.#waiting.splice(0)) wake();
  }

  /** Runs `work`, after which the process has stopped. */
  protected async stopAfter<T>(what: string, work: () => Promise<T>): Promise<T> {
    this.expect(what, 'serving');
    this.#state = 'stopping';
    const result = await work();
    this.#state = 'stopped';
    return result;
  }
}
