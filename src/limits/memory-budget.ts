/**
 * The bytes of `limits.memoryBytes`, and how many of them each user holds. The budget refuses new bytes before the heap
 * is full.
 *
 *     0 ─────────────────────── `limits.memoryBytes` ─────── + a quarter
 *       everything is accepted        small requests only          nothing
 *
 * The last quarter keeps ordinary calls going while large bodies or unread answers fill the budget. One user may hold
 * `limits.userShare` of what the others leave free.
 */

/** A request up to this size may use the reserve. */
const SMALL_BYTES = 32 * 1024;
const RESERVE = 0.25;

export class MemoryBudget {
  /** `limits.memoryBytes`. */
  readonly bytes: number;
  readonly #most: number;
  readonly #userShare: number;
  readonly #users = new Map<string, number>();
  #used = 0;

  constructor(bytes: number, userShare: number) {
    this.bytes = bytes;
    this.#most = bytes * (1 + RESERVE);
    this.#userShare = userShare;
  }

  get used(): number {
    return this.#used;
  }

  /** Whether only small requests are accepted now. */
  get full(): boolean {
    return this.#used > this.bytes;
  }

  /** `user`: whose share they count in; `undefined`: in no share. `false`: there is no room, nothing was charged. */
  take(bytes: number, held: number, user: string | undefined): boolean {
    const most = held + bytes <= SMALL_BYTES ? this.#most : this.bytes;
    if (this.#used + bytes > most || (user !== undefined && this.#exceeds(user, bytes, most))) return false;
    this.charge(bytes, user);
    return true;
  }

  charge(bytes: number, user: string | undefined): void {
    this.#used += bytes;
    if (user === undefined) return;
    const own = (this.#users.get(user) ?? 0) + bytes;
    if (own > 0) this.#users.set(user, own);
    else this.#users.delete(user);
  }

  isOver(user: string, more: number): boolean {
    return this.#exceeds(user, more, this.bytes);
  }

  #exceeds(user: string, more: number, most: number): boolean {
    const own = this.#users.get(user) ?? 0;
    return own + more > Math.ceil((most - this.#used + own) * this.#userShare);
  }
}
