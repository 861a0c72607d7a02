/**
 * The ended records of a kind with `evicts: false`. None is forgotten before its time. So each record has a place here
 * from its creation on, and bytes for its body and later for its outcome. A record that finds no room is refused.
 *
 *     enter (create) ──▶ add (end) ──▶ forget (its time is over)
 *           │                    ╰──▶ drop (before its time)
 *           ╰──▶ leave (it expired, and shows no more)
 *
 * One user may hold a part of what the others leave free, so the records of one user keep no other user out.
 */
import { Budget } from '../../budget.ts';
import { storeFull } from '../../errors.ts';
import type { EndedRecord, StoredRecord } from '../store.ts';
import { TimeHeap } from './time-heap.ts';

/** The default of `limits.userShare`. */
const USER_SHARE = 1 / 2;
/** Every record is charged at least so many bytes. So a short outcome has its room, whatever is full. */
const LEAST_BYTES = 1_024;

/** The limits, by their names. */
const [NUMBER, BYTES] = ['tombstones', 'eventLogBytes'];

type Owned = Pick<StoredRecord, 'user' | 'body'>;

interface LastingTombstone extends EndedRecord {
  readonly forgetAt: number;
  readonly share: string;
  readonly bytes: number;
}

export class LastingTombstones {
  readonly #kind: string;
  readonly #byId = new Map<string, LastingTombstone>();
  readonly #byTime = new TimeHeap<LastingTombstone>();
  readonly #places: Budget;
  readonly #bytes: Budget;

  constructor(kind: string, most: number, mostBytes: number, userShare = USER_SHARE) {
    this.#kind = kind;
    this.#places = new Budget(most, userShare);
    this.#bytes = new Budget(mostBytes, userShare);
  }

  /** The number of tombstones, including those that are too old. */
  get size(): number {
    return this.#byId.size;
  }

  /** What living and ended records hold. */
  get used(): { readonly places: number; readonly bytes: number } {
    return { places: this.#places.used, bytes: this.#bytes.used };
  }

  /** Takes the place of a new record. Throws `STORE_FULL`. */
  enter({ user, body }: Owned, now: number): void {
    this.forget(now);
    const share = shareOf(user);
    if (!this.#places.take(1, share)) throw this.#refusal(this.#places, 1, NUMBER);
    const bytes = bytesOf(body);
    if (this.#bytes.take(bytes, share)) return;
    this.#places.charge(-1, share);
    throw this.#refusal(this.#bytes, bytes, BYTES);
  }

  /** Gives the place of a record back that leaves no tombstone. */
  leave({ user, body }: Owned): void {
    this.#give(shareOf(user), bytesOf(body));
  }

  /** The record has ended. Throws `STORE_FULL` and changes nothing if its outcome finds no room. */
  add({ id, outcome, at }: EndedRecord, forgetAt: number, now: number, { user, body }: Owned): void {
    this.forget(now);
    const [share, bytes] = [shareOf(user), bytesOf(outcome)];
    const more = bytes - bytesOf(body);
    if (more <= 0) this.#bytes.charge(more, share);
    else if (!this.#bytes.take(more, share)) throw this.#refusal(this.#bytes, more, BYTES);
    const tombstone = { id, outcome, at, forgetAt, share, bytes };
    this.#byId.set(id, tombstone);
    this.#byTime.add(tombstone);
  }

  find(id: string, now: number): EndedRecord | undefined {
    const found = this.#byId.get(id);
    if (found === undefined || found.forgetAt <= now) return undefined;
    const { outcome, at } = found;
    return { id, outcome, at };
  }

  /** Forgets an end before its time. */
  drop(id: string): void {
    const found = this.#byId.get(id);
    if (found === undefined) return;
    this.#byId.delete(id);
    this.#byTime.remove(found);
    this.#give(found.share, found.bytes);
  }

  /** Drops tombstones that are too old. */
  forget(now: number): void {
    const heap = this.#byTime;
    for (let { earliest } = heap; earliest !== undefined && earliest.forgetAt <= now; { earliest } = heap) {
      heap.take();
      this.#byId.delete(earliest.id);
      this.#give(earliest.share, earliest.bytes);
    }
  }

  #give(share: string, bytes: number): void {
    this.#places.charge(-1, share);
    this.#bytes.charge(-bytes, share);
  }

  #refusal({ used, size }: Budget, amount: number, what: string): Error {
    const [amounts, limit] = [`${size} ${what === BYTES ? 'bytes' : 'records'}`, `limits.${what}`];
    const share = `this user has its share of ${amounts} (${limit}, limits.userShare)`;
    return storeFull(this.#kind, used + amount > size ? `they have ${amounts} (${limit})` : share);
  }
}

/** Records without a user have one share. */
const shareOf = (user: string | null): string => (user === null ? '' : `user ${user}`);

const bytesOf = (text: string): number => Math.max(LEAST_BYTES, Buffer.byteLength(text));
