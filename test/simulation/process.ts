/**
 * One process of a world: what runs in it, its clocks, its timers.
 *
 *     running ⇄ frozen      stopped (SIGSTOP) or, with its machine, suspended: then its monotonic clock stops
 *        ╰──▶ dead ◀──╯     nothing runs in it any more, and it sends nothing
 *
 * Code of an instance runs only inside of `enter`: a timer, a reply, a message, a request. What arrives while it is
 * frozen waits, in its order.
 */
import type { TimeProvider } from '../../src/base/types.ts';
import type { Planned, Scheduler } from './scheduler.ts';

/** 2026-06-01: not the real time. */
export const EPOCH_MS = Date.UTC(2026, 5, 1);

interface ProcessTimer {
  readonly due: number;
  readonly fn: () => void;
  cleared: boolean;
  planned: Planned | undefined;
}

/** Clocks that do not behave; ablations use them too. */
export interface ClockFaults {
  /** ms that the wall clock is off. */
  skew: number;
  /** The clock that stops. */
  stopped?: 'monotonic' | 'wall' | undefined;
}

export class SimProcess implements Required<TimeProvider> {
  readonly name: string;
  readonly scheduler: Scheduler;
  readonly clock: ClockFaults = { skew: 0 };
  state: 'running' | 'frozen' | 'dead' = 'running';
  /** Called when it dies, for its connections. */
  onDeath: (() => void) | undefined = undefined;
  #suspended = false;
  #stoppedAt = 0;
  /** ms that its monotonic clock missed. */
  #missed = 0;
  #waiting: Array<() => void> = [];
  #waitingTimers: Array<() => void> = [];

  constructor(name: string, scheduler: Scheduler) {
    this.name = name;
    this.scheduler = scheduler;
  }

  /** In the process, now or when it runs again; never when it is dead. */
  enter(fn: () => void): void {
    if (this.state === 'running') fn();
    else if (this.state === 'frozen') this.#waiting.push(fn);
  }

  /** `away`: the work failed, or the process has died. */
  whileAlive<T, A>(work: Promise<T>, away: A): Promise<T | A> {
    return new Promise((resolve) => {
      work.then(resolve, () => resolve(away));
      const watch = (): void => {
        if (this.state === 'dead') resolve(away);
        else this.scheduler.after(100, watch);
      };
      watch();
    });
  }

  // ——— its clocks ———

  now = (): number => {
    const time = this.clock.stopped === 'wall' ? 0 : this.scheduler.now;
    return EPOCH_MS + time + this.clock.skew;
  };

  monotonic = (): number => {
    if (this.clock.stopped === 'monotonic') return 1_000;
    const now = this.#suspended ? this.#stoppedAt : this.scheduler.now;
    return 1_000 + now - this.#missed;
  };

  setTimeout = (fn: () => void, ms: number): ProcessTimer => {
    const wait = Math.max(1, ms);
    const timer: ProcessTimer = {
      due: this.scheduler.now - this.#missed + wait,
      fn,
      cleared: false,
      planned: undefined,
    };
    this.#plan(timer, wait);
    return timer;
  };

  clearTimeout = (handle: unknown): void => {
    const timer = handle as ProcessTimer | undefined;
    if (timer === undefined) return;
    timer.cleared = true;
    if (timer.planned !== undefined) this.scheduler.cancel(timer.planned);
  };

  #plan(timer: ProcessTimer, ms: number): void {
    timer.planned = this.scheduler.after(ms, () => this.#fire(timer));
  }

  #fire(timer: ProcessTimer): void {
    if (timer.cleared || this.state === 'dead') return;
    if (this.state === 'frozen') {
      this.#waitingTimers.push(() => this.#fire(timer));
      return;
    }
    const left = timer.due - (this.scheduler.now - this.#missed);
    if (left > 1e-6) this.#plan(timer, left);
    else timer.fn();
  }

  // ——— what befalls it ———

  freeze(suspended: boolean): void {
    if (this.state !== 'running') return;
    this.state = 'frozen';
    this.#suspended = suspended;
    this.#stoppedAt = this.scheduler.now;
  }

  /** Timers first or what came from outside first: an event loop may be stopped in either place. */
  thaw(timersFirst: boolean): void {
    if (this.state !== 'frozen') return;
    this.state = 'running';
    if (this.#suspended) this.#missed += this.scheduler.now - this.#stoppedAt;
    this.#suspended = false;
    const timers = this.#waitingTimers.splice(0);
    const others = this.#waiting.splice(0).map((fn) => () => this.enter(fn));
    for (const fn of timersFirst ? [...timers, ...others] : [...others, ...timers])
      this.scheduler.after(0, fn);
  }

  kill(): void {
    if (this.state === 'dead') return;
    this.state = 'dead';
    this.#waiting = [];
    this.#waitingTimers = [];
    this.onDeath?.();
  }
}
