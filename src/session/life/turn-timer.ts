import type { Held } from '../../http/exchange.ts';
import { atEndOfTurn, type TurnTask } from '../../http/turn.ts';
import type { TimeProvider } from '../../types.ts';

/**
 * How long the end of a session waits for code of the user: code that hangs must not delay other sessions. Below the
 * 5 s within which an endpoint closes (B66 in docs/reference/behaviour.md).
 */
export const GRACE_MS = 4_000;

/**
 * A timer for work that nearly always ends in the turn of the event loop in which it began. The clock's timer is set
 * when that turn ends, and only if the work still runs.
 */
export class TurnTimer implements TurnTask, Held {
  readonly #time: Pick<TimeProvider, 'setTimeout' | 'clearTimeout'>;
  readonly #ms: number;
  readonly #due: () => void;
  #cleared = false;
  #timer: unknown = undefined;

  constructor(time: Pick<TimeProvider, 'setTimeout' | 'clearTimeout'>, ms: number, due: () => void) {
    this.#time = time;
    this.#ms = ms;
    this.#due = due;
    atEndOfTurn(this);
  }

  release(): void {
    this.#cleared = true;
    if (this.#timer !== undefined) this.#time.clearTimeout(this.#timer);
  }

  endTurn(): void {
    if (!this.#cleared) this.#timer = this.#time.setTimeout(this.#due, this.#ms);
  }

  /** The clock of the application threw, so the time cannot be measured. */
  crashed(): void {
    this.#due();
  }
}

/** `false`: `work` took longer than `ms`, and continues. Rejects as `work` does. */
export function inTime(time: TimeProvider, work: Promise<unknown>, ms = GRACE_MS): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const timer = new TurnTimer(time, ms, () => resolve(false));
    work.then(
      () => {
        timer.release();
        resolve(true);
      },
      (cause: unknown) => {
        timer.release();
        reject(cause);
      },
    );
  });
}
