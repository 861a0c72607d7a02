/**
 * How far the reader of a stream may fall behind before its connection is cut. What a single event-loop turn writes is not
 * held against it: those bytes leave when the turn ends, so that no reader could have taken any of them before. So ten
 * thousand notifications sent in one go arrive whole, and a reader that then does not read is cut like any other:
 *
 *     within the limit ─passes it─▶ in that turn: never too long ─turn ends─▶ what is left then and the limit once more
 *            ▲────────────────────────── within the limit again ──────────────────────────╯
 */
import { atEndOfTurn, type TurnTask } from './turn.ts';

interface Waiting {
  readonly pendingBytes: number;
}

export class Backlog implements TurnTask {
  readonly #waiting: Waiting;
  readonly #limit: number;
  /** `pendingBytes` is `Infinity` where an instance in between takes nothing any more: that is always too long. */
  #most = Number.MAX_VALUE;

  constructor(waiting: Waiting, limit: number) {
    this.#waiting = waiting;
    this.#limit = limit;
    atEndOfTurn(this);
  }

  endTurn(): void {
    this.#most = Math.min(this.#waiting.pendingBytes + this.#limit, Number.MAX_VALUE);
  }

  /** Never called: `endTurn` cannot throw. */
  crashed(): void {}

  get tooLong(): boolean {
    return this.#waiting.pendingBytes > this.#most;
  }
}

/** Before each write: `undefined` while the reader is within the limit, which makes nothing. */
export function backlogOf(waiting: Waiting, limit: number, before: Backlog | undefined): Backlog | undefined {
  return waiting.pendingBytes > limit ? (before ?? new Backlog(waiting, limit)) : undefined;
}
