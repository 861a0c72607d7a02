/**
 * The ended records of a kind with `evicts: false`. None is forgotten before its time. So each record has a place here
 * from its creation on, and bytes for its body and fields, and later for its outcome. What finds no room is refused.
 *
 *     enter (create) ──change──▶ add (end) ──▶ forget (its time is over)
 *           │                    ╰──▶ drop (before its time)
 *           ╰──▶ leave (it expired, and shows no more)
 *
 * One user may hold a part of what the others leave free, so the records of one user keep no other user out.
 */
import { Budget } from '../../base/budget.ts';
import { storeFull } from '../../errors.ts';
import type { EndedRecord, StoredRecord } from '../store.ts';
import { TimeHeap } from './time-heap.ts';

/** The default of `limits.userShare`. */
const USER_SHARE = 1 / 2;
/** Every record is charged at least so many bytes. So a short outcome has its room, whatever is full. */
const LEAST_BYTES = 1_024;

/** The limits, by their names. */
const [NUMBER, BYTES] = ['tombstones', 'eventLogBytes'];

type Owned = Pick<StoredRecord, 'id' | 'user' | 'body' | 'fields'>;

interface LastingTombstone extends EndedRecord {
  readonly forgetAt: number;
  readonly share: string;
  readonly bytes: number;
}

export class LastingTombstones {
  readonly #kind: string;
  readonly #byId = new Map<string, LastingTombstone>();
  /** The bytes of living records. */
  readonly #living = new Map<string, number>();
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

  /** Takes the place of a new record. Returns the bytes of an expired one with its id. Throws `STORE_FULL`. */
  enter({ id, user, body, fields }: Owned, now: number): number | undefined {
    this.forget(now);
    const share = shareOf(user);
    if (!this.#places.take(1, share)) throw this.#refusal(this.#places, 1, NUMBER);
    const bytes = Buffer.byteLength(body) + sizeOf(fields);
    if (!this.#bytes.take(chargeOf(bytes), share)) {
      this.#places.charge(-1, share);
      throw this.#refusal(this.#bytes, bytes, BYTES);
    }
    const before = this.#living.get(id);
    this.#living.set(id, bytes);
    return before;
  }

  /** The fields of a record change. Throws `STORE_FULL`. */
  change({ id, user, fields: before }: Owned, { fields }: Pick<Owned, 'fields'>): void {
    const known = this.#living.get(id);
    if (known === undefined || before === fields) return;
    const bytes = known + sizeOf(fields, before) - sizeOf(before, fields);
    const more = chargeOf(bytes) - chargeOf(known);
    if (more <= 0) this.#bytes.charge(more, shareOf(user));
    else if (!this.#bytes.take(more, shareOf(user))) throw this.#refusal(this.#bytes, more, BYTES);
    this.#living.set(id, bytes);
  }

  /** Gives the place of a record back that leaves no tombstone. */
  leave({ id, user }: Owned): void {
    this.replaced(user, this.#living.get(id));
    this.#living.delete(id);
  }

  /** The same, where another record has its id now. */
  replaced(user: string | null, bytes = 0): void {
    this.#give(shareOf(user), chargeOf(bytes));
  }

  /** The record has ended. Throws `STORE_FULL` and changes nothing if its outcome finds no room. */
  add({ id, outcome, at }: EndedRecord, forgetAt: number, now: number, { user }: Owned): void {
    this.forget(now);
    const [share, bytes] = [shareOf(user), chargeOf(Buffer.byteLength(outcome))];
    const more = bytes - chargeOf(this.#living.get(id) ?? 0);
    if (more <= 0) this.#bytes.charge(more, share);
    else if (!this.#bytes.take(more, share)) throw this.#refusal(this.#bytes, more, BYTES);
    this.#living.delete(id);
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

const chargeOf = (bytes: number): number => Math.max(LEAST_BYTES, bytes);

/** The bytes of fields that the others have not, or with another text. */
function sizeOf(fields: StoredRecord['fields'], others: StoredRecord['fields'] = {}): number {
  let bytes = 0;
  for (const [name, text] of Object.entries(fields))
    if (others[name] !== text) bytes += Buffer.byteLength(name) + Buffer.byteLength(text);
  return bytes;
}
