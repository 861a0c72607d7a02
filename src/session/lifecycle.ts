/**
 * How far the end of an endpoint has come, and what that end admits or refuses. Every part of the endpoint asks this
 * one object. The endpoint creates it, because it may drain or close before its store is open.
 *
 *     serving ──no other instance serves──▶ finishing ──▶ draining ──▶ drained ──▶ closed
 *        ├──another instance serves────────────────────────▲                         ▲
 *        └──close, from every state──────────────────────────────────────────────────╯
 *
 * serving, finishing: everything is admitted. A drain that no other instance can relieve first finishes the running
 * calls. draining: sessions are opened, claimed and connected elsewhere if another instance serves, and here if there
 * is none. Near its end new calls wait for the next owner. drained: no session becomes live, and requests are refused.
 * closed: nothing is admitted. A crash skips every state.
 */
import {
  closedEndpoint,
  draining,
  requestClosed,
  requestDrained,
  type SojournError,
} from '../base/errors.ts';

const PHASES = ['serving', 'finishing', 'draining', 'drained', 'closed'] as const;

type Phase = (typeof PHASES)[number];

export class Lifecycle {
  #phase: Phase = 'serving';
  #othersServe = false;
  #nearsEnd = false;

  /** Moves to `next`. Returns `false` when the endpoint is past it, because drains and closes may overlap. */
  advance(next: Exclude<Phase, 'serving'>): boolean {
    if (PHASES.indexOf(next) <= PHASES.indexOf(this.#phase)) return false;
    this.#phase = next;
    return true;
  }

  get closed(): boolean {
    return this.#phase === 'closed';
  }

  /** For the health of the endpoint, and for requests that wait. */
  get state(): 'serving' | 'draining' | 'closed' {
    return this.#phase === 'serving' || this.#phase === 'closed' ? this.#phase : 'draining';
  }

  /** Whether sessions become live at another instance as long as one serves. */
  get prefersOthers(): boolean {
    return this.#phase !== 'serving' && this.#phase !== 'finishing';
  }

  /** Why requests are refused and no session becomes live here any more; `undefined`: they are served. */
  get refusal(): SojournError | undefined {
    if (this.#phase === 'drained') return draining();
    return this.#phase === 'closed' ? closedEndpoint() : undefined;
  }

  /** What a request gets whose server was closed before it answered. */
  closedEarly(mayHaveRun = true): SojournError {
    return this.#phase === 'drained' ? requestDrained(mayHaveRun) : requestClosed(mayHaveRun);
  }

  /** Whether other instances take over the sessions of this one. */
  get othersServe(): boolean {
    return this.#othersServe;
  }

  noteOthers(serve: boolean): void {
    this.#othersServe = serve;
  }

  /** The drain has little time left. */
  nearEnd(): void {
    this.#nearsEnd = true;
  }

  /**
   * Whether a new call waits until its session has left. A session with calls that overlap is never idle, and the end
   * of the drain would interrupt the last of them, however short they are.
   */
  get keepsCallsForOthers(): boolean {
    return this.#phase === 'draining' && this.#nearsEnd && this.#othersServe;
  }
}
