/**
 * The connection of one process to the store, with all that may befall it. Calls arrive in their order, one stall holds
 * up all behind it; what takes too long has failed for its caller, and happens later all the same.
 */
import { storeUnavailable } from '../../src/base/errors.ts';
import type { Kind, MaybePromise } from '../../src/stores/store.ts';
import type { SimProcess } from './process.ts';
import { type Port, writes } from './sim-store.ts';
import type { World } from './world.ts';

/** What befalls one call to the store. */
export interface Interference {
  /** It takes effect no sooner. */
  readonly hold?: Promise<void>;
  readonly outcome?: 'fails' | 'reply-lost';
  /** The reply comes no sooner. */
  readonly holdReply?: Promise<void>;
}

/** A process's connection to the store: calls arrive in order. */
export class ProcessPort implements Port {
  readonly process: SimProcess;
  readonly #world: World;
  #lastArrival = 0;
  #lastReply = 0;
  #lastStalled = 0;
  readonly #lastFrom = new Map<SimProcess | undefined, number>();

  constructor(world: World, process: SimProcess) {
    this.#world = world;
    this.process = process;
  }

  inOrder(from: SimProcess | undefined, at: number): number {
    const time = Math.max(at, this.#lastFrom.get(from) ?? 0);
    this.#lastFrom.set(from, time);
    return time;
  }

  arrive(fn: () => void): void {
    this.process.enter(fn);
  }

  notice(fn: () => void): void {
    const world = this.#world;
    world.scheduler.after(world.delay(world.faults.store), () => this.process.enter(fn));
  }

  asked<T>(name: string, call: () => MaybePromise<T>): MaybePromise<T> {
    const { hold } = this.#world.interfere(this.process, name) ?? {};
    if (hold === undefined) return call();
    return new Promise(
      (resolve) => void hold.then(() => this.process.enter(() => resolve(call()))),
    );
  }

  call<T>(names: readonly string[], effect: () => MaybePromise<T>, about?: unknown): Promise<T> {
    const name = names.join('+');
    const world = this.#world;
    const { scheduler, faults, network } = world;
    return new Promise((resolve, reject) => {
      let settled = false;
      const answer = (at: number, fn: () => void): void => {
        const settle = (): void => {
          if (settled) return;
          settled = true;
          this.process.enter(fn);
        };
        if (at <= scheduler.now) settle();
        else scheduler.at(at, settle);
      };
      const fail = (at: number, why: string): void => {
        if (world.trace !== undefined)
          world.note(`${this.process.name} store.${name}(${shown(about)}): ${why}`);
        answer(at, () => reject(storeUnavailable(`${name}: ${why}`)));
      };
      if (network.chance(faults.storeStalls))
        this.#lastArrival = Math.max(
          this.#lastArrival,
          scheduler.now + world.delay(faults.storeStall),
        );
      const delay = world.delay(faults.store);
      const stalledUntil = this.#stalledUntil(names);
      this.#lastArrival = Math.max(this.#lastArrival, scheduler.now + delay);
      const arrival =
        stalledUntil > scheduler.now
          ? (this.#lastStalled = Math.max(this.#lastStalled, stalledUntil) + delay)
          : this.#lastArrival;
      if (faults.storeStalls > 0) {
        const timeout = scheduler.now + world.delay(faults.storeTimeout);
        if (arrival > timeout) scheduler.at(timeout, () => fail(timeout, 'no answer in time'));
      }
      const [placed] = names.flatMap((one) => world.interfere(this.process, one) ?? []);
      const arrived = async (): Promise<void> => {
        if (this.process.state === 'dead' && network.chance(0.5)) return;
        if (world.storeDown || world.cutOff.has(this.process))
          return fail(scheduler.now + network.between(1, 200), 'not reached');
        if (placed?.outcome === 'fails' || network.chance(faults.storeFails))
          return fail(scheduler.now + world.delay(faults.store), 'failed');
        let outcome: T;
        try {
          outcome = await effect();
        } catch (error) {
          return answer(scheduler.now, () => reject(error));
        }
        if (world.trace !== undefined)
          world.note(`${this.process.name} store.${name}(${shown(about)}) = ${shown(outcome)}`);
        if (writes(names) && network.chance(faults.storeTwice))
          scheduler.after(world.delay(faults.storeStall), () => void effect());
        if (placed?.outcome === 'reply-lost' || network.chance(faults.storeReplyLost))
          return fail(scheduler.now + network.between(1, 200), 'reply lost');
        this.#lastReply = Math.max(this.#lastReply, scheduler.now + world.delay(faults.storeReply));
        if (placed?.holdReply !== undefined) {
          void placed.holdReply.then(() => answer(scheduler.now, () => resolve(outcome)));
          return;
        }
        answer(this.#lastReply, () => resolve(outcome));
      };
      if (placed?.hold !== undefined)
        void placed.hold.then(() => scheduler.after(0, () => void arrived()));
      else scheduler.at(arrival, () => void arrived());
    });
  }

  #stalledUntil(names: readonly string[]): number {
    const { calls, until } = this.#world.stall;
    if (calls === 'all') return until;
    if (names[0] === 'send' || (calls === 'writes' && !writes(names))) return -Infinity;
    return until;
  }
}

/** Versions of rows are not the same in each run. */
const HIDDEN = new Set(['version', 'was', 'wakeAt', 'clear', 'cut']);

function shown(value: unknown): string {
  const text = JSON.stringify(value, (name, of: unknown) => {
    if (HIDDEN.has(name)) return undefined;
    return isKind(of) ? of.name : of;
  });
  return (text ?? '').replaceAll('\\"', "'").slice(0, 300);
}

const isKind = (value: unknown): value is Kind =>
  typeof value === 'object' && value !== null && 'keepMs' in value;
