/**
 * A number that the store counts over all instances, and what this instance has added since it was read:
 *
 *     counted ──taken──▶ value          far: so much may be taken of a limit before the number is read again
 *
 * Far is a sixteenth of what was left at the last read, less what was taken since. So sixteen instances pass no limit
 * together; more, and what is under way while the number is read, pass it by one trip for each instance.
 */
import { after } from '../shared/after.ts';
import type { MaybePromise } from '../../base/types.ts';

/** A count is far from its limit while it takes less than this part of the rest. */
export const FAR = 1 / 16;
const READ_MS = 1_000;

export class NearCount {
  /** The count that was last read. */
  counted = 0;
  #readAt = -Infinity;
  /** All that was taken here, and how much of it the last read has counted. */
  #taken = 0;
  #before = 0;

  /** What was taken since. */
  get taken(): number {
    return this.#taken - this.#before;
  }

  get value(): number {
    return this.counted + this.taken;
  }

  get wasRead(): boolean {
    return this.#readAt !== -Infinity;
  }

  take(amount: number): void {
    this.#taken += amount;
  }

  far(limit: number): number {
    return FAR * (limit - this.counted) - this.taken;
  }

  /** A second is over since the last read began. */
  isOld(now: number): boolean {
    return now - this.#readAt >= READ_MS;
  }

  /** Answers at once where the store does. `pending`: taken, and not stored yet. Reads may overlap. */
  read(now: number, ask: () => MaybePromise<number>, pending = 0): MaybePromise<number> {
    const before = this.#taken - pending;
    this.#readAt = now;
    return after(ask(), (counted) => {
      this.counted = counted;
      this.#before = Math.max(before, this.#before);
      return counted;
    });
  }
}
