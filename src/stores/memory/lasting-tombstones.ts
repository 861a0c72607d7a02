/**
 * The ended records of a kind with `evicts: false`. None is forgotten before its time. So each record has a place here
 * from its creation on, and bytes for its body and fields, and later for its outcome. What finds no room is refused.
 *
 *     enter (create) ──change──▶ add (end) ──▶ forget (its time is over)
 *           │                    ╰──▶ drop (before its time)
 *           ╰──▶ leave (it expired, and shows no more)
 *
 * `src/kept/` sees to it that the records of one user keep no other user out.
 */
import { storeFull } from '../../errors.ts';
import type { EndedRecord, StoredRecord, StoreRoom } from '../store.ts';
import { TimeHeap } from './time-heap.ts';

/** Every record is charged at least so many bytes. So a short outcome has its room, whatever is full. */
const LEAST_BYTES = 1_024;

type Owned = Pick<StoredRecord, 'id' | 'body' | 'fields'>;

interface LastingTombstone extends EndedRecord {
  readonly forgetAt: number;
  readonly bytes: number;
}

export class LastingTombstones {
  readonly #kind: string;
  readonly #byId = new Map<string, LastingTombstone>();
  /** The bytes of living records. */
  readonly #living = new Map<string, number>();
  readonly #byTime = new TimeHeap<LastingTombstone>();
  readonly #most: number;
  readonly #mostBytes: number;
  #places = 0;
  #bytes = 0;

  constructor(kind: string, most: number, mostBytes: number) {
    this.#kind = kind;
    this.#most = most;
    this.#mostBytes = mostBytes;
  }

  /** The number of tombstones, including those that are too old. */
  get size(): number {
    return this.#byId.size;
  }

  /** What living and ended records hold. */
  get used(): { readonly places: number; readonly bytes: number } {
    return { places: this.#places, bytes: this.#bytes };
  }

  /** Bytes, or places as bytes of the smallest record: what there is less of. */
  get room(): StoreRoom {
    const places = { used: this.#places * LEAST_BYTES, size: this.#most * LEAST_BYTES };
    const bytes = { used: this.#bytes, size: this.#mostBytes };
    return freeOf(places) < freeOf(bytes) ? places : bytes;
  }

  /** Takes the place of a new record. Returns the bytes of an expired one with its id. Throws `STORE_FULL`. */
  enter({ id, body, fields }: Owned, now: number): number | undefined {
    this.forget(now);
    const bytes = Buffer.byteLength(body) + sizeOf(fields);
    if (this.#places + 1 > this.#most)
      throw storeFull(this.#kind, `they have ${this.#most} records (limits.tombstones)`);
    this.#take(chargeOf(bytes));
    this.#places += 1;
    const before = this.#living.get(id);
    this.#living.set(id, bytes);
    return before;
  }

  /** The fields of a record change. Throws `STORE_FULL`. */
  change({ id, fields: before }: Owned, { fields }: Pick<Owned, 'fields'>): void {
    const known = this.#living.get(id);
    if (known === undefined || before === fields) return;
    const bytes = known + sizeOf(fields, before) - sizeOf(before, fields);
    this.#take(chargeOf(bytes) - chargeOf(known));
    this.#living.set(id, bytes);
  }

  /** Gives the place of a record back that leaves no tombstone. */
  leave(id: string): void {
    this.replaced(this.#living.get(id));
    this.#living.delete(id);
  }

  /** The same, where another record has its id now. */
  replaced(bytes = 0): void {
    this.#give(chargeOf(bytes));
  }

  /** The record has ended. Throws `STORE_FULL` and changes nothing if its outcome finds no room. */
  add({ id, outcome, at }: EndedRecord, forgetAt: number, now: number): void {
    this.forget(now);
    const bytes = chargeOf(Buffer.byteLength(outcome));
    this.#take(bytes - chargeOf(this.#living.get(id) ?? 0));
    this.#living.delete(id);
    const tombstone = { id, outcome, at, forgetAt, bytes };
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
    this.#give(found.bytes);
  }

  /** Drops tombstones that are too old. */
  forget(now: number): void {
    const heap = this.#byTime;
    for (let { earliest } = heap; earliest !== undefined && earliest.forgetAt <= now; { earliest } = heap) {
      heap.take();
      this.#byId.delete(earliest.id);
      this.#give(earliest.bytes);
    }
  }

  /** What is less than before always fits. */
  #take(more: number): void {
    if (more > 0 && this.#bytes + more > this.#mostBytes)
      throw storeFull(this.#kind, `they have ${this.#mostBytes} bytes (limits.eventLogBytes)`);
    this.#bytes += more;
  }

  #give(bytes: number): void {
    this.#places -= 1;
    this.#bytes -= bytes;
  }
}

export const freeOf = ({ used, size }: StoreRoom): number => size - used;

const chargeOf = (bytes: number): number => Math.max(LEAST_BYTES, bytes);

/** The bytes of fields that the others have not, or with another text. */
function sizeOf(fields: StoredRecord['fields'], others: StoredRecord['fields'] = {}): number {
  let bytes = 0;
  for (const [name, text] of Object.entries(fields))
    if (others[name] !== text) bytes += Buffer.byteLength(name) + Buffer.byteLength(text);
  return bytes;
}
