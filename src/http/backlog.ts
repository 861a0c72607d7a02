/**
 * How far the reader of a stream may fall behind before its connection is cut. The limit ignores what a single
 * event-loop turn writes: those bytes are sent when the turn ends, so no reader could have taken them earlier. Ten
 * thousand notifications sent in one go therefore arrive whole, and a reader that then stops reading is cut as usual.
 *
 *     within the limit ─passes it─▶ in that turn: never too long ─turn ends─▶ the new limit is pending bytes + limit
 *            ▲────────────────────────── within the limit again ──────────────────────────╯
 */
import { atEndOfTurn, type TurnTask } from './turn.ts';

interface Unsent {
  readonly pendingBytes: number;
}

export class Backlog implements TurnTask {
  readonly #waiting: Unsent;
  readonly #limit: number;
  /**
   * `pendingBytes` is `Infinity` while an instance in between accepts no more bytes. After the turn that is too long,
   * whatever was pending then.
   */
  #most = Infinity;

  constructor(waiting: Unsent, limit: number) {
    this.#waiting = waiting;
    this.#limit = limit;
    atEndOfTurn(this);
  }

  endTurn(): void {
    this.#most = Math.min(this.#waiting.pendingBytes + this.#limit, Number.MAX_VALUE);
  }

  /** Never called, because `endTurn` cannot throw. */
  crashed(): void {}

  get tooLong(): boolean {
    return this.#waiting.pendingBytes > this.#most;
  }
}

/** Call it before each write. Returns `undefined` while the reader is within the limit, and allocates nothing then. */
export function backlogOf(waiting: Unsent, limit: number, before: Backlog | undefined): Backlog | undefined {
  return waiting.pendingBytes > limit ? (before ?? new Backlog(waiting, limit)) : undefined;
}
