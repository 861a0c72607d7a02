/**
 * Whether the handler of one request runs. The request may end before its handler does: its client cancelled it or
 * disconnected, its session left, or its time was over. Its places in the limits are held until the handler has
 * settled (docs/adr/limits.md).
 *
 *     idle ──its handler begins──▶ running ──it settles──▶ idle
 *       └──the request ends──▶ done    └──the request ends──▶ ending ──it settles, or never will──▶ done
 *
 * A handler that has not begun when its request ends never begins. Handlers within handlers count as one.
 */
import { follow, type Transitions } from '../../base/transitions.ts';

type State = 'idle' | 'running' | 'ending' | 'done';

const STATES: Transitions<State> = {
  idle: ['running', 'done'],
  running: ['idle', 'ending'],
  ending: ['done'],
  done: [],
};

interface HeldByWork {
  release(): void;
  /** Gives back the place of the called tool. */
  leaveTool?(): void;
}

export class HandlerWork {
  #state: State = 'idle';
  #handlers = 0;
  #held: HeldByWork[] | undefined = undefined;

  get running(): boolean {
    return this.#state === 'running' || this.#state === 'ending';
  }

  /** The request is answered, or never will be. */
  get ended(): boolean {
    return this.#state === 'ending' || this.#state === 'done';
  }

  get done(): boolean {
    return this.#state === 'done';
  }

  #become(next: State): void {
    this.#state = follow(STATES, this.#state, next);
  }

  begin(): void {
    if (this.ended) throw new Error('The request ended before its handler began');
    if (this.#handlers === 0) this.#become('running');
    this.#handlers += 1;
  }

  settle(): void {
    this.#handlers -= 1;
    if (this.#handlers > 0) return;
    this.#become(this.#state === 'ending' ? 'done' : 'idle');
    this.#report();
  }

  end(): void {
    if (this.ended) return;
    this.#become(this.#handlers > 0 ? 'ending' : 'done');
    this.#report();
  }

  /** Its handler never settles, or may: its request has ended, and nothing is held for it any more. */
  abandon(): void {
    if (this.done) return;
    this.end();
    // What settles now is too late.
    this.#handlers = Infinity;
    if (this.#state === 'ending') this.#become('done');
    this.#report();
  }

  /** Releases `held` once: when the request has ended and its handler does not run. */
  holds(held: HeldByWork): void {
    if (this.done) held.release();
    else (this.#held ??= []).push(held);
  }

  /** Another request calls the tool, and this one waits for that. */
  leaveTool(): void {
    for (const held of this.#held ?? []) held.leaveTool?.();
  }

  #report(): void {
    if (this.#state !== 'done' || this.#held === undefined) return;
    const all = this.#held;
    this.#held = undefined;
    for (const held of all) held.release();
  }
}
