import { shown, userName } from './shown.ts';
import { BoundedMap } from './bounded-map.ts';
import { digestText } from './digest.ts';
import { afterTurn } from './system.ts';

/**
 * Something of which an instance has so much: the bytes of `limits.memoryBytes`, places for sessions, requests,
 * streams and the calls of a tool, or what the memory store holds of a kind that forgets nothing.
 *
 *     0 ─────────────────────── size ─────── + a quarter
 *       every user has its share       small requests only (memory)
 *
 * One user may hold `limits.userShare` of what the others leave free, rounded up. The last quarter keeps ordinary calls
 * going while large bodies or unread answers fill the memory.
 */
const RESERVE = 0.25;
/**
 * Users whose answers found no room. Past these the user that was refused longest ago may call
 * again.
 */
const REFUSED_KEPT = 1_000;

export class Budget {
  readonly size: number;
  readonly #userShare: number;
  readonly #users = new Map<string, number>();
  /** What users gave back in this turn, and what the process holds until the turn is over. */
  readonly #leaving = new Map<string, number>();
  /** The last user who gave everything back is still in the map: most often the same user takes something next. */
  #empty: string | undefined = undefined;
  #used = 0;
  /** How much the last answer of a user needed that found no room. */
  readonly #refused = new BoundedMap<string, number>(REFUSED_KEPT);

  constructor(size: number, userShare: number) {
    this.size = size;
    this.#userShare = userShare;
  }

  get used(): number {
    return this.#used;
  }

  /** Whether only small requests are accepted now. */
  get full(): boolean {
    return this.#used > this.size;
  }

  heldBy(user: string): number {
    return this.#users.get(user) ?? 0;
  }

  /**
   * `user`: whose share it counts in; `undefined`: in no share. `mayUseReserve`: it is small. `false`: there is no
   * room, and nothing was taken.
   */
  take(amount: number, user: string | undefined, mayUseReserve = false): boolean {
    const most = mayUseReserve ? this.size * (1 + RESERVE) : this.size;
    if (this.#used + amount > most) return false;
    if (user !== undefined) {
      const leaving = this.#leaving.get(user) ?? 0;
      if (this.isOver(user, amount + leaving, most)) return false;
    }
    this.charge(amount, user);
    return true;
  }

  /** Takes it even if there is no room, or gives it back. */
  charge(amount: number, user: string | undefined): void {
    this.#used += amount;
    if (user === undefined) return;
    const own = this.heldBy(user) + amount;
    this.#users.set(user, own);
    if (own > 0) {
      if (user === this.#empty) this.#empty = undefined;
    } else if (user !== this.#empty) {
      if (this.#empty !== undefined) this.#users.delete(this.#empty);
      this.#empty = user;
    }
  }

  /** Whether this user would hold more than its share with `more`. */
  isOver(user: string, more = 0, most = this.size): boolean {
    const own = this.heldBy(user);
    return own + more > Math.ceil((most - this.#used + own) * this.#userShare);
  }

  /** This user gave so much back, but the process has it until the turn is over. */
  leaves(amount: number, user: string): void {
    if (this.#leaving.size === 0) afterTurn(() => this.#leaving.clear());
    this.#leaving.set(user, (this.#leaving.get(user) ?? 0) + amount);
  }

  /** An answer of this user found no room. */
  refused(amount: number, user: string): void {
    this.#refused.set(user, Math.min(amount, this.size * RESERVE));
  }

  /** Whether there is no room yet for what this user was refused last: another call would be served in vain. */
  isShort(user: string): boolean {
    const amount = this.#refused.get(user);
    if (amount === undefined) return false;
    const isShort = this.isOver(user, amount);
    if (!isShort) this.#refused.delete(user);
    return isShort;
  }

  /** Whether this user takes nothing in this turn: what it gave back in it fills its share. */
  isSpent(user: string): boolean {
    const leaving = this.#leaving.get(user);
    return leaving !== undefined && this.isOver(user, leaving);
  }
}

/** A request up to this size may use the reserve of the budget. */
const SMALL_BYTES = 32 * 1024;

/** A row of the memory budget of an endpoint, `limits.memoryBytes` (`http/limits/memory-rows.ts`). */
export class MemoryUse {
  /** What all rows take together. */
  readonly budget: Budget;
  #used = 0;

  constructor(budget: Budget) {
    this.budget = budget;
  }

  /** Bytes of this row. */
  get used(): number {
    return this.#used;
  }

  /**
   * Charges `bytes` to a thing that holds `held` already, and to `user`, a key of `shareKey`. `false`: there is no
   * room, or this user has its share. Then nothing was charged.
   */
  take(bytes: number, held: number, user: string): boolean {
    if (!this.budget.take(bytes, user, held + bytes <= SMALL_BYTES)) return false;
    this.#used += bytes;
    return true;
  }

  /** Charges bytes that are held already, so that they cannot be refused. */
  charge(bytes: number, user: string): void {
    this.#used += bytes;
    this.budget.charge(bytes, user);
  }

  give(bytes: number, user: string): void {
    this.charge(-bytes, user);
  }
}

/** Characters: 132 bits of a digest. */
const STORED_LENGTH = 22;

/** The last caller's: several budgets ask about one request. */
let last:
  | { readonly user: string | undefined; readonly address: string; readonly key: string }
  | undefined;

/** Whose share a caller's use counts in. A caller without a user counts by its address, in the spelling of `addressIn`. */
export function shareKey(user: string | undefined, address = 'unknown'): string {
  if (last === undefined || last.user !== user || last.address !== address)
    last = { user, address, key: keyOf(user, address) };
  return last.key;
}

const [OF_USER, OF_ADDRESS] = ['user ', 'address '];

/** Whether the share is that of an address, whose callers have no user. */
export const isOfAddress = (share: string): boolean => share.startsWith(OF_ADDRESS);

/** A share for a log line. */
export const shownShare = (share: string): string =>
  isOfAddress(share)
    ? share.slice(OF_ADDRESS.length)
    : shown(userName(share.slice(OF_USER.length)));

/** Also of one request, which asks twice. */
let lastStored = { key: '', name: '' };

/** The same share, as records in the store name it: they show no address. */
export function storedShare(key: string): string {
  if (lastStored.key !== key) lastStored = { key, name: digestText(key).slice(0, STORED_LENGTH) };
  return lastStored.name;
}

function keyOf(user: string | undefined, address: string): string {
  if (user !== undefined) return `${OF_USER}${user}`;
  return `${OF_ADDRESS}${address.includes(':') ? networkOf(address) : address}`;
}

/** A client has all addresses of its IPv6 network: the first 64 bits count. */
function networkOf(address: string): string {
  const [head = [], tail] = address.split('::').map((part) => part.split(':').filter(Boolean));
  if (tail === undefined) return head.slice(0, 4).join(':');
  const zeros = Array<string>(Math.max(0, 8 - head.length - tail.length)).fill('0');
  return [...head, ...zeros, ...tail].slice(0, 4).join(':');
}
